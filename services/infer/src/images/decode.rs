//! The bytes of an image file to pixels, within limits: the format is told by the first bytes, never by a name.

use super::error::{Format, ImageError};
use super::pixels::Pixels;
use super::{bmp, exif, jpeg, png, webp};

/// A file that is being decoded: its pixels, and which way is up.
pub(super) struct Decoded {
    pub(super) pixels: Pixels,
    /// EXIF, if the file has some.
    pub(super) exif: Option<Vec<u8>>,
}

/// Decodes a file of at most `max_pixels` pixels. With `upright`, EXIF says which way is up.
///
/// # Errors
/// It is no image, damaged, cut short, or too large by its own header: then nothing has been allocated for it.
pub(super) fn decode(file: &[u8], max_pixels: usize, upright: bool) -> Result<Pixels, ImageError> {
    let decoded = match format_of(file)? {
        Format::Jpeg => jpeg::decode(file, max_pixels)?,
        Format::Png => png::decode(file, max_pixels)?,
        Format::WebP => webp::decode(file, max_pixels)?,
        Format::Bmp => bmp::decode(file, max_pixels)?,
    };
    let orientation = match decoded.exif {
        Some(exif) if upright => exif::orientation(&exif),
        _ => 1,
    };
    Ok(decoded.pixels.upright(orientation))
}

fn format_of(file: &[u8]) -> Result<Format, ImageError> {
    match file {
        [0xff, 0xd8, 0xff, ..] => Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Format::Png),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Ok(Format::WebP),
        [b'B', b'M', ..] => Ok(Format::Bmp),
        _ => Err(ImageError::UnknownFormat {
            size_bytes: file.len(),
        }),
    }
}

/// Checks the size that a header announces, before anything is allocated for it.
pub(super) fn check_size(
    format: Format,
    [width, height]: [usize; 2],
    max_pixels: usize,
) -> Result<(), ImageError> {
    match width.checked_mul(height) {
        Some(0) => Err(ImageError::Empty { format }),
        Some(pixels) if pixels <= max_pixels => Ok(()),
        _ => Err(ImageError::TooLarge {
            width,
            height,
            max_pixels,
        }),
    }
}
