//! Layers that change each element by itself.

use super::Context;
use crate::error::LayerResult;
use crate::onnx::{Op, Value};

pub(super) fn simple(layer: &mut Context<'_>, op: &'static str) -> LayerResult<Value> {
    unary(layer, Op::new(op))
}

fn unary(layer: &mut Context<'_>, op: Op) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    layer.graph.add(op, &[&bottom], bottom.shape.clone())
}

pub(super) fn relu(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("relu_param", &["negative_slope"])?;
    let slope = params.float("negative_slope")?.unwrap_or(0.0);
    unary(
        layer,
        match slope {
            0.0 => Op::new("Relu"),
            slope => Op::new("LeakyRelu").float("alpha", slope),
        },
    )
}

pub(super) fn relu6(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let (least, most) = (layer.graph.float(0.0)?, layer.graph.float(6.0)?);
    layer.graph.add(
        Op::new("Clip"),
        &[&bottom, &least, &most],
        bottom.shape.clone(),
    )
}

pub(super) fn elu(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("elu_param", &["alpha"])?;
    let alpha = params.float("alpha")?.unwrap_or(1.0);
    unary(layer, Op::new("Elu").float("alpha", alpha))
}

/// A slope per channel (axis 1), or one for all.
pub(super) fn prelu(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("prelu_param", &["filler", "channel_shared"])?;
    let shared = params.flag("channel_shared")?.unwrap_or(false);
    let channels = if shared { 1 } else { bottom.shape.size(1)? };
    let slopes = layer.blob(0, &[channels])?;
    // ONNX aligns the slopes with the last axes.
    let mut sizes = vec![1; bottom.shape.rank().saturating_sub(1).max(1)];
    sizes[0] = channels;
    let slopes = layer.graph.floats(&sizes, &slopes)?;
    layer
        .graph
        .add(Op::new("PRelu"), &[&bottom, &slopes], bottom.shape.clone())
}

/// `(shift + scale · x) ^ power`
pub(super) fn power(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("power_param", &["power", "scale", "shift"])?;
    let power = params.float("power")?.unwrap_or(1.0);
    let (scale, shift) = (
        params.float("scale")?.unwrap_or(1.0),
        params.float("shift")?.unwrap_or(0.0),
    );
    let value = linear(layer, scale, shift)?;
    layer.with_number("Pow", value, power)
}

/// `base ^ (shift + scale · x)`; base −1 is e.
pub(super) fn exp(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("exp_param", &["base", "scale", "shift"])?;
    let base = natural_log(params.float("base")?)?;
    let (scale, shift) = (
        params.float("scale")?.unwrap_or(1.0),
        params.float("shift")?.unwrap_or(0.0),
    );
    let value = linear(layer, scale * base, shift * base)?;
    layer
        .graph
        .add(Op::new("Exp"), &[&value], value.shape.clone())
}

/// The logarithm of `shift + scale · x`; base −1 is e.
pub(super) fn log(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("log_param", &["base", "scale", "shift"])?;
    let base = natural_log(params.float("base")?)?;
    let (scale, shift) = (
        params.float("scale")?.unwrap_or(1.0),
        params.float("shift")?.unwrap_or(0.0),
    );
    let value = linear(layer, scale, shift)?;
    let value = layer
        .graph
        .add(Op::new("Log"), &[&value], value.shape.clone())?;
    layer.with_number("Mul", value, 1.0 / base)
}

fn linear(layer: &mut Context<'_>, scale: f32, shift: f32) -> LayerResult<Value> {
    let value = layer.bottom()?;
    let value = layer.with_number("Mul", value, scale)?;
    layer.with_number("Add", value, shift)
}

/// The natural logarithm of a base, which must be above 0, or -1 for e.
fn natural_log(base: Option<f32>) -> LayerResult<f32> {
    match base {
        None => Ok(1.0),
        Some(-1.0) => Ok(1.0),
        Some(base) if base > 0.0 && base != 1.0 => Ok(base.ln()),
        Some(base) => Err(crate::Problem::Misfit(format!(
            "base {base} has no logarithm"
        ))),
    }
}
