//! Pooling: the largest or the mean of each window, with BigDL's ways to count windows and what is in them.

use super::arrange::{channels_back, channels_first, rows_of_rank, signed, transpose};
use super::convolution::padded;
use super::window::{Pad, Window};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Shape, Value};

pub(super) const KINDS: &[&str] = &[
    "SpatialMaxPooling",
    "SpatialAveragePooling",
    "TemporalMaxPooling",
    "VolumetricMaxPooling",
    "VolumetricAveragePooling",
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let graph = &mut walk.graph;
    let image = [["kH", "dH", "padH", ""], ["kW", "dW", "padW", ""]];
    let volume = [["kT", "dT", "padT", ""], image[0], image[1]];
    let last = module.channels_last("format");
    match module.kind() {
        "SpatialMaxPooling" => {
            rows_of_rank(x, 4)?;
            let images = channels_first(graph, x, last)?;
            let pooled = largest(
                graph,
                &images,
                &Window::of(module, &image)?,
                module.flag("ceil_mode", false)?,
            )?;
            channels_back(graph, &pooled, last)
        }
        "VolumetricMaxPooling" => {
            rows_of_rank(x, 5)?;
            largest(
                graph,
                x,
                &Window::of(module, &volume)?,
                module.flag("ceilMode", false)?,
            )
        }
        "TemporalMaxPooling" => {
            rows_of_rank(x, 3)?;
            let channels = transpose(graph, x, &[0, 2, 1])?;
            let pooled = largest(
                graph,
                &channels,
                &Window::of(module, &[["kW", "dW", "", ""]])?,
                false,
            )?;
            transpose(graph, &pooled, &[0, 2, 1])
        }
        "VolumetricAveragePooling" => {
            rows_of_rank(x, 5)?;
            means(graph, x, &Window::of(module, &volume)?, Means::of(module)?)
        }
        _ => {
            rows_of_rank(x, 4)?;
            let images = channels_first(graph, x, last)?;
            let pooled = if module.flag("globalPooling", false)? {
                let shape = images.shape.with(2, Dim::Fixed(1)).with(3, Dim::Fixed(1));
                graph.add(Op::new("GlobalAveragePool"), &[&images], shape)?
            } else {
                means(
                    graph,
                    &images,
                    &Window::of(module, &image)?,
                    Means::of(module)?,
                )?
            };
            channels_back(graph, &pooled, last)
        }
    }
}

fn results(x: &Value, window: &Window, ceil: bool) -> LayerResult<Shape> {
    let mut shape = x.shape.clone();
    for (at, steps) in window.axes.iter().enumerate() {
        shape = shape.with(at + 2, steps.results(x.shape.0[at + 2], ceil)?);
    }
    Ok(shape)
}

fn pooled(kind: &'static str, window: &Window) -> LayerResult<Op> {
    Ok(Op::new(kind)
        .ints("kernel_shape", &window.list(|it| it.kernel)?)
        .ints("strides", &window.list(|it| it.stride)?))
}

/// Sizes of all axes that the window goes over, if they are known.
fn known(x: &Value, window: &Window) -> Option<Vec<u64>> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => Some(*size),
        _ => None,
    };
    x.shape
        .0
        .get(2..2 + window.axes.len())?
        .iter()
        .map(size)
        .collect()
}

fn largest(graph: &mut Graph, x: &Value, window: &Window, ceil: bool) -> LayerResult<Value> {
    let shape = results(x, window, ceil)?;
    let op = pooled("MaxPool", window)?;
    if window.is_same() || !ceil {
        return graph.add(padded(op, window)?, &[x], shape);
    }
    let Some(sizes) = known(x, window) else {
        never_begins_beyond(window)?;
        return graph.add(padded(op, window)?.int("ceil_mode", 1), &[x], shape);
    };
    graph.add(op.ints("pads", &exact(window, &sizes, true)?), &[x], shape)
}

/// Padding that makes exactly the windows that BigDL counts.
fn exact(window: &Window, sizes: &[u64], ceil: bool) -> LayerResult<Vec<i64>> {
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    for (steps, &size) in window.axes.iter().zip(sizes) {
        let (before, behind, _) = steps.place(size, ceil)?;
        begin.push(signed(before)?);
        end.push(signed(behind)?);
    }
    begin.extend(end);
    Ok(begin)
}

/// That counting up gives no window that begins in the padding, whatever the size.
fn never_begins_beyond(window: &Window) -> LayerResult<()> {
    for steps in &window.axes {
        if let Pad::Both(pad) = steps.pad
            && steps.kernel < pad.saturating_add(steps.stride)
        {
            return Err(Problem::Unsupported(
                "counting such windows up for images of unknown size".to_owned(),
            ));
        }
    }
    Ok(())
}

/// How means are taken.
#[derive(Clone, Copy)]
struct Means {
    ceil: bool,
    with_padding: bool,
    divide: bool,
}

impl Means {
    fn of(module: &Module) -> LayerResult<Self> {
        Ok(Self {
            ceil: module.flag("ceilMode", false)?,
            with_padding: module.flag("countIncludePad", true)?,
            divide: module.flag("divide", true)?,
        })
    }
}

fn means(graph: &mut Graph, x: &Value, window: &Window, how: Means) -> LayerResult<Value> {
    let means = divided(graph, x, window, how)?;
    if how.divide {
        return Ok(means);
    }
    // Not a sum: BigDL divides by what is in a window and multiplies by its size.
    let mut size = 1.0;
    for steps in &window.axes {
        size *= small(steps.kernel)?;
    }
    super::combine::with_number(graph, "Mul", &means, size)
}

fn divided(graph: &mut Graph, x: &Value, window: &Window, how: Means) -> LayerResult<Value> {
    let shape = results(x, window, how.ceil)?;
    let op = pooled("AveragePool", window)?.int("count_include_pad", i64::from(how.with_padding));
    if window.is_same() || !how.ceil {
        return graph.add(padded(op, window)?, &[x], shape);
    }
    let Some(sizes) = known(x, window) else {
        return open_means(graph, x, window, (how, shape));
    };
    let value = graph.add(op.ints("pads", &exact(window, &sizes, true)?), &[x], shape)?;
    if how.with_padding {
        // Beyond the padding nothing counts, but ONNX counted it.
        return corrected(graph, &value, window, &sizes);
    }
    Ok(value)
}

/// More places than an image has after pooling.
const MAX_RESULTS: u64 = 1 << 24;

/// Multiplies each mean by what ONNX divided by and divides it by what BigDL does.
fn corrected(
    graph: &mut Graph,
    value: &Value,
    window: &Window,
    sizes: &[u64],
) -> LayerResult<Value> {
    let mut factors = vec![1.0_f32];
    let mut shape = vec![1_u64];
    for (steps, &size) in window.axes.iter().zip(sizes) {
        let (before, behind, count) = steps.place(size, true)?;
        let pad = match steps.pad {
            Pad::Both(pad) => pad,
            Pad::Same => behind,
        };
        if count.saturating_mul(u64::try_from(factors.len()).unwrap_or(u64::MAX)) > MAX_RESULTS {
            return Err(Problem::Unsupported(format!(
                "pooling to {count} and more results"
            )));
        }
        let mut along = Vec::new();
        for result in 0..count {
            let start = result * steps.stride;
            let inside = (start + steps.kernel)
                .min(before + size + pad)
                .saturating_sub(start);
            along.push(small(steps.kernel)? / small(inside.max(1))?);
        }
        factors = factors
            .iter()
            .flat_map(|factor| along.iter().map(move |it| factor * it))
            .collect();
        shape.push(count);
    }
    if factors.iter().all(|it| (it - 1.0).abs() < f32::EPSILON) {
        return Ok(value.clone());
    }
    let factors = graph.floats(&shape, &factors)?;
    super::combine::binary(graph, "Mul", value, &factors)
}

fn small(size: u64) -> LayerResult<f32> {
    let size =
        u16::try_from(size).map_err(|_| Problem::Unsupported(format!("a window of {size}")))?;
    Ok(f32::from(size))
}

/// Images of unknown size: the padding is made first, as then ONNX leaves out what lies beyond it.
fn open_means(
    graph: &mut Graph,
    x: &Value,
    window: &Window,
    (how, shape): (Means, Shape),
) -> LayerResult<Value> {
    never_begins_beyond(window)?;
    let op = pooled("AveragePool", window)?
        .int("ceil_mode", 1)
        .int("count_include_pad", 0);
    if !how.with_padding {
        return graph.add(padded(op, window)?, &[x], shape);
    }
    let mut pads = vec![0, 0];
    pads.extend(window.list(|it| match it.pad {
        Pad::Both(pad) => pad,
        Pad::Same => 0,
    })?);
    if pads.iter().all(|it| *it == 0) {
        return graph.add(op, &[x], shape);
    }
    let pads = graph.list(&pads.repeat(2))?;
    let zero = graph.float(0.0)?;
    let mut larger = x.shape.clone();
    for axis in 2..larger.rank() {
        larger = larger.with(axis, Dim::Open);
    }
    let image = graph.add(Op::new("Pad"), &[x, &pads, &zero], larger)?;
    graph.add(op, &[&image], shape)
}
