//! Layers with several bottoms or tops: Eltwise, Concat, Slice.

use super::{Context, axis, signed, signed_axis};
use crate::caffe::text::Message;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Value};

pub(super) fn eltwise(layer: &mut Context<'_>) -> LayerResult<Value> {
    let known = ["operation", "coeff", "stable_prod_grad"];
    let params = layer.params("eltwise_param", &known)?;
    let coefficients = params.floats("coeff")?;
    let op = match params.word("operation")?.unwrap_or("SUM") {
        "PROD" | "0" => "Mul",
        "SUM" | "1" => "Add",
        "MAX" | "2" => "Max",
        other => return Err(Problem::Unsupported(format!("operation: {other}"))),
    };
    let mut bottoms = layer.bottoms.clone().into_iter();
    let count = bottoms.len();
    if !coefficients.is_empty() && (op != "Add" || coefficients.len() != count) {
        let what = format!(
            "{} coefficients do not fit {count} bottoms of a sum",
            coefficients.len()
        );
        return Err(Problem::Misfit(what));
    }
    let mut coefficients = coefficients.into_iter();
    let mut weighted = |layer: &mut Context<'_>, value: Value| {
        let coefficient = coefficients.next().unwrap_or(1.0);
        layer.with_number("Mul", value, coefficient)
    };
    let first = bottoms
        .next()
        .ok_or_else(|| Problem::Misfit("it has no bottom".to_owned()))?;
    let mut result = weighted(layer, first)?;
    for bottom in bottoms {
        if bottom.shape != result.shape {
            return Err(Problem::Misfit(format!(
                "its bottoms are {} and {}",
                result.shape, bottom.shape
            )));
        }
        let bottom = weighted(layer, bottom)?;
        result = layer.binary(op, &result, &bottom)?;
    }
    Ok(result)
}

pub(super) fn concat(layer: &mut Context<'_>) -> LayerResult<Value> {
    let params = layer.params("concat_param", &["axis", "concat_dim"])?;
    let wanted = joined_axis(params, "concat_dim")?;
    let bottoms = layer.bottoms.clone();
    let first = bottoms
        .first()
        .ok_or_else(|| Problem::Misfit("it has no bottom".to_owned()))?;
    let axis = axis(wanted, first.shape.rank())?;
    let mut size = 0_u64;
    for bottom in &bottoms {
        let added = bottom.shape.size(axis)?;
        if bottom.shape.with(axis, Dim::Open) != first.shape.with(axis, Dim::Open) {
            let (one, other) = (&first.shape, &bottom.shape);
            return Err(Problem::Misfit(format!(
                "its bottoms {one} and {other} differ beside axis {axis}"
            )));
        }
        size = size.saturating_add(added);
    }
    let shape = first.shape.with(axis, Dim::Fixed(size));
    let operands: Vec<&Value> = bottoms.iter().collect();
    layer.graph.add(
        Op::new("Concat").int("axis", signed_axis(axis)),
        &operands,
        shape,
    )
}

pub(super) fn slice(layer: &mut Context<'_>) -> LayerResult<Vec<Value>> {
    let bottom = layer.bottom()?;
    let params = layer.params("slice_param", &["axis", "slice_dim", "slice_point"])?;
    let axis = axis(joined_axis(params, "slice_dim")?, bottom.shape.rank())?;
    let size = bottom.shape.size(axis)?;
    let parts = parts(size, &params.wholes("slice_point")?, layer.layer.tops.len())?;
    let sizes = parts
        .iter()
        .map(|&part| signed(part))
        .collect::<LayerResult<Vec<i64>>>()?;
    let sizes = layer.graph.list(&sizes)?;
    let result = |&part: &u64| (bottom.shape.with(axis, Dim::Fixed(part)), bottom.element);
    let op = Op::new("Split").int("axis", signed_axis(axis));
    let operands = [Some(&bottom), Some(&sizes)];
    layer
        .graph
        .add_many(op, &operands, parts.iter().map(result).collect())
}

/// Sizes between the points, or equal ones where there are no points.
fn parts(size: u64, points: &[u64], tops: usize) -> LayerResult<Vec<u64>> {
    let misfit = || {
        Problem::Misfit(format!(
            "slice_point {points:?} does not make {tops} tops of {size} elements"
        ))
    };
    let count = u64::try_from(tops).unwrap_or(u64::MAX);
    if points.is_empty() {
        return match count > 0 && size.is_multiple_of(count) {
            true => Ok(vec![size / count; tops]),
            false => Err(misfit()),
        };
    }
    let ends = points.iter().copied().chain([size]);
    let starts = [0].into_iter().chain(points.iter().copied());
    let parts: Option<Vec<u64>> = starts
        .zip(ends)
        .map(|(start, end)| end.checked_sub(start).filter(|&part| part > 0))
        .collect();
    parts.filter(|parts| parts.len() == tops).ok_or_else(misfit)
}

/// `axis`, or its older name; 1 by default.
fn joined_axis(params: &Message, older: &str) -> LayerResult<i64> {
    match (params.integer("axis")?, params.integer(older)?) {
        (Some(_), Some(_)) => Err(Problem::Misfit(format!("it has both axis and {older}"))),
        (axis, older) => Ok(axis.or(older).unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_between_the_points() {
        assert_eq!(parts(10, &[3, 7], 3).unwrap(), [3, 4, 3]);
        assert_eq!(parts(10, &[], 5).unwrap(), [2; 5]);
        for (points, tops) in [
            (&[][..], 3),
            (&[][..], 0),
            (&[3], 3),
            (&[7, 3], 3),
            (&[11], 2),
            (&[0], 2),
        ] {
            assert!(parts(10, points, tops).is_err(), "{points:?} {tops}");
        }
    }
}
