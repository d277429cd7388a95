//! WebP: lossy and lossless, with and without opacity; of an animation the first frame.

use std::io::{Cursor, ErrorKind};

use image_webp::{DecodingError, WebPDecoder};

use super::decode::{Decoded, check_size};
use super::error::{Format, ImageError};
use super::pixels::Pixels;

/// What one chunk beside the pixels may allocate.
const CHUNK_BYTES: usize = 8 << 20;

pub(super) fn decode(file: &[u8], max_pixels: usize) -> Result<Decoded, ImageError> {
    let failed = |error: DecodingError| match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::Truncated {
                format: Format::WebP,
            }
        }
        error => ImageError::damaged(Format::WebP, error),
    };
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(failed)?;
    decoder.set_memory_limit(CHUNK_BYTES);
    let (width, height) = decoder.dimensions();
    let [width, height] = [width, height].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
    check_size(Format::WebP, [width, height], max_pixels)?;
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    let mut bytes = vec![0; width * height * samples];
    decoder.read_image(&mut bytes).map_err(failed)?;
    // Damaged EXIF is no reason to refuse an image.
    let exif = decoder.exif_metadata().ok().flatten();
    Ok(Decoded {
        exif,
        pixels: Pixels::without_alpha([width, height, samples], bytes),
    })
}
