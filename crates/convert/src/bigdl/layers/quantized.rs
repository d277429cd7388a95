//! Layers with weights of one byte: they get the numbers that the bytes stand for, and compute in float32.

use super::convolution::Convolution;
use super::dense::product_with;
use super::product;
use super::window::Window;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::Value;

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    match module.kind() {
        "Linear" => {
            let sizes = [module.size("outputSize")?, module.size("inputSize")?];
            let weights = weights(walk, module, ("weight", product(&sizes)?))?;
            let bias = bias(walk, module, sizes[0])?;
            product_with(walk, x, (&sizes, &weights), bias)
        }
        "SpatialConvolution" | "SpatialDilatedConvolution" => convolution(walk, module, x),
        _ => Err(Problem::UnknownKind {
            hint: "save the model before it is quantized".to_owned(),
        }),
    }
}

fn convolution(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    if module.channels_last("format") {
        return Err(Problem::Unsupported(
            "quantized weights with channels last".to_owned(),
        ));
    }
    let dilated = module.kind() == "SpatialDilatedConvolution";
    let dilation = if dilated {
        ["dilationH", "dilationW"]
    } else {
        ["", ""]
    };
    let names = [
        ["kernelH", "strideH", "padH", dilation[0]],
        ["kernelW", "strideW", "padW", dilation[1]],
    ];
    let window = Window::of(module, &names)?;
    let groups = u64::try_from(module.int_or("nGroup", 1)?).unwrap_or(0);
    let (inputs, outputs) = (module.size("nInputPlane")?, module.size("nOutputPlane")?);
    let of_group = inputs
        .checked_div(groups)
        .ok_or_else(|| Problem::Misfit("it has 0 groups".to_owned()))?;
    let sizes = vec![
        outputs,
        of_group,
        window.axes[0].kernel,
        window.axes[1].kernel,
    ];
    let weights = weights(walk, module, ("weights", product(&sizes)?))?;
    let bias = bias(walk, module, outputs)?;
    Convolution {
        window,
        sizes,
        weights,
        bias,
        groups,
    }
    .add(walk, x)
}

/// Tensors of all groups, one after the other.
fn weights(walk: &Walk, module: &Module, (key, count): (&str, u64)) -> LayerResult<Vec<f32>> {
    let mut all = Vec::new();
    for tensor in module.tensors(key)? {
        all.extend(walk.storages.weights(tensor)?.values);
    }
    if u64::try_from(all.len()) == Ok(count) {
        Ok(all)
    } else {
        Err(Problem::Weights(format!(
            "{key} has {} numbers, it must have {count}",
            all.len()
        )))
    }
}

fn bias(walk: &Walk, module: &Module, outputs: u64) -> LayerResult<Option<Vec<f32>>> {
    let Some(tensor) = module.bias.as_deref().filter(|it| it.storage.is_some()) else {
        return Ok(None);
    };
    let values = walk.storages.weights(tensor)?.values;
    if u64::try_from(values.len()) == Ok(outputs) {
        Ok(Some(values))
    } else {
        Err(Problem::Weights(format!(
            "bias has {} numbers, it must have {outputs}",
            values.len()
        )))
    }
}
