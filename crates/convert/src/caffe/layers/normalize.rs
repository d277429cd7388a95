//! BatchNorm by its stored statistics, and Normalize of SSD.

use super::{Context, index, signed_axis};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Value};

/// Mean and variance are stored as sums, beside the factor that they were weighted with.
pub(super) fn batch_norm(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let known = ["use_global_stats", "moving_average_fraction", "eps"];
    let params = layer.params("batch_norm_param", &known)?;
    if params.flag("use_global_stats")? == Some(false) {
        return Err(Problem::Unsupported(
            "use_global_stats: false, the statistics of each batch,".to_owned(),
        ));
    }
    let eps = params.float("eps")?.unwrap_or(1e-5);
    let channels = match bottom.shape.rank() {
        1 => 1,
        _ => bottom.shape.size(1)?,
    };
    let (mean, variance) = (layer.blob(0, &[channels])?, layer.blob(1, &[channels])?);
    let sum = layer.blob(2, &[1])?;
    let factor = match sum.first() {
        Some(&sum) if sum != 0.0 => 1.0 / sum,
        _ => 0.0,
    };
    let scaled = |values: Vec<f32>| {
        values
            .into_iter()
            .map(|value| value * factor)
            .collect::<Vec<_>>()
    };
    let length = index(channels)?;
    let ones = layer.graph.floats(&[channels], &vec![1.0; length])?;
    let zeros = layer.graph.floats(&[channels], &vec![0.0; length])?;
    let mean = layer.graph.floats(&[channels], &scaled(mean))?;
    let variance = layer.graph.floats(&[channels], &scaled(variance))?;
    let op = Op::new("BatchNormalization").float("epsilon", eps);
    layer.graph.add(
        op,
        &[&bottom, &ones, &zeros, &mean, &variance],
        bottom.shape.clone(),
    )
}

/// Divides by the Euclidean norm of a row, or of each place over its channels, then scales channels.
pub(super) fn normalize(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let known = ["across_spatial", "scale_filler", "channel_shared", "eps"];
    let params = layer.params("norm_param", &known)?;
    let across = params.flag("across_spatial")?.unwrap_or(true);
    let shared = params.flag("channel_shared")?.unwrap_or(true);
    let eps = params.float("eps")?.unwrap_or(1e-10);
    let rank = bottom.shape.rank();
    if rank < 2 {
        return Err(Problem::Misfit(format!(
            "its bottom {} has no channels",
            bottom.shape
        )));
    }
    let axes: Vec<i64> = if across {
        (1..rank).map(signed_axis).collect()
    } else {
        vec![1]
    };
    let mut reduced = bottom.shape.clone();
    for axis in 1..if across { rank } else { 2 } {
        reduced = reduced.with(axis, Dim::Fixed(1));
    }
    let axes = layer.graph.list(&axes)?;
    let op = Op::new("ReduceSumSquare").int("keepdims", 1);
    let sum = layer.graph.add(op, &[&bottom, &axes], reduced)?;
    let sum = layer.with_number("Add", sum, eps)?;
    let norm = layer
        .graph
        .add(Op::new("Sqrt"), &[&sum], sum.shape.clone())?;
    let unit = layer.binary("Div", &bottom, &norm)?;
    let channels = if shared { 1 } else { bottom.shape.size(1)? };
    let scale = layer.blob(0, &[channels])?;
    let mut sizes = vec![1; rank - 1];
    sizes[0] = channels;
    let scale = layer.graph.floats(&sizes, &scale)?;
    layer.binary("Mul", &unit, &scale)
}
