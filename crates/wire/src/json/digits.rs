//! Decimal digits, eight or sixteen at a time, without a branch per digit.

/// Powers of ten that fit into 64 bits.
pub(super) const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

const ZEROS: u64 = 0x3030_3030_3030_3030;
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The first `N` bytes from `at` on, where there are as many. They are not copied, since a copy would
/// have to settle before it can be read again.
#[inline(always)]
pub(super) fn window<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// The last bytes of a body, from `at` on, with zeros after them.
#[cold]
pub(super) fn tail<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut window = [0; N];
    for (place, &byte) in window.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *place = byte;
    }
    window
}

/// The digits at the start of eight bytes: how many there are (0 to 8), and the number they make.
#[inline(always)]
pub(super) fn leading_8(bytes: [u8; 8]) -> (usize, u64) {
    let values = u64::from_le_bytes(bytes) ^ ZEROS;
    let others = not_digits(values);
    let count = others.trailing_zeros() / 8;
    (count as usize, eight(shifted(values, count)))
}

/// The digits at the start of sixteen bytes: how many there are (0 to 16), and the number they make.
#[inline(always)]
pub(super) fn leading_16([first, second]: [[u8; 8]; 2]) -> (usize, u64) {
    let (first, second) = (
        u64::from_le_bytes(first) ^ ZEROS,
        u64::from_le_bytes(second) ^ ZEROS,
    );
    let in_first = not_digits(first).trailing_zeros() / 8;
    let in_second = not_digits(second).trailing_zeros() / 8;
    let in_second = if in_first == 8 { in_second } else { 0 };
    let high = eight(shifted(first, in_first));
    let low = eight(shifted(second, in_second));
    let count = (in_first + in_second) as usize;
    (count, high * POWERS_OF_TEN[in_second as usize & 15] + low)
}

/// The high bit of each byte that is no digit, given bytes of which '0' was taken away. A carry only
/// reaches bytes after one that is marked already.
fn not_digits(values: u64) -> u64 {
    (values.wrapping_add(ABOVE_NINE) | values) & HIGH_BITS
}

/// The first `count` bytes moved to the end, zeros before them.
fn shifted(values: u64, count: u32) -> u64 {
    // Half the way twice: a shift by all 64 bits would be none.
    let half = 4 * (8 - count);
    values << half << half
}

/// The number that eight digit values make, the first byte being the most significant; two, then
/// four, then all of them are put together in one multiplication each.
fn eight(values: u64) -> u64 {
    let pairs = values.wrapping_mul((10 << 8) + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul((100 << 16) + 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded<const N: usize>(text: &str) -> [u8; N] {
        let mut bytes = [b','; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    fn halves(bytes: [u8; 16]) -> [[u8; 8]; 2] {
        *bytes.as_chunks().0.first_chunk().unwrap()
    }

    #[test]
    fn digits_are_counted_and_read_up_to_the_first_other_byte() {
        let digits = "9876543210123456";
        for count in 0..=16 {
            let expected = digits[..count].parse().unwrap_or(0);
            assert_eq!(
                leading_16(halves(padded(&digits[..count]))),
                (count, expected)
            );
            if count <= 8 {
                assert_eq!(leading_8(padded(&digits[..count])), (count, expected));
            }
        }
    }

    #[test]
    fn no_byte_but_a_digit_counts_as_one() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"12345678";
                bytes[place] = byte;
                let (count, _) = leading_8(bytes);
                assert_eq!(count == 8, byte.is_ascii_digit(), "byte {byte} at {place}");
                let mut bytes = *b"1234567812345678";
                bytes[place + 8] = byte;
                let (count, _) = leading_16(halves(bytes));
                assert_eq!(count == 16, byte.is_ascii_digit(), "byte {byte} at {place}");
            }
        }
    }
}
