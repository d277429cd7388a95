//! Layers that take or give tables.

use super::arrange::{self, axis_of_row, select, slice, unsqueeze};
use super::combine::{self, binary, join, with_number};
use crate::bigdl::activity::Activity;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Graph, Op, Shape, Value};

/// More parts than any network splits a tensor into.
const MAX_PARTS: u64 = 1 << 14;

/// What a layer makes of a table, or the table that it makes; `None` if it does neither.
pub(super) fn convert(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> LayerResult<Option<Activity>> {
    let graph = &mut walk.graph;
    Ok(Some(match module.kind() {
        "Identity" | "Echo" | "Input" | "Contiguous" | "Dropout" => match input {
            Activity::Table(_) => input.clone(),
            Activity::Tensor(_) => return Ok(None),
        },
        "SelectTable" => selected(module, input)?,
        "NarrowTable" => narrowed(module, input)?,
        "FlattenTable" => Activity::table(input.flat()?.into_iter().map(Activity::from).collect()),
        "SplitTable" => split(graph, module, input.tensor()?)?,
        "BifurcateSplitTable" => bifurcate(graph, module, input.tensor()?)?,
        kind => match of_tensors(graph, module, input, kind)? {
            Some(value) => value.into(),
            None => return bilinear(walk, module, input),
        },
    }))
}

fn of_tensors(
    graph: &mut Graph,
    module: &Module,
    input: &Activity,
    kind: &str,
) -> LayerResult<Option<Value>> {
    Ok(Some(match kind {
        "CAddTable" => folded(graph, "Add", input)?,
        "CMulTable" => folded(graph, "Mul", input)?,
        "CMaxTable" => folded(graph, "Max", input)?,
        "CMinTable" => folded(graph, "Min", input)?,
        "CSubTable" => {
            let [one, other] = two(input)?;
            binary(graph, "Sub", one, other)?
        }
        "CDivTable" => {
            let [one, other] = two(input)?;
            binary(graph, "Div", one, other)?
        }
        "CAveTable" => {
            let count = input.parts()?.len();
            let sum = folded(graph, "Add", input)?;
            let count =
                u16::try_from(count).map_err(|_| Problem::Misfit(format!("a table of {count}")))?;
            with_number(graph, "Div", &sum, f32::from(count))?
        }
        "JoinTable" => {
            let tensors = input.tensors()?;
            let axis = axis_of_row(
                module.int("dimension")?,
                module.int("nInputDims")?,
                tensors[0].shape.rank(),
            )?;
            join(graph, &tensors, axis)?
        }
        "Pack" => pack(graph, module, input)?,
        "MM" => matrices(graph, module, input)?,
        "DotProduct" => {
            let [one, other] = two(input)?;
            let products = binary(graph, "Mul", one, other)?;
            super::reduce::along(graph, ("ReduceSum", &products), 1, false)?
        }
        _ => return Ok(None),
    }))
}

fn two(input: &Activity) -> LayerResult<[&Value; 2]> {
    let tensors = input.tensors()?;
    let count = tensors.len();
    <[&Value; 2]>::try_from(tensors)
        .map_err(|_| Problem::Misfit(format!("it takes 2 tensors, its input has {count}")))
}

fn folded(graph: &mut Graph, kind: &'static str, input: &Activity) -> LayerResult<Value> {
    let tensors = input.tensors()?;
    let mut result = tensors[0].clone();
    for tensor in &tensors[1..] {
        result = binary(graph, kind, &result, tensor)?;
    }
    Ok(result)
}

/// A negative index counts from the length itself in BigDL: -1 is the last but one.
fn selected(module: &Module, input: &Activity) -> LayerResult<Activity> {
    let index = module.int("index")?;
    let length = i64::try_from(input.parts()?.len()).unwrap_or(i64::MAX);
    input
        .part(if index < 0 {
            index.saturating_add(length)
        } else {
            index
        })
        .cloned()
}

fn narrowed(module: &Module, input: &Activity) -> LayerResult<Activity> {
    let offset = module.int("offset")?;
    let total = i64::try_from(input.parts()?.len()).unwrap_or(i64::MAX);
    let mut length = module.int("length")?;
    if length < 0 {
        length = total
            .saturating_sub(offset)
            .saturating_add(2)
            .saturating_add(length);
    }
    if length > total {
        return Err(Problem::Misfit(format!(
            "{length} parts of a table of {total}"
        )));
    }
    let parts = (0..length).map(|at| input.part(offset.saturating_add(at)).cloned());
    Ok(Activity::table(parts.collect::<LayerResult<_>>()?))
}

fn split(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Activity> {
    let row_rank = module.int_or("nInputDims", -1)?;
    let axis = axis_of_row(module.int("dimension")?, row_rank, x.shape.rank())?;
    arrange::within_rows(x, axis)?;
    let size = x.shape.size(axis)?;
    if size > MAX_PARTS {
        return Err(Problem::Unsupported(format!("a table of {size}")));
    }
    let keep = module.flag("keepDim", false)?;
    let mut parts = Vec::new();
    for index in 0..arrange::signed(size)? {
        let part = if keep {
            slice(graph, x, axis, (index, index + 1))?
        } else {
            select(graph, x, axis, index)?
        };
        parts.push(part.into());
    }
    Ok(Activity::table(parts))
}

fn bifurcate(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Activity> {
    let axis = arrange::axis(module.int("dimension")?, x.shape.rank())?;
    arrange::within_rows(x, axis)?;
    let half = arrange::signed(x.shape.size(axis)? / 2)?;
    let left = slice(graph, x, axis, (0, half))?;
    let right = slice(graph, x, axis, (half, i64::MAX))?;
    Ok(Activity::table(vec![left.into(), right.into()]))
}

fn pack(graph: &mut Graph, module: &Module, input: &Activity) -> LayerResult<Value> {
    let tensors = input.tensors()?;
    let axis = arrange::axis(module.int("dimension")?, tensors[0].shape.rank() + 1)?;
    let mut parts = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        parts.push(unsqueeze(graph, tensor, axis)?);
    }
    join(graph, &parts.iter().collect::<Vec<_>>(), axis)
}

/// Products of the matrices of each row.
fn matrices(graph: &mut Graph, module: &Module, input: &Activity) -> LayerResult<Value> {
    let [one, other] = two(input)?;
    let rank = one.shape.rank();
    if rank < 3 || other.shape.rank() != rank {
        return Err(Problem::MixesRows(format!(
            "a product of {} and {}",
            one.shape, other.shape
        )));
    }
    let mut swapped: Vec<usize> = (0..rank).collect();
    swapped.swap(rank - 2, rank - 1);
    let one = if module.flag("transA", false)? {
        arrange::transpose(graph, one, &swapped)?
    } else {
        one.clone()
    };
    let other = if module.flag("transB", false)? {
        arrange::transpose(graph, other, &swapped)?
    } else {
        other.clone()
    };
    let leading = |value: &Value| Shape(value.shape.0[..rank - 2].to_vec());
    let mut shape = combine::stretched(&leading(&one), &leading(&other))?;
    shape
        .0
        .extend([one.shape.0[rank - 2], other.shape.0[rank - 1]]);
    graph.add(Op::new("MatMul"), &[&one, &other], shape)
}

/// `x * W_k * y + b_k` for each output `k`.
fn bilinear(walk: &mut Walk, module: &Module, input: &Activity) -> LayerResult<Option<Activity>> {
    if module.kind() != "Bilinear" {
        return Ok(None);
    }
    let [one, other] = two(input)?;
    let sizes = [
        module.size("outputSize")?,
        module.size("inputSize1")?,
        module.size("inputSize2")?,
    ];
    arrange::expect_size(one, 1, sizes[1])?;
    arrange::expect_size(other, 1, sizes[2])?;
    let weights = walk.need(module, 0, super::product(&sizes)?)?;
    let weights = walk.graph.floats(&sizes, &weights)?;
    let sum = Op::new("Einsum").text("equation", "ni,oij,nj->no");
    let mut result = walk.graph.add(
        sum,
        &[one, &weights, other],
        Shape(vec![one.shape.0[0], crate::onnx::Dim::Fixed(sizes[0])]),
    )?;
    if module.flag("biasRes", true)? {
        let bias = walk.need(module, 1, sizes[0])?;
        let bias = walk.graph.floats(&[sizes[0]], &bias)?;
        result = binary(&mut walk.graph, "Add", &result, &bias)?;
    }
    Ok(Some(result.into()))
}
