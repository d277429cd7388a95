//! What becomes of each layer: one file per family, a layer is found by its class.

pub(crate) mod arrange;
pub(crate) mod combine;
mod convolution;
mod dense;
mod full_convolution;
mod functions;
mod normalization;
mod pooling;
mod quantized;
pub(crate) mod recurrent;
mod reduce;
mod resize;
mod separable;
mod shapes;
mod tables;
mod window;

use super::activity::Activity;
use super::messages::Module;
use super::storage::Weights;
use super::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::Value;

/// What a layer makes of its input.
///
/// # Errors
///
/// If it is not known here, or does not fit its input.
pub(crate) fn convert(walk: &mut Walk, module: &Module, input: &Activity) -> LayerResult<Activity> {
    if let Some(result) = tables::convert(walk, module, input)? {
        return Ok(result);
    }
    let kind = module.kind();
    if !known_package(module) {
        return Err(unknown());
    }
    let x = match input.tensor() {
        Ok(x) => x,
        Err(problem) => return Err(if knows(kind) { problem } else { unknown() }),
    };
    one_tensor(walk, module, x).map(Activity::from)
}

/// Layers of `nn` and its quantized ones; layers of the same names elsewhere are other ones.
fn known_package(module: &Module) -> bool {
    module.is_in("bigdl.nn")
        || module.is_in("bigdl.nn.quantized")
        || module.is_in("bigdl.dllib.nn")
        || module.is_in("bigdl.dllib.nn.quantized")
}

fn unknown() -> Problem {
    Problem::UnknownKind {
        hint: String::new(),
    }
}

fn one_tensor(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let kind = module.kind();
    if module.is_in("nn.quantized") {
        return quantized::convert(walk, module, x);
    }
    match kind {
        _ if functions::KINDS.contains(&kind) => functions::convert(walk, module, x),
        _ if shapes::KINDS.contains(&kind) => shapes::convert(walk, module, x),
        _ if convolution::KINDS.contains(&kind) => convolution::convert(walk, module, x),
        _ if pooling::KINDS.contains(&kind) => pooling::convert(walk, module, x),
        _ if normalization::KINDS.contains(&kind) => normalization::convert(walk, module, x),
        _ if dense::KINDS.contains(&kind) => dense::convert(walk, module, x),
        _ if reduce::KINDS.contains(&kind) => reduce::convert(walk, module, x),
        _ if resize::KINDS.contains(&kind) => resize::convert(walk, module, x),
        _ => Err(unknown()),
    }
}

fn knows(kind: &str) -> bool {
    let all = [
        functions::KINDS,
        shapes::KINDS,
        convolution::KINDS,
        pooling::KINDS,
        normalization::KINDS,
        dense::KINDS,
        reduce::KINDS,
        resize::KINDS,
    ];
    all.iter().any(|kinds| kinds.contains(&kind))
}

impl Walk {
    /// Parameter `index` of a layer: weights first, then what is added. `None` if it has fewer.
    pub(super) fn parameter(&self, module: &Module, index: usize) -> LayerResult<Option<Weights>> {
        let old = match index {
            0 => module.weight.as_deref(),
            1 => module.bias.as_deref(),
            _ => None,
        };
        let tensor = if module.parameters.is_empty() {
            old
        } else {
            module.parameters.get(index)
        };
        tensor
            .filter(|it| it.storage.is_some())
            .map(|it| self.storages.weights(it))
            .transpose()
    }

    /// A parameter that must be there and have so many numbers.
    pub(super) fn need(&self, module: &Module, index: usize, count: u64) -> LayerResult<Vec<f32>> {
        let found = self.parameter(module, index)?;
        let found =
            found.ok_or_else(|| Problem::Weights(format!("parameter {} is missing", index + 1)))?;
        if u64::try_from(found.values.len()) != Ok(count) {
            return Err(Problem::Weights(format!(
                "parameter {} has {} numbers, it must have {count}",
                index + 1,
                found.values.len()
            )));
        }
        Ok(found.values)
    }
}

/// A product of sizes that a tensor can have.
pub(crate) fn product(sizes: &[u64]) -> LayerResult<u64> {
    crate::onnx::Shape::fixed(sizes).count(0..sizes.len())
}
