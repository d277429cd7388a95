//! Convolutions over images, volumes and sequences.

use super::arrange::{channels_back, channels_first, expect_size, rows_of_rank, signed, transpose};
use super::window::{Names, Pad, Window};
use super::{full_convolution, product, separable};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Shape, Value, checked};

pub(super) const KINDS: &[&str] = &[
    "SpatialConvolution",
    "SpatialShareConvolution",
    "SpatialDilatedConvolution",
    "SpatialFullConvolution",
    "SpatialSeparableConvolution",
    "VolumetricConvolution",
    "TemporalConvolution",
];
const PLAIN: [Names; 2] = [
    ["kernelH", "strideH", "padH", ""],
    ["kernelW", "strideW", "padW", ""],
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    match module.kind() {
        "SpatialDilatedConvolution" => dilated(walk, module, x),
        "SpatialFullConvolution" => full_convolution::convert(walk, module, x),
        "SpatialSeparableConvolution" => separable::convert(walk, module, x),
        "VolumetricConvolution" => volumetric(walk, module, x),
        "TemporalConvolution" => temporal(walk, module, x),
        _ => plain(walk, module, x),
    }
}

/// A convolution with its weights as ONNX has them.
pub(super) struct Convolution {
    pub(super) window: Window,
    /// Outputs, inputs of a group, then the kernel.
    pub(super) sizes: Vec<u64>,
    pub(super) weights: Vec<f32>,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) groups: u64,
}

impl Convolution {
    /// Adds it; channels of `x` come first.
    pub(super) fn add(self, walk: &mut Walk, x: &Value) -> LayerResult<Value> {
        rows_of_rank(x, self.sizes.len())?;
        expect_size(x, 1, checked(self.sizes[1].checked_mul(self.groups))?)?;
        let graph = &mut walk.graph;
        let weights = graph.floats(&self.sizes, &self.weights)?;
        let bias = self
            .bias
            .map(|bias| graph.floats(&[self.sizes[0]], &bias))
            .transpose()?;
        let mut shape = x.shape.with(1, Dim::Fixed(self.sizes[0]));
        for (at, steps) in self.window.axes.iter().enumerate() {
            shape = shape.with(at + 2, steps.results(x.shape.0[at + 2], false)?);
        }
        let op = Op::new("Conv")
            .ints("kernel_shape", &self.window.list(|it| it.kernel)?)
            .ints("strides", &self.window.list(|it| it.stride)?)
            .ints("dilations", &self.window.list(|it| it.dilation)?)
            .int("group", signed(self.groups)?);
        let op = padded(op, &self.window)?;
        let mut operands = vec![x, &weights];
        operands.extend(bias.as_ref());
        graph.add(op, &operands, shape)
    }
}

/// Padding as ONNX writes it.
pub(super) fn padded(op: Op, window: &Window) -> LayerResult<Op> {
    if window.is_same() {
        return Ok(op.text("auto_pad", "SAME_UPPER"));
    }
    let both = window.list(|it| match it.pad {
        Pad::Both(pad) => pad,
        Pad::Same => 0,
    })?;
    Ok(op.ints("pads", &both.repeat(2)))
}

/// Weights are group, outputs, inputs, kernel; with channels last: group, kernel, inputs, outputs.
fn plain(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let window = Window::of(module, &PLAIN)?;
    let groups = u64::try_from(module.int_or("nGroup", 1)?).unwrap_or(0);
    let (inputs, outputs) = (module.size("nInputPlane")?, module.size("nOutputPlane")?);
    let of_group = inputs
        .checked_div(groups)
        .filter(|it| it.checked_mul(groups) == Some(inputs));
    let of_group =
        of_group.ok_or_else(|| Problem::Misfit(format!("{inputs} inputs in {groups} groups")))?;
    let sizes = vec![
        outputs,
        of_group,
        window.axes[0].kernel,
        window.axes[1].kernel,
    ];
    let mut weights = walk.need(module, 0, product(&sizes)?)?;
    let last = module.channels_last("format");
    if last {
        if groups != 1 {
            return Err(Problem::Unsupported("groups with channels last".to_owned()));
        }
        weights = outputs_first(&weights, &sizes);
    }
    let bias = bias(walk, module, outputs)?;
    let images = channels_first(&mut walk.graph, x, last)?;
    let result = Convolution {
        window,
        sizes,
        weights,
        bias,
        groups,
    }
    .add(walk, &images)?;
    channels_back(&mut walk.graph, &result, last)
}

/// Kernel, inputs, outputs become outputs, inputs, kernel.
fn outputs_first(weights: &[f32], sizes: &[u64]) -> Vec<f32> {
    let fits = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let (outputs, inputs) = (fits(sizes[0]), fits(sizes[1]));
    let kernel = fits(sizes[2]).saturating_mul(fits(sizes[3]));
    let mut turned = Vec::with_capacity(weights.len());
    for output in 0..outputs {
        for input in 0..inputs {
            for at in 0..kernel {
                turned.push(weights[(at * inputs + input) * outputs + output]);
            }
        }
    }
    turned
}

fn bias(walk: &Walk, module: &Module, outputs: u64) -> LayerResult<Option<Vec<f32>>> {
    if module.flag("withBias", true)? {
        walk.need(module, 1, outputs).map(Some)
    } else {
        Ok(None)
    }
}

fn dilated(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let window = Window::of(
        module,
        &[
            ["kH", "dH", "padH", "dilationH"],
            ["kW", "dW", "padW", "dilationW"],
        ],
    )?;
    let outputs = module.size("nOutputPlane")?;
    let sizes = vec![
        outputs,
        module.size("nInputPlane")?,
        window.axes[0].kernel,
        window.axes[1].kernel,
    ];
    let weights = walk.need(module, 0, product(&sizes)?)?;
    let bias = Some(walk.need(module, 1, outputs)?);
    Convolution {
        window,
        sizes,
        weights,
        bias,
        groups: 1,
    }
    .add(walk, x)
}

fn volumetric(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let names = [
        ["kT", "dT", "padT", ""],
        ["kH", "dH", "padH", ""],
        ["kW", "dW", "padW", ""],
    ];
    let window = Window::of(module, &names)?;
    let outputs = module.size("nOutputPlane")?;
    let mut sizes = vec![outputs, module.size("nInputPlane")?];
    sizes.extend(window.axes.iter().map(|it| it.kernel));
    let weights = walk.need(module, 0, product(&sizes)?)?;
    let bias = bias(walk, module, outputs)?;
    Convolution {
        window,
        sizes,
        weights,
        bias,
        groups: 1,
    }
    .add(walk, x)
}

/// Each row of weights holds the inputs of one step after those of the step before.
fn temporal(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    rows_of_rank(x, 3)?;
    let window = Window::of(module, &[["kernelW", "strideW", "", ""]])?;
    let kernel = window.axes[0].kernel;
    let (inputs, outputs) = (
        module.size("inputFrameSize")?,
        module.size("outputFrameSize")?,
    );
    let sizes = vec![outputs, inputs, kernel];
    let steps = walk.need(module, 0, product(&sizes)?)?;
    let bias = Some(walk.need(module, 1, outputs)?);
    let (inputs, kernel) = (
        usize::try_from(inputs).unwrap_or(usize::MAX),
        usize::try_from(kernel).unwrap_or(usize::MAX),
    );
    let mut weights = Vec::with_capacity(steps.len());
    for row in steps.chunks(inputs.saturating_mul(kernel).max(1)) {
        for input in 0..inputs {
            weights.extend((0..kernel).map(|step| row[step * inputs + input]));
        }
    }
    let channels = transpose(&mut walk.graph, x, &[0, 2, 1])?;
    let result = Convolution {
        window,
        sizes,
        weights,
        bias,
        groups: 1,
    }
    .add(walk, &channels)?;
    transpose(&mut walk.graph, &result, &[0, 2, 1])
}

/// The shape of rows in two dimensions.
pub(super) fn flat(x: &Value, outputs: u64) -> Shape {
    Shape(vec![x.shape.0[0], Dim::Fixed(outputs)])
}
