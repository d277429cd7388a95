//! Files that are damaged, cut short or bombs: an error for their sender, never a panic and never much memory.

use std::fs;
use std::path::Path;

use super::decode::decode;
use super::error::ImageError;

const MAX_PIXELS: usize = 1 << 16;

/// One file of each kind, by the beginning of the case's name.
fn file(kind: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/images/fixtures");
    let cases = fs::read_to_string(folder.join("cases.json")).expect("cases.json");
    let cases: serde_json::Value = serde_json::from_str(&cases).expect("JSON");
    let case = cases.as_array().expect("a list").iter().find(|case| {
        case["name"]
            .as_str()
            .is_some_and(|name| name.starts_with(kind))
    });
    let name = case.expect(kind)["file"].as_str().expect("a name");
    fs::read(folder.join(name)).expect("a file")
}

const KINDS: [&str; 9] = [
    "jpeg-RGB-quality90",
    "jpeg-RGB-quality75-progressive",
    "jpeg-RGB-quality85-restart",
    "jpeg-CMYK",
    "png-RGB",
    "png-P",
    "webp-RGB-quality",
    "webp-RGB-lossless",
    "bmp-P",
];

#[test]
fn a_file_that_is_cut_short_is_refused_wherever_it_is_cut() {
    for kind in KINDS {
        let whole = file(kind);
        decode(&whole, MAX_PIXELS, true).expect(kind);
        // The last bytes may be an end that says nothing: PNG's IEND, or padding.
        for length in (0..whole.len() - 16).step_by(1 + whole.len() / 200) {
            let outcome = decode(&whole[..length], MAX_PIXELS, true);
            assert!(
                outcome.is_err(),
                "{kind}: {length} of {} bytes",
                whole.len()
            );
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_is_an_image_or_an_error() {
    for kind in KINDS {
        let whole = file(kind);
        for place in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[place] ^= change;
                if let Ok(pixels) = decode(&changed, MAX_PIXELS, true) {
                    let expected = pixels.width * pixels.height * pixels.channels;
                    assert_eq!(pixels.bytes.len(), expected, "{kind}: byte {place}");
                    assert!(pixels.width * pixels.height <= MAX_PIXELS);
                }
            }
        }
    }
}

#[test]
fn damage_in_the_middle_of_a_jpeg_is_noticed_instead_of_being_painted_grey() {
    // The second half is missing, but the end is there.
    let whole = file("jpeg-RGB-quality90");
    let changed = [&whole[..whole.len() / 2 + 100], &[0xff, 0xd9]].concat();
    let error = decode(&changed, MAX_PIXELS, true).unwrap_err().to_string();
    assert!(error.contains("JPEG"), "{error}");
}

#[test]
fn a_header_that_announces_too_many_pixels_is_refused_before_anything_is_allocated() {
    let mut png = file("png-RGB");
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    // The checksum of the header must fit, or it would be refused for that.
    let checksum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut bmp = file("bmp-P");
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    let mut jpeg = file("jpeg-RGB-quality90");
    let frame = jpeg
        .windows(2)
        .position(|it| it == [0xff, 0xc0])
        .expect("a frame");
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut webp = file("webp-RGB-quality");
    let frame = webp
        .windows(3)
        .position(|it| it == [0x9d, 0x01, 0x2a])
        .expect("a frame");
    webp[frame + 3..frame + 7].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    for (kind, file) in [("PNG", png), ("BMP", bmp), ("JPEG", jpeg), ("WebP", webp)] {
        let error = decode(&file, MAX_PIXELS, true).unwrap_err();
        assert!(
            matches!(error, ImageError::TooLarge { .. }),
            "{kind}: {error}"
        );
        assert!(error.to_string().contains("images.max_pixels"), "{error}");
    }
}

#[test]
fn what_is_no_image_is_refused_by_its_first_bytes() {
    for bytes in [
        &b""[..],
        b"GIF89a",
        b"\xff\xd8",
        b"hello",
        b"RIFF\0\0\0\0WAVE",
    ] {
        let error = decode(bytes, MAX_PIXELS, true).unwrap_err().to_string();
        assert!(
            error.contains("neither a JPEG, PNG, WebP nor BMP"),
            "{error}"
        );
    }
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = register & 1;
            register >>= 1;
            if carry == 1 {
                register ^= 0xedb8_8320;
            }
        }
    }
    !register
}
