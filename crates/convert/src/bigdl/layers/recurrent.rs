//! Layers that go through time: a cell for each step, whose modules become the body of ONNX's `Scan`; and
//! layers that do the same for each step.

use super::arrange::{rows_of_rank, signed};
use crate::bigdl::activity::Activity;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::{Walk, WalkResult, failure};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, ElementType, Graph, Op, Shape, Value};

/// A cell goes through the steps of time and hands its state on.
pub(crate) fn recurrent(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> WalkResult<Activity> {
    let problem = |problem| failure(module, problem);
    if module.flag("maskZero", false).map_err(problem)? {
        return Err(problem(Problem::Unsupported("maskZero".to_owned())));
    }
    let cell = module.need_module("topology").map_err(problem)?;
    let sizes = states(cell).map_err(|problem| failure(cell, problem))?;
    let steps = cell
        .need_module("cell")
        .map_err(|problem| failure(cell, problem))?;
    let prepared = match module.module("preTopology") {
        Some(before) => walk.module(before, input.clone())?,
        None => input.clone(),
    };
    let x = prepared.tensor().map_err(problem)?;
    rows_of_rank(x, 3).map_err(problem)?;
    let mut body = Graph::body_of(&mut walk.graph, &module.shown_name());
    let given = body_inputs(&mut body, (x, &sizes)).map_err(problem)?;
    let outside = std::mem::replace(&mut walk.graph, body);
    let result = walk.module(steps, given);
    let body = std::mem::replace(&mut walk.graph, outside);
    let results = result?.flat().map_err(problem)?;
    walk.layer(module, |walk| {
        scan(&mut walk.graph, (body, &results), x, &sizes).map(Activity::from)
    })
}

/// Sizes of the tensors of a cell's state.
fn states(cell: &Module) -> LayerResult<Vec<u64>> {
    match cell.kind() {
        "LSTM" | "LSTMPeephole" => Ok(vec![cell.size("hiddenSize")?; 2]),
        "RnnCell" => Ok(vec![cell.size("hiddenSize")?]),
        "GRU" => Ok(vec![cell.size("outputSize")?]),
        _ => Err(Problem::UnknownKind {
            hint: "cells are RnnCell, LSTM, LSTMPeephole and GRU".to_owned(),
        }),
    }
}

/// One step of the input, and the state.
fn body_inputs(body: &mut Graph, (x, sizes): (&Value, &[u64])) -> LayerResult<Activity> {
    let mut state = Vec::with_capacity(sizes.len());
    for (at, &size) in sizes.iter().enumerate() {
        state.push(Activity::from(body.inner_input(
            &format!("state{at}"),
            ElementType::Float,
            Shape(vec![Dim::Batch, Dim::Fixed(size)]),
        )?));
    }
    let step = Shape(vec![Dim::Batch, x.shape.0[2]]);
    let step = body.inner_input("step", ElementType::Float, step)?;
    let state = if state.len() == 1 {
        state.remove(0)
    } else {
        Activity::table(state)
    };
    Ok(Activity::table(vec![step.into(), state]))
}

/// The body's results are the output of the step, then the new state.
fn scan(
    graph: &mut Graph,
    (body, results): (Graph, &[Value]),
    x: &Value,
    sizes: &[u64],
) -> LayerResult<Value> {
    let Some((output, state)) = results
        .split_first()
        .filter(|(_, state)| state.len() == sizes.len())
    else {
        return Err(Problem::Misfit(format!(
            "its cell gives {} tensors",
            results.len()
        )));
    };
    let mut order: Vec<&Value> = state.iter().collect();
    order.push(output);
    let body = body.into_body(&order)?;
    let rows = graph.add_as(
        Op::new("Shape").int("start", 0).int("end", 1),
        &[x],
        (Shape::fixed(&[1]), ElementType::Int64),
    )?;
    let mut operands = Vec::new();
    let mut shapes = Vec::new();
    for &size in sizes {
        let width = graph.list(&[signed(size)?])?;
        let shape = graph.add(
            Op::new("Concat").int("axis", 0),
            &[&rows, &width],
            Shape::fixed(&[2]),
        )?;
        let of_rows = Shape(vec![Dim::Batch, Dim::Fixed(size)]);
        operands.push(graph.add_as(
            Op::new("ConstantOfShape"),
            &[&shape],
            (of_rows.clone(), ElementType::Float),
        )?);
        shapes.push((of_rows, ElementType::Float));
    }
    let mut steps = output.shape.clone();
    steps.0.insert(1.min(steps.rank()), x.shape.0[1]);
    shapes.push((steps, ElementType::Float));
    let mut all: Vec<Option<&Value>> = operands.iter().map(Some).collect();
    all.push(Some(x));
    let op = Op::new("Scan")
        .int("num_scan_inputs", 1)
        .ints("scan_input_axes", &[1])
        .ints("scan_output_axes", &[1]);
    let results = graph.add_many(op.graph("body", body), &all, shapes)?;
    results
        .into_iter()
        .last()
        .ok_or_else(|| Problem::Misfit("it has no results".to_owned()))
}

/// The same layer for each step of time.
pub(crate) fn time_distributed(
    walk: &mut Walk,
    module: &Module,
    input: &Activity,
) -> WalkResult<Activity> {
    let problem = |problem| failure(module, problem);
    if module.flag("maskZero", false).map_err(problem)? {
        return Err(problem(Problem::Unsupported("maskZero".to_owned())));
    }
    let inside = match module.module("layer") {
        Some(inside) => inside,
        None => module
            .sub_modules
            .first()
            .ok_or_else(|| problem(Problem::Misfit("it has no layer".to_owned())))?,
    };
    per_leading(walk, (module, inside), input.tensor().map_err(problem)?, 2)
}

/// The first `leading` dimensions become the batch for the module inside, and come back after it.
pub(crate) fn per_leading(
    walk: &mut Walk,
    (module, inside): (&Module, &Module),
    x: &Value,
    leading: usize,
) -> WalkResult<Activity> {
    let problem = |problem| failure(module, problem);
    if x.shape.rank() < leading || x.shape.0.first() != Some(&Dim::Batch) {
        return Err(problem(Problem::Misfit(format!(
            "its input is {}",
            x.shape
        ))));
    }
    let before = x.shape.0[..leading].to_vec();
    walk.graph.begin_layer(&module.shown_name());
    let merged = merge(&mut walk.graph, x, leading).map_err(problem)?;
    let result = walk.module(inside, merged.into())?;
    walk.layer(module, |walk| {
        let result = result.tensor()?;
        let leading_shape = Op::new("Shape")
            .int("start", 0)
            .int("end", i64::try_from(leading).unwrap_or(0));
        let count = u64::try_from(leading).unwrap_or(0);
        let graph = &mut walk.graph;
        let first = graph.add_as(
            leading_shape,
            &[x],
            (Shape::fixed(&[count]), ElementType::Int64),
        )?;
        let rest = graph.add_as(
            Op::new("Shape").int("start", 1),
            &[result],
            (Shape::fixed(&[count]), ElementType::Int64),
        )?;
        let whole = graph.add(
            Op::new("Concat").int("axis", 0),
            &[&first, &rest],
            Shape::fixed(&[count]),
        )?;
        let mut dims = before;
        dims.extend(result.shape.0.iter().skip(1).copied());
        graph
            .add(
                Op::new("Reshape").int("allowzero", 0),
                &[result, &whole],
                Shape(dims),
            )
            .map(Activity::from)
    })
}

fn merge(graph: &mut Graph, x: &Value, leading: usize) -> LayerResult<Value> {
    let start = i64::try_from(leading).unwrap_or(0);
    let count = u64::try_from(x.shape.rank() - leading).unwrap_or(0);
    let rest = graph.add_as(
        Op::new("Shape").int("start", start),
        &[x],
        (Shape::fixed(&[count]), ElementType::Int64),
    )?;
    let all = graph.list(&[-1])?;
    let target = graph.add(
        Op::new("Concat").int("axis", 0),
        &[&all, &rest],
        Shape::fixed(&[count + 1]),
    )?;
    let mut dims = vec![Dim::Batch];
    dims.extend(x.shape.0.iter().skip(leading).copied());
    graph.add(Op::new("Reshape"), &[x, &target], Shape(dims))
}
