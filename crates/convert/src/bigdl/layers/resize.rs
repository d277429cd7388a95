//! Layers that make images and sequences larger or smaller.

use super::arrange::{channels_back, channels_first, rows_of_rank};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Value, checked};

pub(super) const KINDS: &[&str] = &["UpSampling1D", "UpSampling2D", "ResizeBilinear"];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let graph = &mut walk.graph;
    match module.kind() {
        "UpSampling1D" => {
            rows_of_rank(x, 3)?;
            repeated(graph, x, (1, &[module.size("length")?]))
        }
        "UpSampling2D" => {
            rows_of_rank(x, 4)?;
            let sizes = module.ints("size")?;
            let factors: Result<Vec<u64>, _> = sizes.iter().map(|&it| u64::try_from(it)).collect();
            let last = module.channels_last("format");
            match factors {
                Ok(factors) if factors.len() == 2 && !factors.contains(&0) => {
                    repeated(graph, x, (if last { 1 } else { 2 }, &factors))
                }
                _ => Err(Problem::Misfit(format!("factors are {sizes:?}"))),
            }
        }
        _ => bilinear(graph, module, x),
    }
}

/// Every element so many times, along axes from `first` on.
fn repeated(graph: &mut Graph, x: &Value, (first, factors): (usize, &[u64])) -> LayerResult<Value> {
    let mut shape = x.shape.clone();
    let mut scales = Vec::with_capacity(factors.len());
    let mut axes = Vec::with_capacity(factors.len());
    for (at, &factor) in factors.iter().enumerate() {
        if let Dim::Fixed(size) = shape.0[first + at] {
            shape = shape.with(first + at, Dim::Fixed(checked(size.checked_mul(factor))?));
        }
        let factor =
            u16::try_from(factor).map_err(|_| Problem::Misfit(format!("factor {factor}")))?;
        scales.push(f32::from(factor));
        axes.push(i64::try_from(first + at).unwrap_or(0));
    }
    let scales = graph.floats(&[u64::try_from(scales.len()).unwrap_or(0)], &scales)?;
    let op = Op::new("Resize")
        .text("mode", "nearest")
        .text("nearest_mode", "floor")
        .text("coordinate_transformation_mode", "asymmetric");
    let results = graph.add_many(
        op.ints("axes", &axes),
        &[Some(x), None, Some(&scales)],
        vec![(shape, x.element)],
    )?;
    results
        .into_iter()
        .next()
        .ok_or_else(|| Problem::Misfit("no result".to_owned()))
}

fn bilinear(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    rows_of_rank(x, 4)?;
    let last = module.channels_last("dataFormat");
    let (height, width) = (module.size("outputHeight")?, module.size("outputWidth")?);
    let mode = if module.flag("alignCorners", false)? {
        "align_corners"
    } else {
        "asymmetric"
    };
    let images = channels_first(graph, x, last)?;
    let sizes = graph.list(&[
        super::arrange::signed(height)?,
        super::arrange::signed(width)?,
    ])?;
    let op = Op::new("Resize")
        .text("mode", "linear")
        .text("coordinate_transformation_mode", mode)
        .ints("axes", &[2, 3]);
    let shape = images
        .shape
        .with(2, Dim::Fixed(height))
        .with(3, Dim::Fixed(width));
    let results = graph.add_many(
        op,
        &[Some(&images), None, None, Some(&sizes)],
        vec![(shape, x.element)],
    )?;
    let resized = results
        .into_iter()
        .next()
        .ok_or_else(|| Problem::Misfit("no result".to_owned()))?;
    channels_back(graph, &resized, last)
}
