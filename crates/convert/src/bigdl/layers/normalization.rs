//! Layers that bring numbers to a common scale.

use super::arrange::{channels_back, channels_first, expect_size, rows_of_rank, signed};
use super::combine::{binary, unary, with_number};
use super::functions::power;
use super::reduce::along;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Op, Value};

pub(super) const KINDS: &[&str] = &[
    "BatchNormalization",
    "SpatialBatchNormalization",
    "SpatialCrossMapLRN",
    "SpatialWithinChannelLRN",
    "Normalize",
    "NormalizeScale",
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    match module.kind() {
        "BatchNormalization" => {
            rows_of_rank(x, 2)?;
            batch(walk, module, x)
        }
        "SpatialBatchNormalization" => {
            rows_of_rank(x, 4)?;
            let last = module.channels_last("dataFormat");
            let images = channels_first(&mut walk.graph, x, last)?;
            let result = batch(walk, module, &images)?;
            channels_back(&mut walk.graph, &result, last)
        }
        "SpatialCrossMapLRN" => across_channels(walk, module, x),
        "SpatialWithinChannelLRN" => within_channel(walk, module, x),
        "Normalize" => normalize(walk, module, x),
        _ => {
            let normal = normalize(walk, module, x)?;
            super::dense::stretched_parameter(walk, (module, "size"), 0, ("Mul", &normal))
        }
    }
}

/// More channels than any layer has.
const MAX_CHANNELS: u64 = 1 << 22;

/// With the statistics that training left.
fn batch(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let channels = module.size("nOutput")?;
    expect_size(x, 1, channels)?;
    if channels > MAX_CHANNELS {
        return Err(Problem::Unsupported(format!("{channels} channels")));
    }
    let count =
        usize::try_from(channels).map_err(|_| Problem::Misfit(format!("{channels} channels")))?;
    // Layers that never saw a batch keep no statistics.
    let statistic = |key: &str, otherwise: f32| -> LayerResult<Vec<f32>> {
        let found = module
            .tensors(key)?
            .first()
            .filter(|it| !it.size.is_empty());
        let Some(found) = found else {
            return Ok(vec![otherwise; count]);
        };
        let found = walk.storages.weights(found)?.values;
        if found.len() == count {
            Ok(found)
        } else {
            Err(Problem::Weights(format!(
                "{key} has {} numbers",
                found.len()
            )))
        }
    };
    let (mean, variance) = (
        statistic("runningMean", 0.0)?,
        statistic("runningVar", 1.0)?,
    );
    let (scale, shift) = if module.flag("affine", true)? {
        (
            walk.need(module, 0, channels)?,
            walk.need(module, 1, channels)?,
        )
    } else {
        (vec![1.0; count], vec![0.0; count])
    };
    let mut operands = Vec::with_capacity(4);
    for numbers in [scale, shift, mean, variance] {
        operands.push(walk.graph.floats(&[channels], &numbers)?);
    }
    let [scale, shift, mean, variance] = operands.as_slice() else {
        return Err(Problem::Misfit("it has four parameters".to_owned()));
    };
    let op = Op::new("BatchNormalization").float("epsilon", module.float("eps")?);
    walk.graph
        .add(op, &[x, scale, shift, mean, variance], x.shape.clone())
}

fn across_channels(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    rows_of_rank(x, 4)?;
    let last = module.channels_last("format");
    let images = channels_first(&mut walk.graph, x, last)?;
    let op = Op::new("LRN")
        .int("size", signed(module.size("size")?)?)
        .float("alpha", module.float("alpha")?)
        .float("beta", module.float("beta")?)
        .float("bias", module.float("k")?);
    let result = unary(&mut walk.graph, op, &images)?;
    channels_back(&mut walk.graph, &result, last)
}

/// `x * (1 + alpha * mean of squares around) ^ -beta`
fn within_channel(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    rows_of_rank(x, 4)?;
    let size = module.size("size")?;
    if size % 2 == 0 {
        return Err(Problem::Misfit(format!("size {size} is even")));
    }
    let pad = signed(size / 2)?;
    let graph = &mut walk.graph;
    let squares = binary(graph, "Mul", x, x)?;
    let op = Op::new("AveragePool")
        .ints("kernel_shape", &[signed(size)?; 2])
        .ints("pads", &[pad; 4])
        .int("count_include_pad", 1);
    let means = unary(graph, op, &squares)?;
    let scale = power(
        graph,
        &means,
        (-module.float("beta")?, module.float("alpha")?, 1.0),
    )?;
    binary(graph, "Mul", x, &scale)
}

/// `x / (sum of |x| ^ p over the channels + eps) ^ (1 / p)`; `p` may be infinite.
#[expect(
    clippy::float_cmp,
    reason = "the largest number stands for infinity in the file"
)]
fn normalize(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    if !matches!(x.shape.rank(), 2 | 4) {
        return Err(Problem::Misfit(format!(
            "its input is {}, it takes 2 or 4 dimensions",
            x.shape
        )));
    }
    let (p, eps) = (module.double("p")?, module.float("eps")?);
    let graph = &mut walk.graph;
    let sizes = unary(graph, Op::new("Abs"), x)?;
    let norm = if p == f64::MAX {
        let largest = along(graph, ("ReduceMax", &sizes), 1, true)?;
        with_number(graph, "Add", &largest, eps)?
    } else {
        let exponent = module.float("p")?;
        let powers = with_number(graph, "Pow", &sizes, exponent)?;
        let sum = along(graph, ("ReduceSum", &powers), 1, true)?;
        let sum = with_number(graph, "Add", &sum, eps)?;
        with_number(graph, "Pow", &sum, 1.0 / exponent)?
    };
    binary(graph, "Div", x, &norm)
}
