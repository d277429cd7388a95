//! Layers that are a function of each number, or of each row.

use super::combine::{binary, unary, with_number};
use crate::bigdl::messages::Module;
use crate::bigdl::walk::Walk;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, ElementType, Graph, Op, Value};

pub(super) const KINDS: &[&str] = &[
    "Identity",
    "Input",
    "Echo",
    "Contiguous",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianNoise",
    "GaussianDropout",
    "GradientReversal",
    "L1Penalty",
    "ActivityRegularization",
    "ReLU",
    "ReLU6",
    "Tanh",
    "Sigmoid",
    "ELU",
    "LeakyReLU",
    "RReLU",
    "PReLU",
    "SoftPlus",
    "SoftSign",
    "HardTanh",
    "Clamp",
    "HardSigmoid",
    "HardShrink",
    "SoftShrink",
    "TanhShrink",
    "LogSigmoid",
    "Exp",
    "Log",
    "Sqrt",
    "Square",
    "Abs",
    "Negative",
    "Power",
    "Threshold",
    "BinaryThreshold",
    "AddConstant",
    "MulConstant",
    "LogSoftMax",
    "SoftMax",
    "SoftMin",
];

pub(super) fn convert(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let graph = &mut walk.graph;
    match module.kind() {
        // What these do, they do while a network is trained.
        "Identity"
        | "Input"
        | "Echo"
        | "Contiguous"
        | "GaussianNoise"
        | "GaussianDropout"
        | "GradientReversal"
        | "L1Penalty"
        | "ActivityRegularization" => Ok(x.clone()),
        "Dropout" if module.flag("scale", true)? => Ok(x.clone()),
        "Dropout" | "SpatialDropout1D" | "SpatialDropout2D" | "SpatialDropout3D" => {
            // What is dropped in training was not made up for there.
            with_number(graph, "Mul", x, 1.0 - module.float("initP")?)
        }
        "ReLU" => unary(graph, Op::new("Relu"), x),
        "Tanh" => unary(graph, Op::new("Tanh"), x),
        "Sigmoid" => unary(graph, Op::new("Sigmoid"), x),
        "SoftSign" => unary(graph, Op::new("Softsign"), x),
        "Exp" => unary(graph, Op::new("Exp"), x),
        "Log" => unary(graph, Op::new("Log"), x),
        "Sqrt" => unary(graph, Op::new("Sqrt"), x),
        "Abs" => unary(graph, Op::new("Abs"), x),
        "Negative" => unary(graph, Op::new("Neg"), x),
        "Square" => binary(graph, "Mul", x, x),
        "ReLU6" => clip(graph, x, (0.0, 6.0)),
        "HardTanh" => clip(
            graph,
            x,
            (module.float("minValue")?, module.float("maxValue")?),
        ),
        "Clamp" => clip(graph, x, (module.float("minV")?, module.float("maxV")?)),
        "ELU" => unary(
            graph,
            Op::new("Elu").float("alpha", module.float("alpha")?),
            x,
        ),
        "LeakyReLU" => leaky(graph, x, module.float("negval")?),
        "RReLU" => leaky(
            graph,
            x,
            (module.float("lower")? + module.float("upper")?) / 2.0,
        ),
        "PReLU" => prelu(walk, module, x),
        "HardSigmoid" => unary(
            graph,
            Op::new("HardSigmoid")
                .float("alpha", 0.2)
                .float("beta", 0.5),
            x,
        ),
        "HardShrink" => shrink(graph, x, (module.float("lambda")?, 0.0)),
        "SoftShrink" => shrink(graph, x, (module.float("lambda")?, module.float("lambda")?)),
        "AddConstant" => with_number(graph, "Add", x, module.float("constant_scalar")?),
        "MulConstant" => with_number(graph, "Mul", x, module.float("constant")?),
        "LogSoftMax" => over_channels(graph, ("LogSoftmax", module), x),
        "SoftMax" => over_channels(graph, ("Softmax", module), x),
        _ => convert_composed(graph, module, x),
    }
}

/// Layers of several operators.
fn convert_composed(graph: &mut Graph, module: &Module, x: &Value) -> LayerResult<Value> {
    match module.kind() {
        "SoftPlus" => {
            let beta = module.float("beta")?;
            let scaled = with_number(graph, "Mul", x, beta)?;
            let softplus = unary(graph, Op::new("Softplus"), &scaled)?;
            with_number(graph, "Div", &softplus, beta)
        }
        "TanhShrink" => {
            let tanh = unary(graph, Op::new("Tanh"), x)?;
            binary(graph, "Sub", x, &tanh)
        }
        "LogSigmoid" => {
            let turned = unary(graph, Op::new("Neg"), x)?;
            let softplus = unary(graph, Op::new("Softplus"), &turned)?;
            unary(graph, Op::new("Neg"), &softplus)
        }
        "Power" => power(
            graph,
            x,
            (
                module.float("power")?,
                module.float("scale")?,
                module.float("shift")?,
            ),
        ),
        "Threshold" => {
            let above = above(graph, x, module.float("th")?)?;
            let otherwise = graph.float(module.float("v")?)?;
            graph.add_as(
                Op::new("Where"),
                &[&above, x, &otherwise],
                (x.shape.clone(), x.element),
            )
        }
        "BinaryThreshold" => {
            let above = above(graph, x, module.float("th")?)?;
            let cast = Op::new("Cast").int("to", ElementType::Float as i64);
            graph.add_as(cast, &[&above], (x.shape.clone(), ElementType::Float))
        }
        "SoftMin" => {
            let turned = unary(graph, Op::new("Neg"), x)?;
            over_channels(graph, ("Softmax", module), &turned)
        }
        _ => Err(Problem::UnknownKind {
            hint: String::new(),
        }),
    }
}

fn above(graph: &mut Graph, x: &Value, threshold: f32) -> LayerResult<Value> {
    let threshold = graph.float(threshold)?;
    graph.add_as(
        Op::new("Greater"),
        &[x, &threshold],
        (x.shape.clone(), ElementType::Bool),
    )
}

fn clip(graph: &mut Graph, x: &Value, (least, most): (f32, f32)) -> LayerResult<Value> {
    let least = graph.float(least)?;
    let most = graph.float(most)?;
    graph.add(Op::new("Clip"), &[x, &least, &most], x.shape.clone())
}

fn leaky(graph: &mut Graph, x: &Value, slope: f32) -> LayerResult<Value> {
    unary(graph, Op::new("LeakyRelu").float("alpha", slope), x)
}

fn shrink(graph: &mut Graph, x: &Value, (threshold, bias): (f32, f32)) -> LayerResult<Value> {
    unary(
        graph,
        Op::new("Shrink")
            .float("lambd", threshold)
            .float("bias", bias),
        x,
    )
}

/// `(x * scale + shift) ^ power`
#[expect(clippy::float_cmp, reason = "what changes nothing is left out")]
pub(super) fn power(
    graph: &mut Graph,
    x: &Value,
    (power, scale, shift): (f32, f32, f32),
) -> LayerResult<Value> {
    let mut value = x.clone();
    if scale != 1.0 {
        value = with_number(graph, "Mul", &value, scale)?;
    }
    if shift != 0.0 {
        value = with_number(graph, "Add", &value, shift)?;
    }
    if power != 1.0 {
        value = with_number(graph, "Pow", &value, power)?;
    }
    Ok(value)
}

/// One slope for all, or one per channel.
fn prelu(walk: &mut Walk, module: &Module, x: &Value) -> LayerResult<Value> {
    let channels = u64::try_from(module.int("nOutputPlane")?).unwrap_or(0);
    let slopes = walk.need(module, 0, channels.max(1))?;
    let mut sizes = vec![1; x.shape.rank().saturating_sub(1)];
    if channels > 0 {
        super::arrange::expect_size(x, 1, channels)?;
        sizes[0] = channels;
    }
    let slopes = walk.graph.floats(&sizes, &slopes)?;
    walk.graph
        .add(Op::new("PRelu"), &[x, &slopes], x.shape.clone())
}

/// BigDL takes dimension 1 of a row for classes in two and four dimensions; three are an image without batch to it.
fn over_channels(
    graph: &mut Graph,
    (kind, module): (&'static str, &Module),
    x: &Value,
) -> LayerResult<Value> {
    let position = module.int_or("pos", 1)?;
    if position != 1 || !matches!(x.shape.rank(), 2 | 4) || x.shape.0.first() != Some(&Dim::Batch) {
        return Err(Problem::Unsupported(format!(
            "position {position} of {}",
            x.shape
        )));
    }
    unary(graph, Op::new(kind).int("axis", 1), x)
}
