//! LRN over neighbouring channels, or over neighbours within each channel.

use super::{Context, pooling, signed};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Op, Value};

pub(super) fn lrn(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params(
        "lrn_param",
        &["local_size", "alpha", "beta", "norm_region", "k"],
    )?;
    let size = params.whole("local_size")?.unwrap_or(5);
    let alpha = params.float("alpha")?.unwrap_or(1.0);
    let beta = params.float("beta")?.unwrap_or(0.75);
    let k = params.float("k")?.unwrap_or(1.0);
    if size % 2 == 0 || bottom.shape.rank() != 4 {
        let what = format!(
            "local_size {size} is not odd, or its bottom {} is no image",
            bottom.shape
        );
        return Err(Problem::Misfit(what));
    }
    match params.word("norm_region")?.unwrap_or("ACROSS_CHANNELS") {
        "ACROSS_CHANNELS" | "0" => {
            let op = Op::new("LRN")
                .int("size", signed(size)?)
                .float("alpha", alpha)
                .float("beta", beta)
                .float("bias", k);
            layer.graph.add(op, &[&bottom], bottom.shape.clone())
        }
        // Caffe builds this one of other layers, and k is not among their parameters.
        "WITHIN_CHANNEL" | "1" => {
            let square = layer.binary("Mul", &bottom, &bottom)?;
            let mean = pooling::average_around(layer, &square, size)?;
            let scaled = layer.with_number("Mul", mean, alpha)?;
            let shifted = layer.with_number("Add", scaled, 1.0)?;
            let factor = layer.with_number("Pow", shifted, -beta)?;
            layer.binary("Mul", &bottom, &factor)
        }
        other => Err(Problem::Unsupported(format!("norm_region: {other}"))),
    }
}
