//! Layers that only change how elements are arranged: Flatten, Reshape, Permute, Crop.

use super::{Context, axis, signed, signed_axis};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Op, Shape, Value};

pub(super) fn flatten(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("flatten_param", &["axis", "end_axis"])?;
    let rank = bottom.shape.rank();
    let start = axis(params.integer("axis")?.unwrap_or(1), rank)?;
    let end = axis(params.integer("end_axis")?.unwrap_or(-1), rank)?;
    if end < start {
        return Err(Problem::Misfit(format!(
            "end_axis {end} is before axis {start}"
        )));
    }
    let count = bottom.shape.count(start..end + 1)?;
    let mut dims = bottom.shape.0.clone();
    dims.splice(start..=end, [Dim::Fixed(count)]);
    layer.reshape(&bottom, Shape(dims))
}

/// Among the new sizes 0 is the old size, and one may be -1: whatever is left.
pub(super) fn reshape(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("reshape_param", &["shape", "axis", "num_axes"])?;
    let new = match params.message("shape")? {
        Some(shape) => shape.integers("dim")?,
        None => Vec::new(),
    };
    let rank = bottom.shape.rank();
    // It counts places between axes, so one more than there are axes.
    let start = axis(params.integer("axis")?.unwrap_or(0), rank + 1)?;
    let end = match params.integer("num_axes")?.unwrap_or(-1) {
        -1 => rank,
        count => start.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)),
    };
    if end > rank {
        return Err(Problem::Misfit(format!(
            "axis and num_axes go beyond {}",
            bottom.shape
        )));
    }
    let mut dims = bottom.shape.0[..start].to_vec();
    for (place, &size) in new.iter().enumerate() {
        dims.push(match size {
            0 => *bottom.shape.0[..end].get(start + place).ok_or_else(|| {
                Problem::Misfit(format!(
                    "there is no axis {} in {} to copy",
                    start + place,
                    bottom.shape
                ))
            })?,
            -1 => Dim::Open,
            size => Dim::Fixed(
                u64::try_from(size)
                    .map_err(|_| Problem::Misfit(format!("dim {size} is no size")))?,
            ),
        });
    }
    dims.extend_from_slice(&bottom.shape.0[end..]);
    let shape = inferred(&bottom.shape, Shape(dims))?;
    layer.reshape(&bottom, shape)
}

/// The shape with its open dimension closed, so that it holds as many elements as the one before.
fn inferred(before: &Shape, shape: Shape) -> LayerResult<Shape> {
    let mut open = (0..shape.rank()).filter(|&axis| shape.0[axis] == Dim::Open);
    let Some(axis) = open.next() else {
        return Ok(shape);
    };
    if open.next().is_some() {
        return Err(Problem::Misfit("more than one dim is -1".to_owned()));
    }
    let batch = |shape: &Shape| usize::from(shape.0.first() == Some(&Dim::Batch));
    let elements = before.count(batch(before)..before.rank())?;
    let mut others = shape.clone();
    others.0.remove(axis);
    let others = others.count(batch(&others)..others.rank())?;
    if axis == 0 && batch(before) == 1 {
        // What is left in front is the batch only if each row keeps its elements.
        return match others == elements {
            true => Ok(shape.with(0, Dim::Batch)),
            false => Err(Problem::MixesRows(format!("{before} made {shape}"))),
        };
    }
    match elements.checked_div(others) {
        Some(left) if left * others == elements => Ok(shape.with(axis, Dim::Fixed(left))),
        _ => Err(Problem::Misfit(format!("{before} cannot become {shape}"))),
    }
}

pub(super) fn permute(layer: &mut Context<'_>) -> LayerResult<Value> {
    let bottom = layer.bottom()?;
    let params = layer.params("permute_param", &["order"])?;
    let rank = bottom.shape.rank();
    let mut order = Vec::with_capacity(rank);
    for wanted in params.integers("order")? {
        order.push(axis(wanted, rank)?);
    }
    // Axes that are not named follow in their order.
    let named = order.clone();
    order.extend((0..rank).filter(|axis| !named.contains(axis)));
    if order.len() != rank {
        return Err(Problem::Misfit(format!(
            "order {named:?} names an axis twice"
        )));
    }
    let shape = Shape(order.iter().map(|&axis| bottom.shape.0[axis]).collect());
    if shape.0.iter().skip(1).any(|dim| *dim == Dim::Batch) {
        return Err(Problem::MixesRows(format!("order {order:?}")));
    }
    let order: Vec<i64> = order.into_iter().map(signed_axis).collect();
    layer
        .graph
        .add(Op::new("Transpose").ints("perm", &order), &[&bottom], shape)
}

/// Cuts the first bottom to the sizes of the second one, from an axis on.
pub(super) fn crop(layer: &mut Context<'_>) -> LayerResult<Value> {
    let [bottom, like] = layer.bottoms_exactly()?;
    let params = layer.params("crop_param", &["axis", "offset"])?;
    let rank = bottom.shape.rank();
    let first = axis(params.integer("axis")?.unwrap_or(2), rank)?;
    let offsets = params.wholes("offset")?;
    if like.shape.rank() != rank || ![0, 1, rank - first].contains(&offsets.len()) {
        let count = offsets.len();
        return Err(Problem::Misfit(format!(
            "{count} offsets do not fit {} and {}",
            bottom.shape, like.shape
        )));
    }
    let mut shape = bottom.shape.clone();
    let (mut starts, mut ends, mut axes) = (Vec::new(), Vec::new(), Vec::new());
    for axis in first..rank {
        let offset = offsets
            .get(axis - first)
            .or(offsets.first())
            .copied()
            .unwrap_or(0);
        if offset == 0 && bottom.shape.0[axis] == like.shape.0[axis] {
            continue;
        }
        let (size, wanted) = (bottom.shape.size(axis)?, like.shape.size(axis)?);
        if offset.saturating_add(wanted) > size {
            return Err(Problem::Misfit(format!(
                "axis {axis} has {size} elements, not {wanted} from {offset} on"
            )));
        }
        shape = shape.with(axis, Dim::Fixed(wanted));
        starts.push(signed(offset)?);
        ends.push(signed(offset + wanted)?);
        axes.push(signed_axis(axis));
    }
    if axes.is_empty() {
        return Ok(bottom);
    }
    let (starts, ends, axes) = (
        layer.graph.list(&starts)?,
        layer.graph.list(&ends)?,
        layer.graph.list(&axes)?,
    );
    layer
        .graph
        .add(Op::new("Slice"), &[&bottom, &starts, &ends, &axes], shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_shape_is_inferred() {
        let before = Shape::rows_of(&[6, 4]);
        let open = |dims: &[Dim]| inferred(&before, Shape(dims.to_vec()));
        assert_eq!(
            open(&[Dim::Batch, Dim::Open, Dim::Fixed(8)]).unwrap(),
            Shape::rows_of(&[3, 8])
        );
        assert_eq!(
            open(&[Dim::Open, Dim::Fixed(24)]).unwrap(),
            Shape::rows_of(&[24])
        );
        let mixes = open(&[Dim::Open, Dim::Fixed(12)]);
        assert!(matches!(mixes, Err(Problem::MixesRows(_))), "{mixes:?}");
        assert!(open(&[Dim::Batch, Dim::Open, Dim::Fixed(7)]).is_err());
        assert!(open(&[Dim::Batch, Dim::Open, Dim::Open]).is_err());
    }
}
