//! Convolutions over images, volumes and sequences.

use super::arrange::{channels_back, channels_first, expect_size, rows_of_rank, signed, transpose};
use super::product;
use super::window::{Names, Pad, Window};
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
        "SpatialFullConvolution" => full(walk, module, x),
        "SpatialSeparableConvolution" => separable(walk, module, x),
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

/// `intParams`: inputs, outputs, kernel, strides, padding and what is added, each width first; groups.
fn full(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let list = module.ints("intParams")?;
    let list: Result<Vec<u64>, _> = list.iter().map(|&it| u64::try_from(it)).collect();
    let Ok(
        &[
            inputs,
            outputs,
            kernel_w,
            kernel_h,
            stride_w,
            stride_h,
            pad_w,
            pad_h,
            more_w,
            more_h,
            groups,
        ],
    ) = list.as_deref()
    else {
        return Err(Problem::Misfit(
            "attribute intParams must have 11 numbers of 0 and more".to_owned(),
        ));
    };
    rows_of_rank(x, 4)?;
    expect_size(x, 1, inputs)?;
    let of_group = outputs
        .checked_div(groups)
        .filter(|it| it.checked_mul(groups) == Some(outputs) && inputs % groups == 0);
    let of_group = of_group.ok_or_else(|| {
        Problem::Misfit(format!(
            "{inputs} inputs and {outputs} outputs in {groups} groups"
        ))
    })?;
    let sizes = [inputs, of_group, kernel_h, kernel_w];
    let weights = walk.need(module, 0, product(&sizes)?)?;
    let rows = grown(x.shape.0[2], [kernel_h, stride_h, pad_h, more_h])?;
    let columns = grown(x.shape.0[3], [kernel_w, stride_w, pad_w, more_w])?;
    let shape = x
        .shape
        .with(1, Dim::Fixed(outputs))
        .with(2, rows)
        .with(3, columns);
    let pads = [signed(pad_h)?, signed(pad_w)?];
    let op = Op::new("ConvTranspose")
        .ints("kernel_shape", &[signed(kernel_h)?, signed(kernel_w)?])
        .ints("strides", &[signed(stride_h)?, signed(stride_w)?])
        .ints("pads", &pads.repeat(2))
        .ints("output_padding", &[signed(more_h)?, signed(more_w)?])
        .int("group", signed(groups)?);
    let weights = walk.graph.floats(&sizes, &weights)?;
    if module.flag("noBias", false)? {
        return walk.graph.add(op, &[x, &weights], shape);
    }
    let bias = walk.need(module, 1, outputs)?;
    let bias = walk.graph.floats(&[outputs], &bias)?;
    walk.graph.add(op, &[x, &weights, &bias], shape)
}

/// The size that a full convolution makes of one.
fn grown(dim: Dim, [kernel, stride, pad, more]: [u64; 4]) -> LayerResult<Dim> {
    let Dim::Fixed(size) = dim else {
        return Ok(dim);
    };
    let size = size
        .checked_sub(1)
        .and_then(|it| it.checked_mul(stride))
        .and_then(|it| it.checked_add(kernel))
        .and_then(|it| it.checked_add(more))
        .and_then(|it| it.checked_sub(pad.checked_mul(2)?));
    Ok(Dim::Fixed(checked(size)?))
}

/// A convolution of each channel alone, then one of single points.
fn separable(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    if module.channels_last("dataFormat") {
        return Err(Problem::Unsupported("channels last".to_owned()));
    }
    let window = Window::of(module, &[["kH", "sH", "pH", ""], ["kW", "sW", "pW", ""]])?;
    let (inputs, outputs) = (
        module.size("nInputChannel")?,
        module.size("nOutputChannel")?,
    );
    let multiplier = module.size("depthMultiplier")?;
    let between = checked(inputs.checked_mul(multiplier))?;
    let numbers = |key: &str, count: u64| attribute(walk, (module, key), count);
    let sizes = vec![between, 1, window.axes[0].kernel, window.axes[1].kernel];
    let weights = channels_outside(
        &numbers("depthWeight", product(&sizes)?)?,
        (inputs, multiplier),
    );
    let points = numbers("pointWeight", checked(outputs.checked_mul(between))?)?;
    let bias = if module.flag("hasBias", true)? {
        Some(numbers("bias", outputs)?)
    } else {
        None
    };
    let depth = Convolution {
        window,
        sizes,
        weights,
        bias: None,
        groups: inputs,
    }
    .add(walk, x)?;
    let single = super::window::Steps {
        kernel: 1,
        stride: 1,
        pad: Pad::Both(0),
        dilation: 1,
    };
    let window = Window {
        axes: vec![single; 2],
    };
    Convolution {
        window,
        sizes: vec![outputs, between, 1, 1],
        weights: points,
        bias,
        groups: 1,
    }
    .add(walk, &depth)
}

/// So many numbers of an attribute.
fn attribute(walk: &Walk, (module, key): (&Module, &str), count: u64) -> LayerResult<Vec<f32>> {
    let found = module
        .tensors(key)?
        .first()
        .ok_or_else(|| Problem::Weights(format!("{key} is missing")))?;
    let found = walk.storages.weights(found)?.values;
    if u64::try_from(found.len()) == Ok(count) {
        Ok(found)
    } else {
        Err(Problem::Weights(format!(
            "{key} has {} numbers",
            found.len()
        )))
    }
}

/// Kernels of each multiplier for all channels become those of each channel for all multipliers.
fn channels_outside(weights: &[f32], (inputs, multiplier): (u64, u64)) -> Vec<f32> {
    let fits = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let (inputs, multiplier) = (fits(inputs), fits(multiplier));
    let kernel = weights.len() / inputs.saturating_mul(multiplier).max(1);
    let mut turned = Vec::with_capacity(weights.len());
    for input in 0..inputs {
        for copy in 0..multiplier {
            let at = (copy * inputs + input) * kernel;
            turned.extend(&weights[at..at + kernel]);
        }
    }
    turned
}

/// The shape of rows in two dimensions.
pub(super) fn flat(x: &Value, outputs: u64) -> Shape {
    Shape(vec![x.shape.0[0], Dim::Fixed(outputs)])
}
