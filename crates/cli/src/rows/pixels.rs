//! PNG and JPEG files as rows of an input: decoded, resized if wanted, laid out as the model takes them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use clap::Args;
use millrace_wire::{DType, Tensor, TensorSpec, VariableData};

use super::elements;
use super::mapping::described;
use super::raster::{Raster, decoded};

/// What is done with pixels before the model gets them, as flags.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct PixelArgs {
    /// Images: resize to the model's rows and columns
    #[arg(long)]
    resize: bool,
    /// Images: multiply each value, 0 to 255, by this
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f32,
    /// Images: subtract this after --scale; one number or three
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    mean: Vec<f32>,
    /// Images: divide by this after --mean; one number or three
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    std: Vec<f32>,
    /// Images: give the model blue, green, red
    #[arg(long)]
    bgr: bool,
}

/// A way from files to rows of one input.
#[derive(Clone, Debug)]
pub(super) struct Pixels {
    args: PixelArgs,
    spec: TensorSpec,
    layout: Layout,
}

/// How the model takes an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// The file itself, which the model decodes.
    Encoded,
    /// Rows, columns, and a dimension of channels if there is one.
    ChannelsLast(usize),
    /// Channels, rows, columns.
    ChannelsFirst(usize),
}

impl Pixels {
    /// # Errors
    /// The input is no image, or the flags do not fit it, as a sentence.
    pub(super) fn new(args: &PixelArgs, spec: &TensorSpec) -> Result<Self, String> {
        let channels = |size: &Option<usize>| matches!(size, Some(1 | 3));
        let layout = match (spec.dtype, spec.shape.as_slice()) {
            (DType::Bytes, [_]) => Layout::Encoded,
            (DType::String | DType::Bytes | DType::Bool, _) => return Err(no_image(spec)),
            (_, [_, _, _]) => Layout::ChannelsLast(1),
            (_, [_, _, _, last]) if channels(last) => Layout::ChannelsLast(last.unwrap_or(3)),
            (_, [_, first, _, _]) if channels(first) => Layout::ChannelsFirst(first.unwrap_or(3)),
            (_, [_, _, _, None]) => Layout::ChannelsLast(3),
            _ => return Err(no_image(spec)),
        };
        for (flag, values) in [("--mean", &args.mean), ("--std", &args.std)] {
            if !matches!(values.len(), 0 | 1 | 3) {
                return Err(format!(
                    "{flag} takes one number or three, got {}",
                    values.len()
                ));
            }
        }
        Ok(Self {
            args: args.clone(),
            spec: spec.clone(),
            layout,
        })
    }

    /// One image as a tensor of one row.
    ///
    /// # Errors
    /// The file is no image, or not of the size that the model takes, as a sentence.
    pub(super) fn tensor(&self, file: &[u8]) -> Result<Tensor, String> {
        let channels = match self.layout {
            Layout::Encoded => {
                let name = self.spec.name.as_str();
                let data: VariableData = [file].into_iter().collect();
                return Tensor::variable(name, DType::Bytes, vec![1], data)
                    .map_err(|error| error.to_string());
            }
            Layout::ChannelsLast(channels) | Layout::ChannelsFirst(channels) => channels,
        };
        let raster = decoded(file)?.with_channels(channels);
        let raster = self.sized(raster)?;
        let shape = self.shape(&raster);
        let values = self.values(raster);
        let tensor = elements::tensor(&self.spec.name, self.spec.dtype, shape, &values)?;
        let fits = self.spec.check(tensor.dtype(), tensor.shape());
        fits.map_err(|error| error.to_string())?;
        Ok(tensor)
    }

    /// The model's rows and columns; none is open.
    fn wanted_size(&self) -> (Option<usize>, Option<usize>) {
        let at = |index: usize| self.spec.shape.get(index).copied().flatten();
        match self.layout {
            Layout::ChannelsFirst(_) => (at(2), at(3)),
            _ => (at(1), at(2)),
        }
    }

    fn sized(&self, raster: Raster) -> Result<Raster, String> {
        let (rows, columns) = self.wanted_size();
        let (height, width) = (
            rows.unwrap_or(raster.height),
            columns.unwrap_or(raster.width),
        );
        match (height, width) == (raster.height, raster.width) {
            true => Ok(raster),
            false if self.args.resize => Ok(raster.resized(width, height)),
            false => Err(format!(
                "the image has {} rows of {} pixels, the model takes {height} of {width}; add --resize",
                raster.height, raster.width
            )),
        }
    }

    fn shape(&self, raster: &Raster) -> Vec<usize> {
        let (height, width) = (raster.height, raster.width);
        match self.layout {
            Layout::ChannelsFirst(channels) => vec![1, channels, height, width],
            Layout::ChannelsLast(channels) if self.spec.shape.len() == 4 => {
                vec![1, height, width, channels]
            }
            _ => vec![1, height, width],
        }
    }

    /// All values in the model's order.
    fn values(&self, raster: Raster) -> ArrayRef {
        let channels = raster.channels;
        let mut bytes = raster.bytes;
        if self.args.bgr && channels == 3 {
            bytes.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        if let Layout::ChannelsFirst(_) = self.layout {
            let plane = |channel: usize| bytes.iter().skip(channel).step_by(channels).copied();
            bytes = (0..channels).flat_map(plane).collect();
        }
        let args = &self.args;
        if args.scale == 1.0 && args.mean.is_empty() && args.std.is_empty() {
            return elements::bytes_array(bytes);
        }
        let pixels = bytes.len() / channels.max(1);
        let channel_of = |index: usize| {
            let place = match self.layout {
                Layout::ChannelsFirst(_) => index / pixels.max(1),
                _ => index % channels,
            };
            // Mean and deviation are given for red, green, blue.
            if args.bgr {
                channels - 1 - place
            } else {
                place
            }
        };
        let of = |values: &[f32], channel: usize, default: f32| match values {
            [] => default,
            [one] => *one,
            several => several.get(channel).copied().unwrap_or(default),
        };
        let value = |(index, &byte): (usize, &u8)| {
            let channel = channel_of(index);
            let centred = f32::from(byte) * args.scale - of(&args.mean, channel, 0.0);
            centred / of(&args.std, channel, 1.0)
        };
        let values: Float32Array = bytes.iter().enumerate().map(value).map(Some).collect();
        Arc::new(values)
    }
}

fn no_image(spec: &TensorSpec) -> String {
    format!(
        "input {} is {}, which takes no images: expected rows and columns of numbers, with 1 or 3 channels last or first",
        spec.name,
        described(spec)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> PixelArgs {
        PixelArgs {
            resize: false,
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            bgr: false,
        }
    }

    fn spec(dtype: DType, shape: &[Option<usize>]) -> TensorSpec {
        let mut all = vec![None];
        all.extend(shape);
        TensorSpec {
            name: "image".to_owned(),
            dtype,
            shape: all,
        }
    }

    fn png_of(width: u32, height: u32, colour: png::ColorType, bytes: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(colour);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(bytes).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn channels_are_laid_out_as_the_model_takes_them() {
        let file = png_of(2, 1, png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6]);
        let of = |args: &PixelArgs, shape: &[Option<usize>]| {
            let pixels = Pixels::new(args, &spec(DType::Uint8, shape)).unwrap();
            pixels
                .tensor(&file)
                .unwrap()
                .typed::<u8>()
                .unwrap()
                .to_vec()
        };
        assert_eq!(of(&flags(), &[None, None, Some(3)]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(
            of(&flags(), &[Some(3), Some(1), Some(2)]),
            [1, 4, 2, 5, 3, 6]
        );
        let bgr = PixelArgs {
            bgr: true,
            ..flags()
        };
        assert_eq!(of(&bgr, &[None, None, Some(3)]), [3, 2, 1, 6, 5, 4]);
        assert_eq!(of(&flags(), &[None, None]), [2, 5], "grey");
    }

    #[test]
    fn scale_mean_and_deviation_are_applied_in_this_order() {
        let args = PixelArgs {
            scale: 0.5,
            mean: vec![1.0, 2.0, 3.0],
            std: vec![2.0],
            ..flags()
        };
        let file = png_of(1, 1, png::ColorType::Rgb, &[10, 20, 30]);
        let pixels = Pixels::new(&args, &spec(DType::Float32, &[Some(3), None, None])).unwrap();
        let tensor = pixels.tensor(&file).unwrap();
        assert_eq!(tensor.typed::<f32>().unwrap(), [2.0, 4.0, 6.0]);
        let bgr = PixelArgs { bgr: true, ..args };
        let pixels = Pixels::new(&bgr, &spec(DType::Float32, &[None, None, Some(3)])).unwrap();
        let tensor = pixels.tensor(&file).unwrap();
        assert_eq!(tensor.typed::<f32>().unwrap(), [6.0, 4.0, 2.0]);
    }

    #[test]
    fn another_size_is_refused_unless_resizing_is_wanted() {
        let file = png_of(4, 4, png::ColorType::Grayscale, &[100; 16]);
        let spec = spec(DType::Float32, &[Some(2), Some(2)]);
        let sentence = Pixels::new(&flags(), &spec)
            .unwrap()
            .tensor(&file)
            .unwrap_err();
        assert!(
            sentence.contains("4 rows of 4 pixels") && sentence.contains("--resize"),
            "{sentence}"
        );
        let args = PixelArgs {
            resize: true,
            ..flags()
        };
        let tensor = Pixels::new(&args, &spec).unwrap().tensor(&file).unwrap();
        assert_eq!(tensor.typed::<f32>().unwrap(), [100.0; 4]);
    }

    #[test]
    fn what_is_no_image_is_said() {
        let pixels = Pixels::new(&flags(), &spec(DType::Uint8, &[None, None])).unwrap();
        assert!(pixels.tensor(b"GIF89a").is_err());
        let file = png_of(4, 4, png::ColorType::Grayscale, &[100; 16]);
        assert!(
            pixels
                .tensor(&file[..file.len() / 2])
                .unwrap_err()
                .contains("damaged")
        );
        assert!(Pixels::new(&flags(), &spec(DType::Float32, &[Some(10)])).is_err());
    }
}
