//! Layers with a weight for each pair of numbers, for each number, or for each word.

use super::arrange::{expect_size, rows_of_rank};
use super::combine::{binary, with_number};
use super::convolution::flat;
use super::product;
use super::reduce::along;
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, ElementType, Op, Value};

pub(super) const KINDS: &[&str] = &[
    "Linear",
    "CMul",
    "CAdd",
    "Mul",
    "Add",
    "Scale",
    "Cosine",
    "LookupTable",
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    match module.kind() {
        "Linear" => linear(walk, module, x),
        "CMul" => stretched_parameter(walk, (module, "size"), 0, ("Mul", x)),
        "CAdd" => stretched_parameter(walk, (module, "size"), 0, ("Add", x)),
        "Mul" => {
            let factor = walk.need(module, 0, 1)?;
            with_number(&mut walk.graph, "Mul", x, factor[0])
        }
        "Add" => {
            let size = module.size("inputSize")?;
            rows_of_rank(x, 2)?;
            expect_size(x, 1, size)?;
            let added = walk.need(module, 0, size)?;
            let added = walk.graph.floats(&[size], &added)?;
            binary(&mut walk.graph, "Add", x, &added)
        }
        "Scale" => {
            let scaled = convert(walk, module.need_module("cmul")?, x)?;
            convert(walk, module.need_module("cadd")?, &scaled)
        }
        "Cosine" => cosine(walk, module, x),
        _ => lookup(walk, module, x),
    }
}

fn linear(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let (inputs, outputs) = (module.size("inputSize")?, module.size("outputSize")?);
    let weights = walk.need(module, 0, product(&[outputs, inputs])?)?;
    let bias = if module.flag("withBias", true)? {
        Some(walk.need(module, 1, outputs)?)
    } else {
        None
    };
    product_with(walk, x, (&[outputs, inputs], &weights), bias)
}

/// Rows times weights of outputs and inputs.
pub(super) fn product_with(
    walk: &mut Walk,
    x: &Value,
    (sizes, weights): (&[u64; 2], &[f32]),
    bias: Option<Vec<f32>>,
) -> LayerResult<Value> {
    rows_of_rank(x, 2)?;
    expect_size(x, 1, sizes[1])?;
    let weights = walk.graph.floats(sizes, weights)?;
    let bias = bias
        .map(|bias| walk.graph.floats(&[sizes[0]], &bias))
        .transpose()?;
    let mut operands = vec![x, &weights];
    operands.extend(bias.as_ref());
    walk.graph.add(
        Op::new("Gemm").int("transB", 1),
        &operands,
        flat(x, sizes[0]),
    )
}

/// A parameter of the sizes of an attribute, which stand for those of a row or of a whole batch.
pub(super) fn stretched_parameter(
    walk: &mut Walk,
    (module, key): (&Module, &str),
    index: usize,
    (kind, x): (&'static str, &Value),
) -> LayerResult<Value> {
    let sizes: Result<Vec<u64>, _> = module
        .ints(key)?
        .iter()
        .map(|&it| u64::try_from(it))
        .collect();
    let sizes =
        sizes.map_err(|_| Problem::Misfit(format!("attribute {key} has a negative size")))?;
    let numbers = walk.need(module, index, product(&sizes)?)?;
    if sizes.len() > x.shape.rank() {
        return Err(Problem::Misfit(format!(
            "its input is {}, its weights have sizes {sizes:?}",
            x.shape
        )));
    }
    if sizes.len() == x.shape.rank() && sizes[0] != 1 {
        return Err(Problem::MixesRows(format!("weights of sizes {sizes:?}")));
    }
    let weights = walk.graph.floats(&sizes, &numbers)?;
    binary(&mut walk.graph, kind, x, &weights)
}

/// `w * x / (|w| * |x|)` for each row `w` of the weights.
fn cosine(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let (inputs, outputs) = (module.size("inputSize")?, module.size("outputSize")?);
    let mut weights = walk.need(module, 0, product(&[outputs, inputs])?)?;
    let width = usize::try_from(inputs).unwrap_or(usize::MAX);
    for row in weights.chunks_mut(width) {
        let norm = row.iter().map(|it| it * it).sum::<f32>().sqrt() + 1e-12;
        row.iter_mut().for_each(|it| *it /= norm);
    }
    let products = product_with(walk, x, (&[outputs, inputs], &weights), None)?;
    let norm = along(&mut walk.graph, ("ReduceL2", x), 1, true)?;
    binary(&mut walk.graph, "Div", &products, &norm)
}

/// Rows of a table; words are counted from 1.
#[expect(
    clippy::float_cmp,
    reason = "the largest number stands for no limit in the file"
)]
fn lookup(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let (words, width) = (module.size("nIndex")?, module.size("nOutput")?);
    let mut table = walk.need(module, 0, product(&[words, width])?)?;
    if module.flag("maskZero", false)? {
        return Err(Problem::Unsupported("maskZero".to_owned()));
    }
    let most = module.double_or("maxNorm", f64::MAX)?;
    if most != f64::MAX {
        limit_norms(
            &mut table,
            usize::try_from(width).unwrap_or(usize::MAX),
            (most, module.double_or("normType", 2.0)?),
        );
    }
    let graph = &mut walk.graph;
    let table = graph.floats(&[words, width], &table)?;
    let whole = graph.add_as(
        Op::new("Cast").int("to", ElementType::Int64 as i64),
        &[x],
        (x.shape.clone(), ElementType::Int64),
    )?;
    let one = graph.int64s(&[], &[1])?;
    let from_zero = graph.add(Op::new("Sub"), &[&whole, &one], x.shape.clone())?;
    let mut shape = x.shape.clone();
    shape.0.push(Dim::Fixed(width));
    graph.add(
        Op::new("Gather").int("axis", 0),
        &[&table, &from_zero],
        shape,
    )
}

/// Rows that are too long are made shorter, as BigDL does before it looks them up.
#[expect(clippy::cast_possible_truncation, reason = "weights are float32 here")]
fn limit_norms(table: &mut [f32], width: usize, (most, kind): (f64, f64)) {
    for row in table.chunks_mut(width.max(1)) {
        let norm = row
            .iter()
            .map(|it| f64::from(it.abs()).powf(kind))
            .sum::<f64>()
            .powf(1.0 / kind);
        if norm > most {
            let factor = most / (norm + 1e-7);
            row.iter_mut()
                .for_each(|it| *it = (f64::from(*it) * factor) as f32);
        }
    }
}
