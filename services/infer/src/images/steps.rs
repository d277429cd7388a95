//! From an image file to one row of an input: decoded, upright, resized, cut, normalised and laid out.

use half::f16;

use super::decode::decode;
use super::error::ImageError;
use super::pixels::Pixels;
use super::resample::{Kernel, Window, resample};
use crate::repository::{Channels, Filter, ImageOptions, Layout, Orientation, ResizeTo};

/// What happens to every image of one input.
#[derive(Debug)]
pub struct Steps {
    size: Option<ResizeTo>,
    kernel: Kernel,
    crop: Option<[usize; 2]>,
    channels: Channels,
    layout: RowLayout,
    orientation: Orientation,
    values: Values,
}

/// The order of a row's dimensions, channels left out where there is one and the input has no place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowLayout {
    Hwc,
    Chw,
    Hw,
}

/// The type of a row's elements, and for each channel what 0 to 255 become.
#[derive(Debug)]
pub(super) enum Values {
    Uint8,
    Float16(Vec<[f16; 256]>),
    Float32(Vec<[f32; 256]>),
}

/// One image as the input takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its dimensions in the order of the layout.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub elements: Elements,
}

/// The elements of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// 0 to 255.
    Uint8(Vec<u8>),
    /// Normalised.
    Float16(Vec<f16>),
    /// Normalised.
    Float32(Vec<f32>),
}

impl Elements {
    /// Bytes of memory.
    pub fn size_bytes(&self) -> usize {
        match self {
            Elements::Uint8(elements) => elements.len(),
            Elements::Float16(elements) => elements.len() * 2,
            Elements::Float32(elements) => elements.len() * 4,
        }
    }
}

/// What the input's own type and shape decide.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) layout: RowLayout,
    /// Height and width, where the input fixes them.
    pub(super) size: Option<[usize; 2]>,
    pub(super) values: Values,
}

impl Steps {
    pub(super) fn new(options: &ImageOptions, target: Target) -> Self {
        let kernel = match (options.filter, options.antialias) {
            (Filter::Area, _) => Kernel::Area,
            (Filter::Bilinear, true) => Kernel::Bilinear,
            (Filter::Bilinear, false) => Kernel::BilinearPoint,
        };
        let without = match options.crop {
            None => target.size.map(ResizeTo::Exactly),
            Some(_) => None,
        };
        Self {
            size: options.resize.or(without),
            kernel,
            crop: options.crop,
            channels: options.channels,
            layout: target.layout,
            orientation: options.orientation,
            values: target.values,
        }
    }

    pub(super) fn layout(&self) -> RowLayout {
        self.layout
    }

    /// Height and width of every row, where all images come out alike.
    pub(crate) fn fixed_size(&self) -> Option<[usize; 2]> {
        match (self.crop, self.size) {
            (Some(crop), _) => Some(crop),
            (None, Some(ResizeTo::Exactly(size))) => Some(size),
            (None, _) => None,
        }
    }

    /// The dimensions of every row, where all images come out alike.
    pub(super) fn row_shape(&self) -> Option<Vec<usize>> {
        let [height, width] = self.fixed_size()?;
        Some(self.shape_of(height, width))
    }

    fn shape_of(&self, height: usize, width: usize) -> Vec<usize> {
        let channels = match self.channels {
            Channels::Grey => 1,
            Channels::Rgb | Channels::Bgr => 3,
        };
        match self.layout {
            RowLayout::Hwc => vec![height, width, channels],
            RowLayout::Chw => vec![channels, height, width],
            RowLayout::Hw => vec![height, width],
        }
    }

    /// One file of at most `max_pixels` pixels as a row.
    ///
    /// # Errors
    /// Why the file cannot be one, in words for who sent it.
    pub fn run(&self, file: &[u8], max_pixels: usize) -> Result<Row, ImageError> {
        let upright = self.orientation == Orientation::Exif;
        let mut pixels = decode(file, max_pixels, upright)?;
        if self.channels == Channels::Grey {
            pixels = pixels.into_grey();
        }
        let window = self.window(pixels.height, pixels.width, max_pixels)?;
        Ok(self.laid_out(&resample(pixels, &window, self.kernel)))
    }

    /// Where the wanted part of an image of this size lies after resizing.
    fn window(&self, height: usize, width: usize, max: usize) -> Result<Window, ImageError> {
        let size = match self.size {
            None => [height, width],
            Some(ResizeTo::Exactly(size)) => size,
            Some(ResizeTo::Shorter(side)) if height <= width => [side, side * width / height],
            Some(ResizeTo::Shorter(side)) => [side * height / width, side],
        };
        let wanted = self.crop.unwrap_or(size);
        if wanted[0] > size[0] || wanted[1] > size[1] {
            return Err(ImageError::SmallerThanCrop {
                width: size[1],
                height: size[0],
                crop: wanted,
            });
        }
        // A strip of one pixel by thousands may grow beyond measure.
        if wanted[0].saturating_mul(wanted[1]) > max {
            return Err(ImageError::TooLarge {
                width: wanted[1],
                height: wanted[0],
                max_pixels: max,
            });
        }
        Ok(Window {
            size,
            start: [0, 1].map(|side| middle(size[side] - wanted[side])),
            wanted,
        })
    }

    fn laid_out(&self, pixels: &Pixels) -> Row {
        let shape = self.shape_of(pixels.height, pixels.width);
        let elements = match &self.values {
            Values::Uint8 => Elements::Uint8(self.elements(pixels, |_, sample| sample)),
            Values::Float16(tables) => {
                Elements::Float16(self.elements(pixels, |channel, sample| {
                    tables[channel][usize::from(sample)]
                }))
            }
            Values::Float32(tables) => {
                Elements::Float32(self.elements(pixels, |channel, sample| {
                    tables[channel][usize::from(sample)]
                }))
            }
        };
        Row { shape, elements }
    }

    /// `value` gets a channel in the model's order and a sample of 0 to 255.
    fn elements<T>(&self, pixels: &Pixels, value: impl Fn(usize, u8) -> T) -> Vec<T> {
        // Which sample of a pixel each channel is; an image without colours has the same in all of them.
        let sources: &[usize] = match (self.channels, pixels.channels) {
            (Channels::Grey, _) => &[0],
            (_, 1) => &[0, 0, 0],
            (Channels::Rgb, _) => &[0, 1, 2],
            (Channels::Bgr, _) => &[2, 1, 0],
        };
        let samples = pixels.bytes.chunks_exact(pixels.channels);
        let mut elements = Vec::with_capacity(samples.len() * sources.len());
        if self.layout == RowLayout::Chw {
            for (channel, source) in sources.iter().enumerate() {
                let plane = samples.clone();
                elements.extend(plane.map(|pixel| value(channel, pixel[*source])));
            }
            return elements;
        }
        for pixel in samples {
            for (channel, source) in sources.iter().enumerate() {
                elements.push(value(channel, pixel[*source]));
            }
        }
        elements
    }
}

/// Half of what is too much; halves go to the even number, as `torchvision.transforms.CenterCrop` has it.
fn middle(spare: usize) -> usize {
    let half = spare / 2;
    half + (spare % 2) * (half % 2)
}

/// For each channel `(sample × scale − mean) ÷ std`, computed in double precision and rounded once.
pub(super) fn normalised(options: &ImageOptions) -> Vec<[f64; 256]> {
    let channels = if options.channels == Channels::Grey {
        1
    } else {
        3
    };
    let of = |values: &[f64], channel: usize, otherwise: f64| {
        let one = values.first().copied().unwrap_or(otherwise);
        values.get(channel).copied().unwrap_or(one)
    };
    let table = |channel: usize| {
        let (mean, std) = (
            of(&options.mean, channel, 0.0),
            of(&options.std, channel, 1.0),
        );
        let mut table = [0.0; 256];
        for (sample, value) in (0u8..=255).zip(&mut table) {
            *value = (f64::from(sample) * options.scale - mean) / std;
        }
        table
    };
    (0..channels).map(table).collect()
}

impl From<Layout> for RowLayout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Hwc => Self::Hwc,
            Layout::Chw => Self::Chw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_out_lies_where_torchvision_has_it() {
        // int(round(spare / 2.0)) of Python.
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7].map(middle),
            [0, 0, 1, 2, 2, 2, 3, 4]
        );
    }
}
