//! Operators on one value, on two, and on many: what layers of every family need.

use super::arrange::within_rows;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Shape, Value, checked};

/// Values joined along an axis.
pub(crate) fn join(graph: &mut Graph, values: &[&Value], axis: usize) -> LayerResult<Value> {
    let first = values
        .first()
        .ok_or_else(|| Problem::Misfit("there is nothing to join".to_owned()))?;
    let mut shape = first.shape.clone();
    let mut sum = Some(0_u64);
    for value in values {
        within_rows(value, axis)?;
        for (at, (mine, theirs)) in shape.0.iter_mut().zip(&value.shape.0).enumerate() {
            if let (Dim::Fixed(mine), Dim::Fixed(theirs)) = (&*mine, theirs)
                && at != axis
                && mine != theirs
            {
                return Err(Problem::Misfit(format!(
                    "{} and {} cannot be joined",
                    first.shape, value.shape
                )));
            }
            if *mine == Dim::Open {
                *mine = *theirs;
            }
        }
        if value.shape.rank() != first.shape.rank() {
            return Err(Problem::Misfit(format!(
                "{} and {} cannot be joined",
                first.shape, value.shape
            )));
        }
        sum = match (sum, value.shape.0[axis]) {
            (Some(sum), Dim::Fixed(size)) => Some(checked(sum.checked_add(size))?),
            _ => None,
        };
    }
    let shape = shape.with(axis, sum.map_or(Dim::Open, Dim::Fixed));
    graph.add(
        Op::new("Concat").int("axis", i64::try_from(axis).unwrap_or(0)),
        values,
        shape,
    )
}

/// The shape of an operation on two values, as ONNX stretches sizes of 1.
pub(crate) fn stretched(one: &Shape, other: &Shape) -> LayerResult<Shape> {
    let rank = one.rank().max(other.rank());
    let at = |shape: &Shape, axis: usize| match (axis + shape.rank()).checked_sub(rank) {
        Some(axis) => shape.0[axis],
        None => Dim::Fixed(1),
    };
    let mut dims = Vec::with_capacity(rank);
    for axis in 0..rank {
        dims.push(match (at(one, axis), at(other, axis)) {
            (Dim::Fixed(1), dim) | (dim, Dim::Fixed(1)) => dim,
            (mine, theirs) if mine == theirs => mine,
            (Dim::Open, dim) | (dim, Dim::Open) => dim,
            _ => {
                return Err(Problem::Misfit(format!(
                    "{one} and {other} do not go together"
                )));
            }
        });
    }
    Ok(Shape(dims))
}

/// An operator on two values.
pub(crate) fn binary(
    graph: &mut Graph,
    kind: &'static str,
    one: &Value,
    other: &Value,
) -> LayerResult<Value> {
    let shape = stretched(&one.shape, &other.shape)?;
    graph.add(Op::new(kind), &[one, other], shape)
}

/// An operator with a number on its right.
pub(crate) fn with_number(
    graph: &mut Graph,
    kind: &'static str,
    value: &Value,
    number: f32,
) -> LayerResult<Value> {
    let number = graph.float(number)?;
    graph.add(Op::new(kind), &[value, &number], value.shape.clone())
}

/// An operator that keeps the shape.
pub(crate) fn unary(graph: &mut Graph, op: Op, value: &Value) -> LayerResult<Value> {
    graph.add(op, &[value], value.shape.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_stretched_from_the_right() {
        let open = Shape(vec![Dim::Batch, Dim::Fixed(3), Dim::Open]);
        assert_eq!(stretched(&open, &Shape::fixed(&[3, 1])).unwrap(), open);
        assert_eq!(
            stretched(&open, &Shape::fixed(&[7])).unwrap(),
            open.with(2, Dim::Fixed(7))
        );
        assert!(stretched(&open, &Shape::fixed(&[4, 1])).is_err());
    }
}
