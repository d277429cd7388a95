//! JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK.

use std::io::Cursor;

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::decode::{Decoded, check_size};
use super::error::{Format, ImageError};
use super::exif::EXIF_MARK;
use super::pixels::Pixels;

/// A side's length is 16 bits in the format.
const MAX_SIDE: usize = 1 << 16;
/// Scans of a progressive file; each costs a pass over all pixels. Encoders write about ten.
const MAX_SCANS: usize = 64;

pub(super) fn decode(file: &[u8], max_pixels: usize) -> Result<Decoded, ImageError> {
    let damaged = |error: zune_jpeg::errors::DecodeErrors| {
        ImageError::damaged(Format::Jpeg, error.to_string())
    };
    let walk = walk(file);
    if !walk.is_complete {
        return Err(ImageError::Truncated {
            format: Format::Jpeg,
        });
    }
    // Strict: a damaged file would otherwise become an image that is grey from the damage on.
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_max_scans(MAX_SCANS);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(Format::Jpeg, [width, height], max_pixels)?;
    let (colours, samples) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let bytes = decoder.decode().map_err(damaged)?;
    if bytes.len() != width * height * samples {
        return Err(ImageError::Unsupported {
            format: Format::Jpeg,
            what: "an unusual number of colour components",
        });
    }
    Ok(Decoded {
        pixels: Pixels {
            width,
            height,
            channels: samples,
            bytes,
        },
        exif: walk.exif.map(<[u8]>::to_vec),
    })
}

/// What the segments of a file say without decoding them.
#[derive(Debug, Default)]
struct Walk<'a> {
    exif: Option<&'a [u8]>,
    /// The end-of-image marker is there. The decoder fills what is missing with grey.
    is_complete: bool,
}

fn walk(file: &[u8]) -> Walk<'_> {
    let mut walk = Walk::default();
    let mut rest = file.get(2..).unwrap_or_default();
    while let Some((marker, after)) = next_marker(rest) {
        rest = after;
        match marker {
            0xd9 => {
                walk.is_complete = true;
                return walk;
            }
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(length) = rest.first_chunk::<2>().copied().map(u16::from_be_bytes) else {
            return walk;
        };
        let Some((segment, after)) = rest.split_at_checked(usize::from(length).max(2)) else {
            return walk;
        };
        let content = &segment[2..];
        if marker == 0xe1 && walk.exif.is_none() && content.starts_with(EXIF_MARK) {
            walk.exif = Some(content);
        }
        rest = after;
    }
    walk
}

/// The next marker and what follows it. Compressed data hold 0xFF only before 0 and as restart markers.
fn next_marker(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let place = rest.iter().position(|byte| *byte == 0xff)?;
        rest = &rest[place + 1..];
        match rest.first()? {
            0xff => {}
            0x00 => rest = &rest[1..],
            marker => return Some((*marker, &rest[1..])),
        }
    }
}
