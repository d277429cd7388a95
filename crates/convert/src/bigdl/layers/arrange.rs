//! Shapes and their operators: what layers of every family need.

use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Shape, Value, checked};

/// The axis that BigDL calls dimension `dimension`: counted from 1, or from the end if negative.
pub(crate) fn axis(dimension: i64, rank: usize) -> LayerResult<usize> {
    let length = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_one = if dimension < 0 {
        dimension.saturating_add(length).saturating_add(1)
    } else {
        dimension
    };
    match usize::try_from(from_one) {
        Ok(from_one) if from_one >= 1 && from_one <= rank => Ok(from_one - 1),
        _ => Err(Problem::Misfit(format!(
            "there is no dimension {dimension} in {rank} dimensions"
        ))),
    }
}

/// The axis of `dimension` where `row_rank` dimensions (0 or less: not said) make a row, so that a batch has one more.
pub(crate) fn axis_of_row(dimension: i64, row_rank: i64, rank: usize) -> LayerResult<usize> {
    let batched = row_rank > 0 && i64::try_from(rank) == Ok(row_rank.saturating_add(1));
    let shifted = if dimension > 0 && batched {
        dimension.saturating_add(1)
    } else {
        dimension
    };
    axis(shifted, rank)
}

/// That an axis is not the batch, whose rows must not be mixed.
pub(crate) fn within_rows(value: &Value, axis: usize) -> LayerResult<()> {
    match value.shape.0.get(axis) {
        Some(Dim::Batch) => Err(Problem::MixesRows(
            "working along the first dimension".to_owned(),
        )),
        Some(_) => Ok(()),
        None => Err(Problem::Misfit(format!(
            "there is no axis {axis} in {}",
            value.shape
        ))),
    }
}

/// That a value has so many dimensions, the batch first.
pub(crate) fn rows_of_rank(value: &Value, rank: usize) -> LayerResult<()> {
    if value.shape.rank() != rank || value.shape.0.first() != Some(&Dim::Batch) {
        return Err(Problem::Misfit(format!(
            "its input is {}, it takes a batch in {rank} dimensions",
            value.shape
        )));
    }
    Ok(())
}

/// That the size at an axis is this one, as far as it is known.
pub(crate) fn expect_size(value: &Value, axis: usize, size: u64) -> LayerResult<()> {
    match value.shape.0.get(axis) {
        Some(Dim::Fixed(found)) if *found != size => Err(Problem::Misfit(format!(
            "its input is {}, it takes {size} at dimension {}",
            value.shape,
            axis + 1
        ))),
        Some(Dim::Fixed(_) | Dim::Open) => Ok(()),
        Some(Dim::Batch) | None => Err(Problem::Misfit(format!(
            "its input is {}, without dimension {}",
            value.shape,
            axis + 1
        ))),
    }
}

/// A size as ONNX writes it.
pub(crate) fn signed(size: u64) -> LayerResult<i64> {
    i64::try_from(size).map_err(|_| Problem::Misfit(format!("size {size} is too large")))
}

/// Rows of other sizes but as many elements; `sizes` may hold one `Open` for what is left.
pub(crate) fn reshape_rows(graph: &mut Graph, value: &Value, sizes: &[Dim]) -> LayerResult<Value> {
    if value.shape.0.first() != Some(&Dim::Batch) {
        return Err(Problem::MixesRows(format!("reshaping {}", value.shape)));
    }
    let mut target = vec![0_i64];
    let mut known = 1_u64;
    for size in sizes {
        target.push(match size {
            Dim::Fixed(size) => {
                known = checked(known.checked_mul(*size))?;
                signed(*size)?
            }
            _ => -1,
        });
    }
    let mut sizes = sizes.to_vec();
    let whole = value.shape.0[1..]
        .iter()
        .all(|it| matches!(it, Dim::Fixed(_)));
    if whole {
        let have = value.shape.count(1..value.shape.rank())?;
        let open = sizes.iter().position(|it| !matches!(it, Dim::Fixed(_)));
        let left = have.checked_div(known).unwrap_or(0);
        if left.checked_mul(known) != Some(have) || (open.is_none() && left != 1) {
            return Err(Problem::Misfit(format!(
                "rows of {} do not have {known} elements",
                value.shape
            )));
        }
        if let Some(open) = open {
            sizes[open] = Dim::Fixed(left);
        }
    }
    let mut dims = vec![Dim::Batch];
    dims.extend(sizes);
    if value.shape.0 == dims {
        return Ok(value.clone());
    }
    let target = graph.list(&target)?;
    graph.add(Op::new("Reshape"), &[value, &target], Shape(dims))
}

/// Axes in another order.
pub(crate) fn transpose(graph: &mut Graph, value: &Value, order: &[usize]) -> LayerResult<Value> {
    if order.iter().enumerate().all(|(at, &axis)| at == axis) {
        return Ok(value.clone());
    }
    let mut dims = Vec::with_capacity(order.len());
    let mut axes = Vec::with_capacity(order.len());
    for &axis in order {
        let dim = value.shape.0.get(axis).ok_or_else(|| {
            Problem::Misfit(format!("there is no axis {axis} in {}", value.shape))
        })?;
        dims.push(*dim);
        axes.push(i64::try_from(axis).unwrap_or(i64::MAX));
    }
    graph.add(
        Op::new("Transpose").ints("perm", &axes),
        &[value],
        Shape(dims),
    )
}

/// Images with channels first, whatever they were.
pub(crate) fn channels_first(graph: &mut Graph, value: &Value, last: bool) -> LayerResult<Value> {
    if last {
        transpose(graph, value, &[0, 3, 1, 2])
    } else {
        Ok(value.clone())
    }
}

/// Images with channels first become what they were before.
pub(crate) fn channels_back(graph: &mut Graph, value: &Value, last: bool) -> LayerResult<Value> {
    if last {
        transpose(graph, value, &[0, 2, 3, 1])
    } else {
        Ok(value.clone())
    }
}

/// From `start` to before `end` along an axis, both as ONNX has them (negative: from the end).
pub(crate) fn slice(
    graph: &mut Graph,
    value: &Value,
    axis: usize,
    (start, end): (i64, i64),
) -> LayerResult<Value> {
    within_rows(value, axis)?;
    let dim = match value.shape.0[axis] {
        Dim::Fixed(size) => {
            let size = signed(size)?;
            let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
            Dim::Fixed(u64::try_from(place(end) - place(start)).unwrap_or(0))
        }
        _ if start >= 0 && end > start && end < i64::from(i32::MAX) => {
            Dim::Fixed(u64::try_from(end - start).unwrap_or(0))
        }
        other => other,
    };
    if dim == Dim::Fixed(0) {
        return Err(Problem::Misfit(format!(
            "nothing is left of {}",
            value.shape
        )));
    }
    let starts = graph.list(&[start])?;
    let ends = graph.list(&[end])?;
    let axes = graph.list(&[i64::try_from(axis).unwrap_or(0)])?;
    graph.add(
        Op::new("Slice"),
        &[value, &starts, &ends, &axes],
        value.shape.with(axis, dim),
    )
}

/// The slice `index` along an axis (negative: from the end), without that axis.
pub(crate) fn select(
    graph: &mut Graph,
    value: &Value,
    axis: usize,
    index: i64,
) -> LayerResult<Value> {
    within_rows(value, axis)?;
    if let Dim::Fixed(size) = value.shape.0[axis] {
        let size = signed(size)?;
        if index >= size || index < -size {
            return Err(Problem::Misfit(format!(
                "there is no element {index} at axis {axis} of {}",
                value.shape
            )));
        }
    }
    let index = graph.int64s(&[], &[index])?;
    let mut shape = value.shape.clone();
    shape.0.remove(axis);
    graph.add(
        Op::new("Gather").int("axis", i64::try_from(axis).unwrap_or(0)),
        &[value, &index],
        shape,
    )
}

/// A new axis of size 1.
pub(crate) fn unsqueeze(graph: &mut Graph, value: &Value, axis: usize) -> LayerResult<Value> {
    if axis == 0 || axis > value.shape.rank() {
        return Err(Problem::MixesRows(format!(
            "a new dimension {} in {}",
            axis + 1,
            value.shape
        )));
    }
    let axes = graph.list(&[i64::try_from(axis).unwrap_or(0)])?;
    let mut shape = value.shape.clone();
    shape.0.insert(axis, Dim::Fixed(1));
    graph.add(Op::new("Unsqueeze"), &[value, &axes], shape)
}

/// Without an axis of size 1.
pub(crate) fn squeeze(graph: &mut Graph, value: &Value, axis: usize) -> LayerResult<Value> {
    within_rows(value, axis)?;
    let axes = graph.list(&[i64::try_from(axis).unwrap_or(0)])?;
    let mut shape = value.shape.clone();
    shape.0.remove(axis);
    graph.add(Op::new("Squeeze"), &[value, &axes], shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::ElementType;

    fn value(graph: &mut Graph, sizes: &[u64]) -> Value {
        graph
            .input("x", ElementType::Float, Shape::rows_of(sizes))
            .unwrap()
    }

    #[test]
    fn dimensions_are_counted_from_one_and_from_the_end() {
        assert_eq!(axis(1, 3), Ok(0));
        assert_eq!(axis(-1, 3), Ok(2));
        for bad in [0, 4, -4, i64::MAX, i64::MIN] {
            assert!(axis(bad, 3).is_err(), "{bad}");
        }
        assert_eq!(axis_of_row(1, 2, 3), Ok(1));
        assert_eq!(axis_of_row(2, -1, 3), Ok(1));
        assert_eq!(axis_of_row(-1, 2, 3), Ok(2));
    }

    #[test]
    fn rows_keep_their_number_of_elements() {
        let mut graph = Graph::new();
        let x = value(&mut graph, &[3, 4]);
        let known = reshape_rows(&mut graph, &x, &[Dim::Fixed(2), Dim::Fixed(6)]).unwrap();
        assert_eq!(known.shape, Shape::rows_of(&[2, 6]));
        let left = reshape_rows(&mut graph, &x, &[Dim::Fixed(2), Dim::Open]).unwrap();
        assert_eq!(left.shape, Shape::rows_of(&[2, 6]));
        for bad in [
            &[Dim::Fixed(5)][..],
            &[Dim::Fixed(0)],
            &[Dim::Fixed(5), Dim::Open],
            &[Dim::Fixed(u64::MAX); 2],
        ] {
            assert!(reshape_rows(&mut graph, &x, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slices_are_cut_to_what_is_there() {
        let mut graph = Graph::new();
        let x = value(&mut graph, &[5]);
        assert_eq!(
            slice(&mut graph, &x, 1, (1, -1)).unwrap().shape,
            Shape::rows_of(&[3])
        );
        assert_eq!(
            slice(&mut graph, &x, 1, (1, i64::MAX)).unwrap().shape,
            Shape::rows_of(&[4])
        );
        assert!(slice(&mut graph, &x, 1, (5, 6)).is_err());
        assert!(slice(&mut graph, &x, 0, (0, 1)).is_err());
        assert!(select(&mut graph, &x, 1, 5).is_err());
        assert!(select(&mut graph, &x, 1, -5).is_ok());
    }
}
