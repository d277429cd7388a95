//! Decoded images: PNG and JPEG files as rows of pixels, in another size if wanted.

use std::io::Cursor;

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// No image is larger, however small its file.
const MAX_PIXELS: usize = 64 << 20;
const MAX_SIDE: usize = 1 << 16;

/// A decoded image: rows of pixels of 1 or 3 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    pub(super) bytes: Vec<u8>,
}

/// Decodes a PNG or JPEG file by its first bytes.
///
/// # Errors
/// It is neither, damaged or too large, as a sentence.
pub(super) fn decoded(file: &[u8]) -> Result<Raster, String> {
    match file {
        [0x89, b'P', b'N', b'G', ..] => png(file),
        [0xff, 0xd8, ..] => jpeg(file),
        _ => Err("the file is neither PNG nor JPEG".to_owned()),
    }
}

fn png(file: &[u8]) -> Result<Raster, String> {
    let damaged = |error: png::DecodingError| format!("the PNG file is damaged: {error}");
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size();
    let size = size.filter(|bytes| bytes / 4 <= MAX_PIXELS);
    let mut bytes = vec![0; size.ok_or("the image has too many pixels")?];
    let info = reader.next_frame(&mut bytes).map_err(damaged)?;
    bytes.truncate(info.buffer_size());
    let (width, height) = (usize::try_from(info.width), usize::try_from(info.height));
    let samples = info.color_type.samples();
    let (width, height) = (width.unwrap_or(0), height.unwrap_or(0));
    Ok(Raster::without_alpha((width, height), samples, bytes))
}

fn jpeg(file: &[u8]) -> Result<Raster, String> {
    let damaged = |error| format!("the JPEG file is damaged: {error:?}");
    let options = DecoderOptions::new_safe()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder.info().ok_or("the JPEG file has no header")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if width * height > MAX_PIXELS {
        return Err("the image has too many pixels".to_owned());
    }
    let colours = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let bytes = decoder.decode().map_err(damaged)?;
    let samples = bytes.len() / (width * height).max(1);
    Ok(Raster::without_alpha((width, height), samples, bytes))
}

impl Raster {
    /// Of pixels of 1 to 4 samples, of which the second and the fourth are opacity.
    fn without_alpha((width, height): (usize, usize), samples: usize, bytes: Vec<u8>) -> Self {
        let channels = if samples >= 3 { 3 } else { 1 };
        let bytes = match samples == channels {
            true => bytes,
            false => {
                let pixels = bytes.chunks_exact(samples.max(1));
                pixels
                    .flat_map(|pixel| pixel.iter().take(channels).copied())
                    .collect()
            }
        };
        Self {
            width,
            height,
            channels,
            bytes,
        }
    }

    /// With grey instead of colours, or the other way.
    pub(super) fn with_channels(self, channels: usize) -> Self {
        let bytes = match (self.channels, channels) {
            (1, 3) => self.bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.bytes.chunks_exact(3).map(grey).collect(),
            _ => return self,
        };
        Self {
            channels,
            bytes,
            ..self
        }
    }

    /// With a triangle as wide as what a new pixel covers, like Pillow's `BILINEAR`.
    pub(super) fn resized(self, width: usize, height: usize) -> Self {
        let channels = self.channels;
        let across = weights(self.width, width);
        let mut narrow = vec![0.0; self.height * width * channels];
        for row in 0..self.height {
            let from = &self.bytes[row * self.width * channels..(row + 1) * self.width * channels];
            for (column, (first, weights)) in across.iter().enumerate() {
                for channel in 0..channels {
                    let sample =
                        |index: usize| f32::from(from[(first + index) * channels + channel]);
                    let sum = weights
                        .iter()
                        .enumerate()
                        .map(|(index, weight)| weight * sample(index))
                        .sum();
                    narrow[(row * width + column) * channels + channel] = sum;
                }
            }
        }
        let stride = width * channels;
        let mut bytes = vec![0; height * stride];
        for (row, (first, weights)) in weights(self.height, height).iter().enumerate() {
            for place in 0..stride {
                let sample = |index: usize| narrow[(first + index) * stride + place];
                let sum = weights
                    .iter()
                    .enumerate()
                    .map(|(index, weight)| weight * sample(index))
                    .sum();
                bytes[row * stride + place] = to_byte(sum);
            }
        }
        Self {
            width,
            height,
            channels,
            bytes,
        }
    }
}

/// Perceived brightness, as Pillow computes it.
fn grey(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    let sum = red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

fn to_byte(value: f32) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was clamped to 0 to 255"
    )]
    let byte = value.round().clamp(0.0, 255.0) as u8;
    byte
}

/// For each new pixel the first old one that counts, and how much each from there on does.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides have at most 65,536 pixels, and places are clamped to them"
)]
fn weights(old: usize, new: usize) -> Vec<(usize, Vec<f32>)> {
    let ratio = old as f32 / new as f32;
    let reach = ratio.max(1.0);
    let of = |place: usize| {
        let centre = (place as f32 + 0.5) * ratio;
        let first = (centre - reach).floor().max(0.0) as usize;
        let last = ((centre + reach).ceil() as usize).min(old);
        let weight = |pixel: usize| (1.0 - ((pixel as f32 + 0.5 - centre) / reach).abs()).max(0.0);
        let mut weights: Vec<f32> = (first..last).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        (first, weights)
    };
    (0..new).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_stays_a_slope_when_resized() {
        let raster = Raster {
            width: 4,
            height: 1,
            channels: 1,
            bytes: vec![0, 40, 80, 120],
        };
        assert_eq!(raster.clone().resized(2, 1).bytes, [29, 91], "as Pillow");
        assert_eq!(raster.resized(4, 2).bytes, [0, 40, 80, 120, 0, 40, 80, 120]);
    }
}
