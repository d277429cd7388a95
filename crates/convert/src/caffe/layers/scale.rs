//! Scale and Bias: a factor or summand per channel, from the weights or from a second bottom.

use super::{Context, axis, signed};
use crate::caffe::text::Message;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Shape, Value};

pub(super) fn scale(layer: &mut Context<'_>) -> LayerResult<Value> {
    let known = ["axis", "num_axes", "filler", "bias_term", "bias_filler"];
    let params = layer.params("scale_param", &known)?.clone();
    let (bottom, factor, covered) = operands(layer, &params)?;
    let scaled = layer.binary("Mul", &bottom, &factor)?;
    if !params.flag("bias_term")?.unwrap_or(false) {
        return Ok(scaled);
    }
    // The summand has the shape of the factor and is the last of the blobs.
    let index = usize::from(layer.bottoms.len() == 1);
    let sizes = (0..covered.rank())
        .map(|axis| covered.size(axis))
        .collect::<LayerResult<Vec<u64>>>()?;
    let bias = layer.blob(index, &sizes)?;
    let after = factor.shape.rank() - covered.rank();
    let bias = layer
        .graph
        .floats(&[sizes, vec![1; after]].concat(), &bias)?;
    layer.binary("Add", &scaled, &bias)
}

pub(super) fn bias(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer
        .params("bias_param", &["axis", "num_axes", "filler"])?
        .clone();
    let (bottom, summand, _) = operands(layer, &params)?;
    layer.binary("Add", &bottom, &summand)
}

/// The first bottom, the other operand as it is broadcast over it, and the axes that it covers.
fn operands(layer: &mut Context<'_>, params: &Message) -> LayerResult<(Value, Value, Shape)> {
    let start = params.integer("axis")?.unwrap_or(1);
    if layer.bottoms.len() == 2 {
        let [bottom, other] = layer.bottoms_exactly()?;
        let start = axis(start, bottom.shape.rank())?;
        let covered = other.shape.clone();
        let other = aligned(layer, &bottom, (other, start))?;
        return Ok((bottom, other, covered));
    }
    let bottom = layer.bottom()?;
    let rank = bottom.shape.rank();
    let start = axis(start, rank)?;
    let end = match params.integer("num_axes")?.unwrap_or(1) {
        -1 => rank,
        count => start.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)),
    };
    if end > rank {
        return Err(Problem::Misfit(format!(
            "num_axes is more than {} has after axis {start}",
            bottom.shape
        )));
    }
    let covered = (start..end)
        .map(|axis| bottom.shape.size(axis))
        .collect::<LayerResult<Vec<u64>>>()?;
    let values = layer.blob(0, &covered)?;
    let sizes = [covered.clone(), vec![1; rank - end]].concat();
    let values = layer.graph.floats(&sizes, &values)?;
    Ok((bottom, values, Shape::fixed(&covered)))
}

/// A second bottom covers the axes of the first from `start` on; ones follow, so that it is broadcast.
fn aligned(
    layer: &mut Context<'_>,
    bottom: &Value,
    (other, start): (Value, usize),
) -> LayerResult<Value> {
    let end = start + other.shape.rank();
    if bottom.shape.0.get(start..end) != Some(&other.shape.0) {
        return Err(Problem::Misfit(format!(
            "its second bottom {} is not {} from axis {start} on",
            other.shape, bottom.shape
        )));
    }
    let after = bottom.shape.rank() - end;
    if after == 0 {
        return Ok(other);
    }
    let mut shape = other.shape.clone();
    shape.0.extend(vec![Dim::Fixed(1); after]);
    let mut sizes = Vec::new();
    for dim in &shape.0 {
        sizes.push(match dim {
            Dim::Fixed(size) => signed(*size)?,
            _ => 0,
        });
    }
    let sizes = layer.graph.list(&sizes)?;
    layer
        .graph
        .add(Op::new("Reshape"), &[&other, &sizes], shape)
}
