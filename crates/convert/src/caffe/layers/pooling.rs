//! Pooling with Caffe's rule for the number of windows and for what an average divides by.

use super::convolution::per_axis;
use super::{Context, index, signed};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Value};

const KNOWN: [&str; 12] = [
    "pool",
    "pad",
    "pad_h",
    "pad_w",
    "kernel_size",
    "kernel_h",
    "kernel_w",
    "stride",
    "stride_h",
    "stride_w",
    "global_pooling",
    "round_mode",
];
/// More than any layer's image has.
const MAX_WINDOWS: u64 = 1 << 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Max,
    Average,
}

/// One spatial axis.
#[derive(Clone, Copy)]
struct Side {
    size: u64,
    kernel: u64,
    stride: u64,
    pad: u64,
    windows: u64,
}

/// How windows are counted.
#[derive(Clone, Copy)]
struct Rule {
    /// Their number is rounded up.
    up: bool,
    /// The last one begins within image or left padding; so it is where any axis has padding.
    within: bool,
}

pub(super) fn pooling(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("pooling_param", &KNOWN)?;
    let method = match params.word("pool")?.unwrap_or("MAX") {
        "MAX" | "0" => Method::Max,
        "AVE" | "1" => Method::Average,
        other => return Err(Problem::Unsupported(format!("pool: {other}"))),
    };
    let shape = &bottom.shape;
    if shape.rank() != 4 {
        return Err(Problem::Misfit(format!(
            "it pools images, and its bottom is {shape}"
        )));
    }
    let (height, width) = (shape.size(2)?, shape.size(3)?);
    if params.flag("global_pooling")?.unwrap_or(false) {
        let op = if method == Method::Max {
            "GlobalMaxPool"
        } else {
            "GlobalAveragePool"
        };
        let shape = shape.with(2, Dim::Fixed(1)).with(3, Dim::Fixed(1));
        return layer.graph.add(Op::new(op), &[&bottom], shape);
    }
    let up = match params.word("round_mode")?.unwrap_or("CEIL") {
        "CEIL" | "0" => true,
        "FLOOR" | "1" => false,
        other => return Err(Problem::Unsupported(format!("round_mode: {other}"))),
    };
    let kernel = per_axis(params, ("kernel_size", "kernel"), (2, None))?;
    let stride = per_axis(params, ("stride", "stride"), (2, Some(1)))?;
    let pad = per_axis(params, ("pad", "pad"), (2, Some(0)))?;
    let rule = Rule {
        up,
        within: pad.iter().any(|&pad| pad > 0),
    };
    let side = |axis: usize, size| Side {
        size,
        kernel: kernel[axis],
        stride: stride[axis],
        pad: pad[axis],
        windows: 0,
    };
    let sides = [
        side(0, height).counted(rule)?,
        side(1, width).counted(rule)?,
    ];
    pool(layer, &bottom, (method, sides))
}

fn pool(
    layer: &mut Context<'_>,
    bottom: &Value,
    (method, sides): (Method, [Side; 2]),
) -> LayerResult<Value> {
    let [height, width] = sides;
    let op = Op::new(if method == Method::Max {
        "MaxPool"
    } else {
        "AveragePool"
    })
    .ints(
        "kernel_shape",
        &[signed(height.kernel)?, signed(width.kernel)?],
    )
    .ints("strides", &[signed(height.stride)?, signed(width.stride)?])
    .ints(
        "pads",
        &[
            signed(height.pad)?,
            signed(width.pad)?,
            signed(height.pad_end())?,
            signed(width.pad_end())?,
        ],
    );
    let shape = bottom
        .shape
        .with(2, Dim::Fixed(height.windows))
        .with(3, Dim::Fixed(width.windows));
    if method == Method::Max {
        return layer.graph.add(op, &[bottom], shape);
    }
    let padded = height.pad > 0 || width.pad > 0;
    let op = op.int("count_include_pad", i64::from(padded));
    let average = layer.graph.add(op, &[bottom], shape)?;
    match padded && (height.overhangs() || width.overhangs()) {
        false => Ok(average),
        true => divided_anew(layer, &average, sides),
    }
}

/// Caffe divides by the part of the window within image and padding. Where windows hang over that,
/// ONNX has divided by the whole window, since there it is padding too.
fn divided_anew(
    layer: &mut Context<'_>,
    average: &Value,
    [height, width]: [Side; 2],
) -> LayerResult<Value> {
    if height.windows.saturating_mul(width.windows) > MAX_WINDOWS {
        return Err(Problem::Misfit(
            "it has more windows than any image".to_owned(),
        ));
    }
    let mut factors = Vec::with_capacity(index(height.windows * width.windows)?);
    for row in 0..height.windows {
        for column in 0..width.windows {
            factors.push(height.factor(row) * width.factor(column));
        }
    }
    let factors = layer
        .graph
        .floats(&[1, 1, height.windows, width.windows], &factors)?;
    layer.binary("Mul", average, &factors)
}

impl Side {
    fn counted(mut self, rule: Rule) -> LayerResult<Self> {
        if self.kernel == 0 || self.stride == 0 || self.pad >= self.kernel {
            let what = "its kernel_size or stride is 0, or pad is not smaller than the kernel";
            return Err(Problem::Misfit(what.to_owned()));
        }
        let none = || {
            Problem::Misfit(format!(
                "its kernel reaches over {} of {} elements",
                self.kernel, self.size
            ))
        };
        let room = (self.size + 2 * self.pad)
            .checked_sub(self.kernel)
            .ok_or_else(none)?;
        self.windows = 1 + if rule.up {
            room.div_ceil(self.stride)
        } else {
            room / self.stride
        };
        if rule.within && (self.windows - 1) * self.stride >= self.size + self.pad {
            self.windows -= 1;
        }
        if (self.windows - 1) * self.stride >= self.size + self.pad {
            return Err(Problem::Unsupported(
                "a last window that lies outside of the image".to_owned(),
            ));
        }
        Ok(self)
    }

    /// Where the last window ends, counted from the beginning of the left padding.
    fn end(&self) -> u64 {
        (self.windows - 1) * self.stride + self.kernel
    }

    /// Padding after the image so that exactly these windows fit.
    fn pad_end(&self) -> u64 {
        self.end().saturating_sub(self.size + self.pad)
    }

    /// Whether the last window reaches beyond the right padding.
    fn overhangs(&self) -> bool {
        self.end() > self.size + 2 * self.pad
    }

    /// Whole window by the part of it within image and padding.
    #[allow(clippy::cast_precision_loss, reason = "kernels are small numbers")]
    fn factor(&self, window: u64) -> f32 {
        let start = window * self.stride;
        let end = (start + self.kernel).min(self.size + 2 * self.pad);
        self.kernel as f32 / (end - start) as f32
    }
}

/// The average of an image over odd windows around each element, zeros beyond its border.
pub(super) fn average_around(
    layer: &mut Context<'_>,
    value: &Value,
    window: u64,
) -> LayerResult<Value> {
    let (size, pad) = (signed(window)?, signed(window / 2)?);
    let op = Op::new("AveragePool")
        .ints("kernel_shape", &[size, size])
        .ints("strides", &[1, 1])
        .ints("pads", &[pad; 4])
        .int("count_include_pad", 1);
    layer.graph.add(op, &[value], value.shape.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(size: u64, kernel: u64, stride: u64, pad: u64) -> Side {
        let windows = 0;
        Side {
            size,
            kernel,
            stride,
            pad,
            windows,
        }
    }

    const UP: Rule = Rule {
        up: true,
        within: true,
    };

    #[test]
    fn windows_are_counted_as_caffe_does() {
        for (size, kernel, stride, pad, windows) in [
            (224, 3, 2, 0, 112), // GoogLeNet: 111.5 is rounded up
            (55, 3, 2, 0, 27),   // AlexNet: exact
            (112, 3, 2, 1, 57),  // rounded up into the padding
            (4, 2, 2, 1, 3),     // the last window begins in the padding's middle
            (5, 2, 3, 1, 2),     // a third one would begin outside
            (7, 7, 1, 0, 1),
        ] {
            let side = side(size, kernel, stride, pad).counted(UP).unwrap();
            assert_eq!(side.windows, windows, "{size} {kernel} {stride} {pad}");
        }
        assert_eq!(
            side(224, 3, 2, 0)
                .counted(Rule { up: false, ..UP })
                .unwrap()
                .windows,
            111
        );
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        for (size, kernel, stride, pad) in [(2, 3, 1, 0), (4, 0, 1, 0), (4, 1, 0, 0), (4, 2, 1, 2)]
        {
            assert!(
                side(size, kernel, stride, pad).counted(UP).is_err(),
                "{size} {kernel} {stride} {pad}"
            );
        }
    }

    #[test]
    fn an_overhanging_window_is_divided_by_what_is_there() {
        let side = side(6, 3, 2, 1).counted(UP).unwrap();
        // Padded 8, windows begin at 0, 2, 4, 6: the last has 2 of 3 elements.
        assert_eq!(side.windows, 4);
        assert!(side.overhangs());
        assert!((side.factor(3) - 1.5).abs() < 1e-6 && (side.factor(0) - 1.0).abs() < 1e-6);
    }
}
