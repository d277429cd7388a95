//! Convolution and Deconvolution, with groups and dilation, over any number of spatial axes.

use super::{Context, signed};
use crate::caffe::text::Message;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Shape, Value};

const KNOWN: [&str; 17] = [
    "num_output",
    "bias_term",
    "pad",
    "kernel_size",
    "group",
    "stride",
    "weight_filler",
    "bias_filler",
    "pad_h",
    "pad_w",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "axis",
    "force_nd_im2col",
    "dilation",
];

/// Parameters, one per spatial axis.
struct Window {
    kernel: Vec<u64>,
    stride: Vec<u64>,
    pad: Vec<u64>,
    dilation: Vec<u64>,
    outputs: u64,
    group: u64,
    bias: bool,
}

pub(super) fn convolution(layer: &mut Context<'_>) -> LayerResult<Value> {
    let (bottom, window) = (layer.bottom()?, window(layer)?);
    let channels = bottom.shape.size(1)?;
    divisible(channels, &window)?;
    let mut shape = vec![bottom.shape.0[0], Dim::Fixed(window.outputs)];
    for spatial in 0..window.kernel.len() {
        let padded = bottom.shape.size(spatial + 2)? + 2 * window.pad[spatial];
        let reach = window.reach(spatial)?;
        let none = || {
            Problem::Misfit(format!(
                "its kernel reaches over {reach} of {padded} elements"
            ))
        };
        let room = padded.checked_sub(reach).ok_or_else(none)?;
        shape.push(Dim::Fixed(room / window.stride[spatial] + 1));
    }
    let sizes = [
        vec![window.outputs, channels / window.group],
        window.kernel.clone(),
    ]
    .concat();
    finish(layer, "Conv", &window, (sizes, Shape(shape)))
}

pub(super) fn deconvolution(layer: &mut Context<'_>) -> LayerResult<Value> {
    let (bottom, window) = (layer.bottom()?, window(layer)?);
    let channels = bottom.shape.size(1)?;
    divisible(channels, &window)?;
    let mut shape = vec![bottom.shape.0[0], Dim::Fixed(window.outputs)];
    for spatial in 0..window.kernel.len() {
        let steps = bottom.shape.size(spatial + 2)?.saturating_sub(1);
        let full = steps
            .saturating_mul(window.stride[spatial])
            .saturating_add(window.reach(spatial)?);
        let none = || Problem::Misfit("nothing is left within its padding".to_owned());
        let size = full
            .checked_sub(2 * window.pad[spatial])
            .filter(|&size| size > 0);
        shape.push(Dim::Fixed(size.ok_or_else(none)?));
    }
    let sizes = [
        vec![channels, window.outputs / window.group],
        window.kernel.clone(),
    ]
    .concat();
    finish(layer, "ConvTranspose", &window, (sizes, Shape(shape)))
}

fn finish(
    layer: &mut Context<'_>,
    op: &'static str,
    window: &Window,
    (sizes, shape): (Vec<u64>, Shape),
) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let list = |values: &[u64]| {
        values
            .iter()
            .map(|&value| signed(value))
            .collect::<LayerResult<Vec<_>>>()
    };
    let pads = list(&window.pad)?;
    let op = Op::new(op)
        .ints("kernel_shape", &list(&window.kernel)?)
        .ints("strides", &list(&window.stride)?)
        .ints("pads", &[pads.clone(), pads].concat())
        .ints("dilations", &list(&window.dilation)?)
        .int("group", signed(window.group)?);
    let weights = layer.blob(0, &sizes)?;
    let weights = layer.graph.floats(&sizes, &weights)?;
    if !window.bias {
        return layer.graph.add(op, &[&bottom, &weights], shape);
    }
    let bias = layer.blob(1, &[window.outputs])?;
    let bias = layer.graph.floats(&[window.outputs], &bias)?;
    layer.graph.add(op, &[&bottom, &weights, &bias], shape)
}

fn divisible(channels: u64, window: &Window) -> LayerResult<()> {
    let group = window.group;
    if channels.is_multiple_of(group) && window.outputs.is_multiple_of(group) {
        return Ok(());
    }
    let outputs = window.outputs;
    Err(Problem::Misfit(format!(
        "{channels} channels and {outputs} outputs are no multiples of group {group}"
    )))
}

impl Window {
    /// How many elements the kernel reaches over.
    fn reach(&self, spatial: usize) -> LayerResult<u64> {
        let (kernel, dilation) = (self.kernel[spatial], self.dilation[spatial]);
        let gaps = kernel
            .checked_sub(1)
            .and_then(|gaps| gaps.checked_mul(dilation));
        let gaps = gaps.filter(|_| dilation > 0);
        gaps.map(|gaps| gaps + 1)
            .ok_or_else(|| Problem::Misfit("its kernel_size or dilation is 0".to_owned()))
    }
}

fn window(layer: &Context<'_>) -> LayerResult<Window> {
    let bottom = layer.bottom()?;
    let params = layer.params("convolution_param", &KNOWN)?;
    let spatial = bottom.shape.rank().saturating_sub(2);
    if spatial == 0 || super::axis(params.integer("axis")?.unwrap_or(1), bottom.shape.rank())? != 1
    {
        return Err(Problem::Unsupported(format!(
            "a convolution of {} over other axes than those after 1",
            bottom.shape
        )));
    }
    let window = Window {
        kernel: per_axis(params, ("kernel_size", "kernel"), (spatial, None))?,
        stride: per_axis(params, ("stride", "stride"), (spatial, Some(1)))?,
        pad: per_axis(params, ("pad", "pad"), (spatial, Some(0)))?,
        dilation: per_axis(params, ("dilation", "dilation"), (spatial, Some(1)))?,
        outputs: params.whole("num_output")?.unwrap_or(0),
        group: params.whole("group")?.unwrap_or(1),
        bias: params.flag("bias_term")?.unwrap_or(true),
    };
    let zero =
        window.kernel.contains(&0) || window.stride.contains(&0) || window.dilation.contains(&0);
    if zero || window.outputs == 0 || window.group == 0 {
        let what = "its kernel_size, stride, dilation, num_output or group is 0";
        return Err(Problem::Misfit(what.to_owned()));
    }
    Ok(window)
}

/// One value for all axes, one for each, or `_h` and `_w`.
pub(super) fn per_axis(
    params: &Message,
    (name, stem): (&str, &str),
    (spatial, default): (usize, Option<u64>),
) -> LayerResult<Vec<u64>> {
    let sides = [
        params.whole(&format!("{stem}_h"))?,
        params.whole(&format!("{stem}_w"))?,
    ];
    let values = params.wholes(name)?;
    let misfit = || {
        Problem::Misfit(format!(
            "{name} and {stem}_h, {stem}_w do not fit {spatial} spatial axes"
        ))
    };
    match (sides, values.as_slice()) {
        ([None, None], []) => default.map(|value| vec![value; spatial]).ok_or_else(misfit),
        ([None, None], [value]) => Ok(vec![*value; spatial]),
        ([None, None], values) if values.len() == spatial => Ok(values.to_vec()),
        ([height, width], []) if spatial == 2 => {
            let both = height.or(default).zip(width.or(default));
            both.map(|(height, width)| vec![height, width])
                .ok_or_else(misfit)
        }
        _ => Err(misfit()),
    }
}
