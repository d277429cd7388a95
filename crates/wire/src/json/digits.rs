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

/// The digits at the start of eight bytes: how many there are (0 to 8), and the number they make.
#[inline]
pub(super) fn leading_8(bytes: [u8; 8]) -> (usize, u64) {
    let values = u64::from_le_bytes(bytes) ^ ZEROS;
    let others = not_digits(values);
    let count = others.trailing_zeros() / 8;
    (count as usize, eight(shifted(values, count)))
}

/// The digits at the start of sixteen bytes: how many there are (0 to 16), and the number they make.
#[inline]
pub(super) fn leading_16(bytes: [u8; 16]) -> (usize, u64) {
    const ZEROS_16: u128 = u128::from_le_bytes([b'0'; 16]);
    let values = u128::from_le_bytes(bytes) ^ ZEROS_16;
    let others = (values.wrapping_add(ABOVE_NINE_16) | values) & HIGH_BITS_16;
    let count = others.trailing_zeros() / 8;
    let digits = values
        .checked_shl(128 - 8 * count)
        .unwrap_or(0)
        .to_le_bytes();
    let (high, low) = halves(digits);
    (count as usize, eight(high) * 100_000_000 + eight(low))
}

const ABOVE_NINE_16: u128 = u128::from_le_bytes([0x76; 16]);
const HIGH_BITS_16: u128 = u128::from_le_bytes([0x80; 16]);

fn halves(bytes: [u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(bytes);
    let low = u64::try_from(both & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    let high = u64::try_from(both >> 64).unwrap_or(u64::MAX);
    (low, high)
}

/// The high bit of each byte that is no digit, given bytes of which '0' was taken away. A carry only
/// reaches bytes after one that is marked already.
fn not_digits(values: u64) -> u64 {
    (values.wrapping_add(ABOVE_NINE) | values) & HIGH_BITS
}

/// The first `count` bytes moved to the end, zeros before them.
fn shifted(values: u64, count: u32) -> u64 {
    values.checked_shl(64 - 8 * count).unwrap_or(0)
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

    #[test]
    fn digits_are_counted_and_read_up_to_the_first_other_byte() {
        let digits = "9876543210123456";
        for count in 0..=16 {
            let expected = digits[..count].parse().unwrap_or(0);
            assert_eq!(leading_16(padded(&digits[..count])), (count, expected));
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
                let (count, _) = leading_16(bytes);
                assert_eq!(count == 16, byte.is_ascii_digit(), "byte {byte} at {place}");
            }
        }
    }
}
