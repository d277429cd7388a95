//! InnerProduct: the axes from `axis` on are one row of a matrix.

use super::{Context, axis, index};
use crate::error::LayerResult;
use crate::onnx::{Dim, Op, Shape, Value};

const KNOWN: [&str; 6] = [
    "num_output",
    "bias_term",
    "weight_filler",
    "bias_filler",
    "axis",
    "transpose",
];

pub(super) fn inner_product(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("inner_product_param", &KNOWN)?;
    let outputs = params.whole("num_output")?.unwrap_or(0);
    let axis = axis(params.integer("axis")?.unwrap_or(1), bottom.shape.rank())?;
    let transposed = params.flag("transpose")?.unwrap_or(false);
    let has_bias = params.flag("bias_term")?.unwrap_or(true);
    let inputs = bottom.shape.count(axis..bottom.shape.rank())?;
    let sizes = if transposed {
        [inputs, outputs]
    } else {
        [outputs, inputs]
    };
    let weights = layer.blob(0, &sizes)?;
    let bias = match has_bias {
        true => Some(layer.blob(1, &[outputs])?),
        false => None,
    };
    let bias = bias
        .map(|bias| layer.graph.floats(&[outputs], &bias))
        .transpose()?;
    let mut rows = Shape(bottom.shape.0[..axis].to_vec());
    let mut result = rows.clone();
    rows.0.push(Dim::Fixed(inputs));
    result.0.push(Dim::Fixed(outputs));
    let rows = layer.reshape(&bottom, rows)?;
    if axis == 1 {
        let weights = layer.graph.floats(&sizes, &weights)?;
        let op = Op::new("Gemm").int("transB", i64::from(!transposed));
        let operands: Vec<&Value> = [Some(&rows), Some(&weights), bias.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        return layer.graph.add(op, &operands, result);
    }
    let weights = if transposed {
        weights
    } else {
        turned(&weights, index(inputs)?)
    };
    let weights = layer.graph.floats(&[inputs, outputs], &weights)?;
    let product = layer
        .graph
        .add(Op::new("MatMul"), &[&rows, &weights], result)?;
    match bias {
        Some(bias) => layer.binary("Add", &product, &bias),
        None => Ok(product),
    }
}

/// A matrix with rows of this length, its columns as rows.
fn turned(matrix: &[f32], row: usize) -> Vec<f32> {
    let columns = 0..row;
    columns
        .flat_map(|column| matrix.iter().skip(column).step_by(row.max(1)).copied())
        .collect()
}
