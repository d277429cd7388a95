//! Layers that make one number of many: sums, means, extremes.

use super::arrange::{self, axis_of_row};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Value};

pub(super) const KINDS: &[&str] = &["Mean", "Sum", "Max", "Min"];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let graph = &mut walk.graph;
    let rank = x.shape.rank();
    let sums = |kind| -> LayerResult<_> {
        let row_rank = module.int_or("nInputDims", -1)?;
        let dimension = module.int("dimension")?;
        if dimension < 0 && row_rank > 0 && i64::try_from(rank) == Ok(row_rank.saturating_add(1)) {
            return Err(Problem::Unsupported(format!(
                "dimension {dimension} together with nInputDims {row_rank}"
            )));
        }
        Ok((
            kind,
            axis_of_row(dimension, row_rank, rank)?,
            !module.flag("squeeze", true)?,
        ))
    };
    let extremes = |kind| -> LayerResult<_> {
        Ok((
            kind,
            axis_of_row(module.int("dim")?, module.int_or("numInputDims", -1)?, rank)?,
            false,
        ))
    };
    let (kind, axis, keep) = match module.kind() {
        "Mean" => sums("ReduceMean")?,
        "Sum" if module.flag("sizeAverage", false)? => sums("ReduceMean")?,
        "Sum" => sums("ReduceSum")?,
        "Max" => extremes("ReduceMax")?,
        _ => extremes("ReduceMin")?,
    };
    along(graph, (kind, x), axis, keep)
}

/// A reduction along one axis, which is kept with size 1 or goes away.
pub(super) fn along(
    graph: &mut Graph,
    (kind, x): (&'static str, &Value),
    axis: usize,
    keep: bool,
) -> LayerResult<Value> {
    arrange::within_rows(x, axis)?;
    let axes = graph.list(&[i64::try_from(axis).unwrap_or(0)])?;
    let mut shape = x.shape.with(axis, Dim::Fixed(1));
    if !keep {
        shape.0.remove(axis);
    }
    graph.add(
        Op::new(kind).int("keepdims", i64::from(keep)),
        &[x, &axes],
        shape,
    )
}
