//! Layers that look at many elements to make few: Softmax, ArgMax, Reduction.

use super::{Context, axis, signed, signed_axis};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, ElementType, Op, Shape, Value};

pub(super) fn softmax(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("softmax_param", &["axis"])?;
    let axis = axis(params.integer("axis")?.unwrap_or(1), bottom.shape.rank())?;
    bottom.shape.size(axis)?;
    let op = Op::new("Softmax").int("axis", signed_axis(axis));
    layer.graph.add(op, &[&bottom], bottom.shape.clone())
}

/// Reduces all axes from `axis` on.
pub(super) fn reduction(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("reduction_param", &["operation", "axis", "coeff"])?;
    let op = match params.word("operation")?.unwrap_or("SUM") {
        "SUM" | "1" => "ReduceSum",
        "ASUM" | "2" => "ReduceL1",
        "SUMSQ" | "3" => "ReduceSumSquare",
        "MEAN" | "4" => "ReduceMean",
        other => return Err(Problem::Unsupported(format!("operation: {other}"))),
    };
    let coefficient = params.float("coeff")?.unwrap_or(1.0);
    let rank = bottom.shape.rank();
    let first = axis(params.integer("axis")?.unwrap_or(0), rank)?;
    bottom.shape.count(first..rank)?;
    let axes: Vec<i64> = (first..rank).map(signed_axis).collect();
    let axes = layer.graph.list(&axes)?;
    let shape = Shape(bottom.shape.0[..first].to_vec());
    let reduced = layer
        .graph
        .add(Op::new(op).int("keepdims", 0), &[&bottom, &axes], shape)?;
    layer.with_number("Mul", reduced, coefficient)
}

struct ArgMax {
    axis: usize,
    size: u64,
    top: u64,
}

/// Where the largest elements are, as numbers; of equal ones the last comes first.
pub(super) fn arg_max(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("argmax_param", &["out_max_val", "top_k", "axis"])?;
    let values_too = params.flag("out_max_val")?.unwrap_or(false);
    let top = params.whole("top_k")?.unwrap_or(1);
    let rank = bottom.shape.rank();
    if let Some(wanted) = params.integer("axis")? {
        let axis = axis(wanted, rank)?;
        let size = bottom.shape.size(axis)?;
        let (values, places) = largest(layer, &bottom, &ArgMax { axis, size, top })?;
        return Ok(if values_too { values } else { places });
    }
    // Without an axis all elements of a row compete: [N, 1 or 2, top_k, 1, …].
    let size = bottom.shape.count(1..rank)?;
    let rows = Shape(vec![bottom.shape.0[0], Dim::Fixed(1), Dim::Fixed(size)]);
    let rows = layer.reshape(&bottom, rows)?;
    let (values, places) = largest(layer, &rows, &ArgMax { axis: 2, size, top })?;
    let mut result = places.clone();
    if values_too {
        let shape = places.shape.with(1, Dim::Fixed(2));
        result = layer
            .graph
            .add(Op::new("Concat").int("axis", 1), &[&places, &values], shape)?;
    }
    let mut shape = result.shape.clone();
    shape.0.resize(rank.max(3), Dim::Fixed(1));
    layer.reshape(&result, shape)
}

/// The largest elements along an axis, and their places as float32. ONNX takes the first of equal
/// elements, Caffe the last: so the axis is turned round before.
fn largest(layer: &mut Context<'_>, value: &Value, wanted: &ArgMax) -> LayerResult<(Value, Value)> {
    let ArgMax { axis, size, top } = *wanted;
    if top == 0 || top > size {
        return Err(Problem::Misfit(format!(
            "top_k is {top}, and there are {size} elements"
        )));
    }
    let signed_axis = signed_axis(axis);
    let mut list = |number: i64| layer.graph.list(&[number]);
    let (start, end) = (list(-1)?, list(i64::MIN)?);
    let (axes, step, count) = (list(signed_axis)?, list(-1)?, list(signed(top)?)?);
    let operands = [value, &start, &end, &axes, &step];
    let turned = layer
        .graph
        .add(Op::new("Slice"), &operands, value.shape.clone())?;
    let shape = value.shape.with(axis, Dim::Fixed(top));
    let results = vec![
        (shape.clone(), ElementType::Float),
        (shape.clone(), ElementType::Int64),
    ];
    let op = Op::new("TopK")
        .int("axis", signed_axis)
        .int("largest", 1)
        .int("sorted", 1);
    let found = layer
        .graph
        .add_many(op, &[Some(&turned), Some(&count)], results)?;
    let last = layer.graph.int64s(&[], &[signed(size)? - 1])?;
    let places = layer.graph.add_as(
        Op::new("Sub"),
        &[&last, &found[1]],
        (shape.clone(), ElementType::Int64),
    )?;
    let op = Op::new("Cast").int("to", ElementType::Float as i64);
    let places = layer
        .graph
        .add_as(op, &[&places], (shape, ElementType::Float))?;
    Ok((found[0].clone(), places))
}
