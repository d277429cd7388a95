//! `[images.<input>]` and the input's own type and shape become steps, or a sentence that says what does not go together.

use half::f16;
use millrace_wire::{DType, TensorSpec};

use super::steps::{RowLayout, Steps, Target, Values, normalised};
use crate::repository::{Channels, ImageOptions, Layout, ResizeTo};

/// No side of a row is longer.
const MAX_SIDE: usize = 1 << 16;

/// What is wrong with `[images.<input>]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("images.{input}{problem}")]
pub struct ImageOptionsError {
    input: String,
    problem: String,
}

impl ImageOptionsError {
    pub(super) fn no_such_input(name: &str, inputs: &[TensorSpec]) -> Self {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        Self {
            input: name.to_owned(),
            problem: format!(" names no input of the model; it has {}", names.join(", ")),
        }
    }
}

impl Steps {
    /// The steps for one input of a model, whose dimension 0 is the rows.
    ///
    /// # Errors
    /// The first option that cannot be, or that the input's type or shape contradicts.
    pub fn for_input(
        options: &ImageOptions,
        input: &TensorSpec,
    ) -> Result<Self, ImageOptionsError> {
        let compiler = Compiler { options, input };
        let steps = compiler.target().and_then(|target| {
            compiler.check_numbers()?;
            let steps = Steps::new(options, target);
            compiler.check_size(&steps)?;
            Ok(steps)
        });
        steps.map_err(|problem| ImageOptionsError {
            input: input.name.clone(),
            problem,
        })
    }
}

struct Compiler<'a> {
    options: &'a ImageOptions,
    input: &'a TensorSpec,
}

impl Compiler<'_> {
    fn channels(&self) -> usize {
        match self.options.channels {
            Channels::Grey => 1,
            Channels::Rgb | Channels::Bgr => 3,
        }
    }

    fn target(&self) -> Result<Target, String> {
        let row = self.input.shape.get(1..).unwrap_or_default();
        let (layout, size) = match *row {
            [height, width] if self.options.channels == Channels::Grey => {
                (RowLayout::Hw, [height, width])
            }
            [_, _] => {
                return Err(
                    ": the input has no dimension for colours: set channels = \"grey\"".to_owned(),
                );
            }
            [first, second, third] => self.planes([first, second, third])?,
            _ => {
                let rank = self.input.shape.len();
                return Err(format!(
                    ": the input has {rank} dimensions; an image needs rows, height, width and channels"
                ));
            }
        };
        Ok(Target {
            layout,
            size: size[0].zip(size[1]).map(|(height, width)| [height, width]),
            values: self.values()?,
        })
    }

    /// Where the channels stand, and height and width.
    fn planes(
        &self,
        [first, second, third]: [Option<usize>; 3],
    ) -> Result<(RowLayout, [Option<usize>; 2]), String> {
        let channels = Some(self.channels());
        let layout = match self.options.layout {
            Some(layout) => layout,
            None if third == channels && first != channels => Layout::Hwc,
            None if first == channels && third != channels => Layout::Chw,
            None => {
                return Err(".layout is not set, and the input's shape does not tell: set \"HWC\" or \"CHW\"".to_owned());
            }
        };
        let (given, size) = match layout {
            Layout::Hwc => (third, [first, second]),
            Layout::Chw => (first, [second, third]),
        };
        match given.filter(|given| Some(*given) != channels) {
            None => Ok((layout.into(), size)),
            Some(given) => Err(format!(
                ".channels: the input has {given} channels where {} are made, laid out as {layout:?}",
                self.channels()
            )),
        }
    }

    fn values(&self) -> Result<Values, String> {
        let tables = normalised(self.options);
        match self.input.dtype {
            DType::Uint8 => {
                let default = ImageOptions::default();
                let ImageOptions {
                    scale, mean, std, ..
                } = self.options;
                if (scale, mean, std) != (&default.scale, &default.mean, &default.std) {
                    return Err(": scale, mean and std are for inputs of type FP32 or FP16, and this one is UINT8".to_owned());
                }
                Ok(Values::Uint8)
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "this is where values are rounded"
            )]
            DType::Float32 => Ok(Values::Float32(
                tables
                    .iter()
                    .map(|table| table.map(|value| value as f32))
                    .collect(),
            )),
            DType::Float16 => Ok(Values::Float16(
                tables
                    .iter()
                    .map(|table| table.map(f16::from_f64))
                    .collect(),
            )),
            other => Err(format!(
                ": the input is {other}; images become UINT8, FP16 or FP32"
            )),
        }
    }

    fn check_numbers(&self) -> Result<(), String> {
        let ImageOptions {
            scale, mean, std, ..
        } = self.options;
        if !scale.is_finite() {
            return Err(format!(".scale is {scale}; it must be a number"));
        }
        for (name, values) in [("mean", mean), ("std", std)] {
            if values.len() > 1 && values.len() != self.channels() {
                return Err(format!(
                    ".{name} has {} numbers; it must have one, or one for each of {} channels",
                    values.len(),
                    self.channels()
                ));
            }
            let is_bad = |value: &&f64| !value.is_finite() || (name == "std" && **value == 0.0);
            if let Some(value) = values.iter().find(is_bad) {
                return Err(format!(".{name} has {value}, which cannot be"));
            }
        }
        let resize: &[usize] = match &self.options.resize {
            None => &[],
            Some(ResizeTo::Exactly(size)) => size,
            Some(ResizeTo::Shorter(side)) => std::slice::from_ref(side),
        };
        let crop = self.options.crop.iter().flatten();
        for (name, side) in resize
            .iter()
            .map(|it| ("resize", it))
            .chain(crop.map(|it| ("crop", it)))
        {
            if !(1..=MAX_SIDE).contains(side) {
                return Err(format!(
                    ".{name} has {side}; a side must be 1 to {MAX_SIDE}"
                ));
            }
        }
        Ok(())
    }

    /// Whether the rows are as high and wide as the input.
    fn check_size(&self, steps: &Steps) -> Result<(), String> {
        if let (Some(ResizeTo::Exactly(size)), Some(crop)) =
            (self.options.resize, self.options.crop)
            && (crop[0] > size[0] || crop[1] > size[1])
        {
            return Err(format!(
                ".crop is {crop:?}, larger than resize, which is {size:?} (height, width)"
            ));
        }
        let row = self.input.shape.get(1..).unwrap_or_default();
        let sides = match steps.layout() {
            RowLayout::Chw => row.get(1..3),
            RowLayout::Hwc | RowLayout::Hw => row.get(..2),
        };
        let Some([height, width]) = sides else {
            return Ok(());
        };
        let made = steps.fixed_size();
        for (wanted, made) in [
            (height, made.map(|it| it[0])),
            (width, made.map(|it| it[1])),
        ] {
            let Some(wanted) = wanted else { continue };
            if made != Some(*wanted) {
                let made = steps
                    .fixed_size()
                    .map_or("of any size".to_owned(), |it| format!("{it:?}"));
                let side =
                    |side: &Option<usize>| side.map_or("any".to_owned(), |it| it.to_string());
                return Err(format!(
                    ": images come out {made}, the input takes [{}, {}] (height, width): set resize or crop",
                    side(height),
                    side(width)
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(dtype: DType, row: &[Option<usize>]) -> TensorSpec {
        TensorSpec {
            name: "image".to_owned(),
            dtype,
            shape: [&[None], row].concat(),
        }
    }

    fn check(options: &str, input: &TensorSpec, expected: &str) {
        let options: ImageOptions = toml::from_str(options).unwrap();
        let said = match Steps::for_input(&options, input) {
            Ok(steps) => format!("{:?} {:?}", steps.layout(), steps.fixed_size()),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{options:?} of {input:?}: {said}");
    }

    const FLOAT: DType = DType::Float32;

    #[test]
    fn the_inputs_shape_decides_what_the_options_leave_open() {
        let (three, open) = (Some(3), None);
        check(
            "",
            &input(FLOAT, &[Some(4), Some(5), three]),
            "Hwc Some([4, 5])",
        );
        check(
            "",
            &input(FLOAT, &[three, Some(4), Some(5)]),
            "Chw Some([4, 5])",
        );
        check("", &input(FLOAT, &[three, open, open]), "Chw None");
        check(
            "resize = [7, 8]",
            &input(FLOAT, &[three, open, open]),
            "Chw Some([7, 8])",
        );
        check(
            "channels = \"grey\"",
            &input(FLOAT, &[Some(8), Some(8)]),
            "Hw Some([8, 8])",
        );
        let ambiguous = input(FLOAT, &[three, Some(3), three]);
        check("", &ambiguous, "images.image.layout is not set");
        check("layout = \"CHW\"", &ambiguous, "Chw Some([3, 3])");
        check(
            "resize = 9\ncrop = [4, 5]",
            &input(FLOAT, &[Some(4), Some(5), three]),
            "Hwc Some([4, 5])",
        );
    }

    #[test]
    fn what_cannot_be_is_said_with_what_to_do() {
        let usual = input(FLOAT, &[Some(4), Some(5), Some(3)]);
        check(
            "resize = [9, 9]",
            &usual,
            "images come out [9, 9], the input takes [4, 5]",
        );
        check(
            "resize = 9",
            &usual,
            "images come out of any size, the input takes [4, 5]",
        );
        check("crop = [0, 5]", &usual, "images.image.crop has 0");
        check(
            "resize = [2, 2]\ncrop = [4, 5]",
            &usual,
            "larger than resize",
        );
        check(
            "mean = [1.0, 2.0]",
            &usual,
            "images.image.mean has 2 numbers",
        );
        check("std = [0.0]", &usual, "images.image.std has 0");
        check("scale = inf", &usual, "images.image.scale is inf");
        check(
            "layout = \"CHW\"",
            &usual,
            "the input has 4 channels where 3 are made",
        );
        check(
            "",
            &input(FLOAT, &[Some(4), Some(5)]),
            "set channels = \"grey\"",
        );
        check("", &input(FLOAT, &[Some(4)]), "has 2 dimensions");
        check(
            "",
            &input(DType::Int64, &[Some(4), Some(5), Some(3)]),
            "images become UINT8, FP16 or FP32",
        );
        check(
            "scale = 2.0",
            &input(DType::Uint8, &[Some(4), Some(5), Some(3)]),
            "this one is UINT8",
        );
    }

    #[test]
    fn unknown_options_and_sizes_are_refused_by_name() {
        let wrong = |text: &str| {
            toml::from_str::<ImageOptions>(text)
                .unwrap_err()
                .to_string()
        };
        assert!(wrong("size = [1, 2]").contains("size"));
        assert!(wrong("resize = \"large\"").contains("[height, width]"));
        assert!(wrong("channels = \"rgba\"").contains("RGB"));
    }
}
