//! BMP: 1 to 32 bits per pixel, palettes, bit fields, run-length encoding, upside down or not. The format is simple
//! enough that a reader of our own is shorter than the checks around a foreign one.

use super::bmp_runs::{RunLength, unpack_runs};
use super::decode::{Decoded, check_size};
use super::error::{Format, ImageError};
use super::pixels::Pixels;

/// Bytes before the information header.
const FILE_HEADER: usize = 14;
/// The information header that every later one begins with.
const INFO_HEADER: usize = 40;

pub(super) fn decode(file: &[u8], max_pixels: usize) -> Result<Decoded, ImageError> {
    let bytes = Bytes(file);
    let header = Header::read(&bytes)?;
    check_size(Format::Bmp, [header.width, header.height], max_pixels)?;
    let data = file.get(header.data_offset..).ok_or(TRUNCATED)?;
    let mut pixels = if header.bits <= 8 {
        header.indexed(&bytes, data)?
    } else {
        header.direct(&bytes, data)?
    };
    if !header.top_down {
        let stride = pixels.width * pixels.channels;
        let rows = pixels.bytes.chunks_exact(stride).rev();
        pixels.bytes = rows.flatten().copied().collect();
    }
    Ok(Decoded { pixels, exif: None })
}

const TRUNCATED: ImageError = ImageError::Truncated {
    format: Format::Bmp,
};

fn damaged(what: &'static str) -> ImageError {
    ImageError::damaged(Format::Bmp, what)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn short(&self, at: usize) -> Result<u16, ImageError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk::<2>);
        Ok(u16::from_le_bytes(*bytes.ok_or(TRUNCATED)?))
    }

    fn long(&self, at: usize) -> Result<u32, ImageError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk::<4>);
        Ok(u32::from_le_bytes(*bytes.ok_or(TRUNCATED)?))
    }

    fn size(&self, at: usize) -> Result<usize, ImageError> {
        usize::try_from(self.long(at)?).map_err(|_| TRUNCATED)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Runs(RunLength),
    BitFields,
}

#[derive(Debug)]
struct Header {
    /// Of the information header.
    size: usize,
    width: usize,
    height: usize,
    top_down: bool,
    bits: usize,
    compression: Compression,
    colours: usize,
    data_offset: usize,
}

impl Header {
    fn read(bytes: &Bytes<'_>) -> Result<Self, ImageError> {
        let data_offset = bytes.size(10)?;
        let size = bytes.size(FILE_HEADER)?;
        if size == 12 {
            let header = Self {
                size,
                width: bytes.short(18)?.into(),
                height: bytes.short(20)?.into(),
                top_down: false,
                bits: bytes.short(24)?.into(),
                compression: Compression::None,
                colours: 0,
                data_offset,
            };
            return header.checked();
        }
        if size < INFO_HEADER {
            return Err(damaged("its header has an impossible size"));
        }
        let [width, height] = [bytes.long(18)?, bytes.long(22)?].map(u32::cast_signed);
        let compression = match (bytes.long(30)?, bytes.short(28)?) {
            (0, _) => Compression::None,
            (1, 8) => Compression::Runs(RunLength::Bytes),
            (2, 4) => Compression::Runs(RunLength::Nibbles),
            (3 | 6, 16 | 32) => Compression::BitFields,
            _ => {
                return Err(ImageError::Unsupported {
                    format: Format::Bmp,
                    what: "an unusual compression",
                });
            }
        };
        let header = Self {
            size,
            width: usize::try_from(width).map_err(|_| damaged("its width is negative"))?,
            height: usize::try_from(height.unsigned_abs()).unwrap_or(usize::MAX),
            top_down: height < 0,
            bits: bytes.short(28)?.into(),
            compression,
            colours: bytes.size(46)?,
            data_offset,
        };
        header.checked()
    }

    fn checked(self) -> Result<Self, ImageError> {
        if matches!(self.bits, 1 | 2 | 4 | 8 | 16 | 24 | 32) {
            return Ok(self);
        }
        Err(damaged("its number of bits per pixel is impossible"))
    }

    /// Bytes of one row, which is padded to 4.
    fn stride(&self) -> usize {
        (self.width * self.bits).div_ceil(32) * 4
    }

    fn rows<'a>(&self, data: &'a [u8]) -> Result<std::slice::Chunks<'a, u8>, ImageError> {
        let size_bytes = self.stride() * self.height;
        // Some writers leave the padding of the last row out.
        let needed = size_bytes - self.stride() + (self.width * self.bits).div_ceil(8);
        if data.len() < needed {
            return Err(TRUNCATED);
        }
        Ok(data[..size_bytes.min(data.len())].chunks(self.stride()))
    }

    fn palette(&self, bytes: &Bytes<'_>) -> Result<Vec<[u8; 3]>, ImageError> {
        let most = 1usize << self.bits;
        let colours = match self.colours {
            0 => most,
            colours => colours.min(most),
        };
        let entry = if self.size == 12 { 3 } else { 4 };
        let start = FILE_HEADER + self.size;
        let mut palette = Vec::with_capacity(colours);
        for index in 0..colours {
            let at = start + index * entry;
            match bytes.0.get(at..at + 3) {
                Some([blue, green, red]) => palette.push([*red, *green, *blue]),
                _ => return Err(TRUNCATED),
            }
        }
        Ok(palette)
    }

    fn indexed(&self, bytes: &Bytes<'_>, data: &[u8]) -> Result<Pixels, ImageError> {
        let palette = self.palette(bytes)?;
        let indices = match self.compression {
            Compression::Runs(kind) => {
                unpack_runs(data, [self.width, self.height], kind).ok_or(TRUNCATED)?
            }
            _ => self.unpacked(data)?,
        };
        let mut colours = Vec::with_capacity(indices.len() * 3);
        for index in indices {
            let colour = palette.get(usize::from(index));
            colours.extend_from_slice(
                colour.ok_or_else(|| damaged("a colour is not in its palette"))?,
            );
        }
        Ok(self.coloured(colours))
    }

    fn unpacked(&self, data: &[u8]) -> Result<Vec<u8>, ImageError> {
        let mut indices = Vec::with_capacity(self.width * self.height);
        let mask = u8::MAX >> (8 - self.bits);
        for row in self.rows(data)? {
            for x in 0..self.width {
                let bit = x * self.bits;
                let shift = 8 - self.bits - bit % 8;
                indices.push((row[bit / 8] >> shift) & mask);
            }
        }
        Ok(indices)
    }

    fn direct(&self, bytes: &Bytes<'_>, data: &[u8]) -> Result<Pixels, ImageError> {
        let pixel_bytes = self.bits / 8;
        let fields = match self.compression {
            Compression::BitFields => {
                let at = FILE_HEADER + INFO_HEADER;
                let masks = [bytes.long(at)?, bytes.long(at + 4)?, bytes.long(at + 8)?];
                masks.map(Field::of)
            }
            _ => [0x7c00, 0x03e0, 0x001f].map(Field::of),
        };
        let mut colours = Vec::with_capacity(self.width * self.height * 3);
        if self.compression == Compression::None && self.bits > 16 {
            // Blue, green and red are bytes, as in nearly every file.
            for row in self.rows(data)? {
                let pixels = row.chunks_exact(pixel_bytes).take(self.width);
                colours.extend(pixels.flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
            }
            return Ok(self.coloured(colours));
        }
        for row in self.rows(data)? {
            for pixel in row.chunks_exact(pixel_bytes).take(self.width) {
                let mut word = [0; 4];
                word[..pixel_bytes].copy_from_slice(pixel);
                let word = u32::from_le_bytes(word);
                colours.extend(fields.iter().map(|field| field.read(word)));
            }
        }
        Ok(self.coloured(colours))
    }

    fn coloured(&self, bytes: Vec<u8>) -> Pixels {
        Pixels {
            width: self.width,
            height: self.height,
            channels: 3,
            bytes,
        }
    }
}

/// Where one colour lies in a pixel.
#[derive(Debug, Clone, Copy)]
struct Field {
    mask: u32,
    shift: u32,
}

impl Field {
    fn of(mask: u32) -> Self {
        let shift = mask.trailing_zeros().min(31);
        Self { mask, shift }
    }

    /// Stretched to 0 to 255 and rounded.
    fn read(self, word: u32) -> u8 {
        let most = u64::from(self.mask >> self.shift).max(1);
        let value = u64::from((word & self.mask) >> self.shift);
        u8::try_from((value * 255 + most / 2) / most).unwrap_or(u8::MAX)
    }
}
