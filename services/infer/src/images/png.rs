//! PNG: every colour type and depth. Of 16 bits the upper 8 count; palettes and fewer bits are expanded.

use std::io::Cursor;

use super::decode::{Decoded, check_size};
use super::error::{Format, ImageError};
use super::pixels::Pixels;

/// What one chunk beside the pixels may allocate.
const CHUNK_BYTES: usize = 8 << 20;

pub(super) fn decode(file: &[u8], max_pixels: usize) -> Result<Decoded, ImageError> {
    let failed = |error: png::DecodingError| match error {
        png::DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated {
                format: Format::Png,
            }
        }
        error => ImageError::damaged(Format::Png, error),
    };
    // A pixel has at most 8 bytes before it is cut to 8 bits; the decoder holds two rows of them.
    let limits = png::Limits { bytes: CHUNK_BYTES };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    // Compressed text and colour profiles are nobody's pixels, and may be bombs.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(failed)?;
    let [width, height] =
        [header.width, header.height].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
    check_size(Format::Png, [width, height], max_pixels)?;
    let mut reader = decoder.read_info().map_err(failed)?;
    let size_bytes = reader.output_buffer_size().unwrap_or(0);
    let mut bytes = vec![0; size_bytes];
    let frame = reader.next_frame(&mut bytes).map_err(failed)?;
    bytes.truncate(frame.buffer_size());
    let samples = frame.color_type.samples();
    if bytes.len() != width * height * samples {
        return Err(ImageError::damaged(
            Format::Png,
            "its first frame is smaller than the image",
        ));
    }
    let exif = reader.info().exif_metadata.as_ref();
    Ok(Decoded {
        exif: exif.map(|exif| exif.to_vec()),
        pixels: Pixels::without_alpha([width, height, samples], bytes),
    })
}
