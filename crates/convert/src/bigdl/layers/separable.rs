//! Convolutions of each channel alone, followed by one of single points.

use super::convolution::Convolution;
use super::product;
use super::window::{Pad, Steps, Window};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Value, checked};

/// A convolution of each channel alone, then one of single points.
pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
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
    let single = Steps {
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
