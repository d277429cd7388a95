//! The one EXIF value that changes what an image shows: which way is up.

/// What stands before the TIFF structure in JPEG and in some WebP files.
pub(super) const EXIF_MARK: &[u8] = b"Exif\0\0";
const ORIENTATION_TAG: u16 = 0x0112;
const SHORT: u16 = 3;

/// The orientation, 1 to 8; 1 (upright) where there is none or the data make no sense, as every viewer has it.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    let tiff = exif.strip_prefix(EXIF_MARK).unwrap_or(exif);
    find(tiff).filter(|it| (1..=8).contains(it)).unwrap_or(1)
}

fn find(tiff: &[u8]) -> Option<u8> {
    let is_big_endian = match tiff.get(..4)? {
        [b'M', b'M', 0, 42] => true,
        [b'I', b'I', 42, 0] => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match is_big_endian {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        })
    };
    let bytes: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let directory = match is_big_endian {
        true => u32::from_be_bytes(bytes),
        false => u32::from_le_bytes(bytes),
    };
    let directory = usize::try_from(directory).ok()?;
    for index in 0..usize::from(short(directory)?) {
        let entry = directory.checked_add(2 + index * 12)?;
        if short(entry)? == ORIENTATION_TAG && short(entry + 2)? == SHORT {
            return u8::try_from(short(entry + 8)?).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn little_endian(value: u8) -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
        tiff.extend_from_slice(&[0x12, 0x01, 3, 0, 1, 0, 0, 0, value, 0, 0, 0]);
        tiff
    }

    #[test]
    fn the_tag_is_found_in_both_byte_orders_with_and_without_the_mark() {
        assert_eq!(orientation(&little_endian(6)), 6);
        assert_eq!(orientation(&[EXIF_MARK, &little_endian(8)].concat()), 8);
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0";
        assert_eq!(orientation(big), 3);
    }

    #[test]
    fn nonsense_is_upright() {
        assert_eq!(orientation(&little_endian(9)), 1);
        assert_eq!(orientation(&little_endian(0)), 1);
        let whole = little_endian(6);
        for length in 0..whole.len() - 2 {
            assert_eq!(orientation(&whole[..length]), 1, "{length} bytes");
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), 1);
    }
}
