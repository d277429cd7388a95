//! Layers that put the same numbers into another order or shape, or leave some out.

use super::arrange::{
    self, reshape_rows, rows_of_rank, select, signed, slice, squeeze, transpose, unsqueeze,
    within_rows,
};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Value, checked};

pub(super) const KINDS: &[&str] = &[
    "Reshape",
    "View",
    "InferReshape",
    "Transpose",
    "Select",
    "Narrow",
    "Squeeze",
    "Unsqueeze",
    "Replicate",
    "Padding",
    "SpatialZeroPadding",
    "Cropping2D",
    "Tile",
    "Reverse",
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let graph = &mut walk.graph;
    let rank = x.shape.rank();
    match module.kind() {
        "Reshape" => reshape(graph, module, x),
        "View" => view(graph, &module.ints("sizes")?, x),
        "InferReshape" => infer_reshape(graph, module, x),
        "Transpose" => swap(graph, module, x),
        "Select" => {
            let index = module.int("index")?;
            let index = if index > 0 { index - 1 } else { index };
            select(
                graph,
                x,
                arrange::axis(module.int("dimension")?, rank)?,
                index,
            )
        }
        "Narrow" => narrow(graph, module, x),
        "Squeeze" => squeezed(graph, module, x),
        "Unsqueeze" => unsqueezed(graph, module, x),
        "Replicate" => replicate(graph, module, x),
        "Padding" => pad_one(graph, module, x),
        "SpatialZeroPadding" => {
            rows_of_rank(x, 4)?;
            let side = |key| module.int(key);
            let begin = [0, 0, side("padTop")?, side("padLeft")?];
            pad(
                graph,
                x,
                (&begin, &[0, 0, side("padBottom")?, side("padRight")?]),
                0.0,
            )
        }
        "Cropping2D" => crop(graph, module, x),
        "Tile" => {
            let axis = arrange::axis(module.int("dim")?, rank)?;
            tile(graph, x, axis, module.size("copies")?)
        }
        _ => {
            let axis = arrange::axis(module.int_or("dim", 1)?, rank)?;
            reversed(graph, x, axis)
        }
    }
}

fn dims(sizes: &[i64]) -> LayerResult<Vec<Dim>> {
    let dim = |&size: &i64| match u64::try_from(size) {
        Ok(size) if size > 0 => Ok(Dim::Fixed(size)),
        _ => Err(Problem::Misfit(format!("sizes {sizes:?}"))),
    };
    sizes.iter().map(dim).collect()
}

/// 0: rows, unless all elements together fit, which only a batch of another size than the file knows does; 1: never rows.
fn reshape(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    if module.int_or("batchMode", 0)? == 1 {
        return Err(Problem::MixesRows("reshaping without batch".to_owned()));
    }
    reshape_rows(graph, x, &dims(&module.ints("size")?)?)
}

/// A first size of -1 is the batch, if the others make a row.
fn view(graph: &mut Graph, sizes: &[i64], x: &Value) -> LayerResult<Value> {
    match sizes {
        [-1, row @ ..] if !row.is_empty() => reshape_rows(graph, x, &dims(row)?),
        _ => reshape_rows(graph, x, &dims(sizes)?),
    }
}

fn infer_reshape(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let sizes = module.ints("size")?;
    let batched = module.flag("batchMode", false)?;
    let row = match sizes.as_slice() {
        // A size of 0 is that of the input at the same place, of which the first is the batch.
        row if batched => row,
        [0, row @ ..] => row,
        _ => return Err(Problem::MixesRows(format!("reshaping to {sizes:?}"))),
    };
    let mut dims = Vec::with_capacity(row.len());
    for (at, &size) in row.iter().enumerate() {
        dims.push(match (size, u64::try_from(size)) {
            (-1, _) => Dim::Open,
            (0, _) if batched && at == 0 => {
                return Err(Problem::MixesRows(format!("reshaping to {sizes:?}")));
            }
            (0, _) => Dim::Fixed(x.shape.size(if batched { at } else { at + 1 })?),
            (_, Ok(size)) => Dim::Fixed(size),
            _ => return Err(Problem::Misfit(format!("sizes {sizes:?}"))),
        });
    }
    if dims.iter().filter(|it| **it == Dim::Open).count() > 1 {
        return Err(Problem::Misfit(format!("sizes {sizes:?}")));
    }
    reshape_rows(graph, x, &dims)
}

fn swap(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let rank = x.shape.rank();
    let mut order: Vec<usize> = (0..rank).collect();
    for number in 0..module.int("size")? {
        let pair = module.ints(&format!("permutation_{number}"))?;
        let [one, other] = pair.as_slice() else {
            return Err(Problem::Misfit(format!("permutation {pair:?}")));
        };
        order.swap(arrange::axis(*one, rank)?, arrange::axis(*other, rank)?);
    }
    transpose(graph, x, &order)
}

fn narrow(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let axis = arrange::axis(module.int("dimension")?, x.shape.rank())?;
    let start = module.int("offset")?.saturating_sub(1);
    if start < 0 {
        return Err(Problem::Misfit(format!(
            "offset {}",
            start.saturating_add(1)
        )));
    }
    let end = match module.int("length")? {
        -1 => i64::MAX,
        length if length < 0 => length.saturating_add(1),
        length => start.saturating_add(length),
    };
    if let Dim::Fixed(size) = x.shape.0[axis]
        && end < i64::MAX
        && end > signed(size)?
    {
        return Err(Problem::Misfit(format!("elements to {end} of {}", x.shape)));
    }
    slice(graph, x, axis, (start, end))
}

/// One dimension after the other, each in what the ones before left.
fn squeezed(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let batched = i64::from(module.flag("batchMode", false)?);
    let mut value = x.clone();
    let dimensions = module.ints("dims")?;
    if dimensions.is_empty() {
        while let Some(axis) = value.shape.0.iter().position(|it| *it == Dim::Fixed(1)) {
            value = squeeze(graph, &value, axis)?;
        }
        if value.shape.0.contains(&Dim::Open) {
            return Err(Problem::Misfit(format!(
                "which dimensions of {} are 1 is not known",
                x.shape
            )));
        }
        return Ok(value);
    }
    for dimension in dimensions {
        let axis = arrange::axis(dimension.saturating_add(batched), value.shape.rank())?;
        within_rows(&value, axis)?;
        if matches!(value.shape.0[axis], Dim::Fixed(1) | Dim::Open) {
            value = squeeze(graph, &value, axis)?;
        }
    }
    Ok(value)
}

fn unsqueezed(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let rank = i64::try_from(x.shape.rank()).unwrap_or(i64::MAX);
    let positions = module.ints("pos")?;
    let [position] = positions.as_slice() else {
        return Err(Problem::Unsupported(format!(
            "new dimensions at {positions:?}"
        )));
    };
    let row_rank = module.int_or("numInputDims", i64::from(i32::MIN))?;
    let before = if row_rank == i64::from(i32::MIN) {
        0
    } else {
        rank - row_rank
    };
    let position = if *position <= 0 {
        rank + position + 1
    } else {
        *position
    };
    unsqueeze(
        graph,
        x,
        arrange::axis(position.saturating_add(before), x.shape.rank() + 1)?,
    )
}

fn replicate(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let rank = i64::try_from(x.shape.rank()).unwrap_or(i64::MAX);
    let shift = i64::from(rank > module.int("nDim")?);
    let axis = arrange::axis(module.int("dim")?.saturating_add(shift), x.shape.rank() + 1)?;
    let one = unsqueeze(graph, x, axis)?;
    tile(graph, &one, axis, module.size("nFeatures")?)
}

fn tile(graph: &mut Graph, x: &Value, axis: usize, copies: u64) -> LayerResult<Value> {
    within_rows(x, axis)?;
    let mut repeats = vec![1; x.shape.rank()];
    repeats[axis] = signed(copies)?;
    let shape = match x.shape.0[axis] {
        Dim::Fixed(size) => x
            .shape
            .with(axis, Dim::Fixed(checked(size.checked_mul(copies))?)),
        _ => x.shape.clone(),
    };
    let repeats = graph.list(&repeats)?;
    graph.add(Op::new("Tile"), &[x, &repeats], shape)
}

fn pad_one(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    let rank = x.shape.rank();
    if module.int_or("nIndex", 1)? != 1 {
        return Err(Problem::Unsupported("padding inside (nIndex)".to_owned()));
    }
    let shift = i64::from(i64::try_from(rank) != Ok(module.int("nInputDim")?));
    let axis = arrange::axis(module.int("dim")?.saturating_add(shift), rank)?;
    within_rows(x, axis)?;
    let count = module.int("pad")?;
    let (mut begin, mut end) = (vec![0; rank], vec![0; rank]);
    if count < 0 {
        begin[axis] = count.saturating_neg()
    } else {
        end[axis] = count
    };
    pad(graph, x, (&begin, &end), module.float("value")?)
}

/// So many more elements before and behind each axis; fewer where negative.
fn pad(
    graph: &mut Graph,
    x: &Value,
    (begin, end): (&[i64], &[i64]),
    with: f32,
) -> LayerResult<Value> {
    let mut shape = x.shape.clone();
    for (axis, (begin, end)) in begin.iter().zip(end).enumerate() {
        if let Dim::Fixed(size) = shape.0[axis] {
            let size = signed(size)?
                .checked_add(*begin)
                .and_then(|it| it.checked_add(*end));
            let size = size
                .and_then(|size| u64::try_from(size).ok())
                .filter(|&size| size > 0);
            shape = shape.with(axis, Dim::Fixed(checked(size)?));
        }
    }
    let pads = graph.list(&[begin, end].concat())?;
    let with = graph.float(with)?;
    graph.add(Op::new("Pad"), &[x, &pads, &with], shape)
}

fn crop(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    rows_of_rank(x, 4)?;
    let (heights, widths) = (module.ints("heightCrop")?, module.ints("widthCrop")?);
    let (&[top, bottom], &[left, right]) = (heights.as_slice(), widths.as_slice()) else {
        return Err(Problem::Misfit(format!("crops {heights:?} and {widths:?}")));
    };
    if [top, bottom, left, right].iter().any(|it| *it < 0) {
        return Err(Problem::Misfit(format!("crops {heights:?} and {widths:?}")));
    }
    let before_last = |count: i64| if count == 0 { i64::MAX } else { -count };
    let first = if module.channels_last("dataFormat") {
        1
    } else {
        2
    };
    let rows = slice(graph, x, first, (top, before_last(bottom)))?;
    slice(graph, &rows, first + 1, (left, before_last(right)))
}

/// The last element first.
pub(crate) fn reversed(graph: &mut Graph, x: &Value, axis: usize) -> LayerResult<Value> {
    within_rows(x, axis)?;
    let starts = graph.list(&[-1])?;
    let ends = graph.list(&[i64::MIN])?;
    let axes = graph.list(&[i64::try_from(axis).unwrap_or(0)])?;
    let steps = graph.list(&[-1])?;
    graph.add(
        Op::new("Slice"),
        &[x, &starts, &ends, &axes, &steps],
        x.shape.clone(),
    )
}
