//! What a model takes: said by its file for keras-style models, else what its first layers take.

use super::messages::{AttrValue, Module, Shape as FileShape};
use crate::onnx::{Dim, Shape};

/// What a model takes, one tensor or a table of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// A tensor of this shape.
    Tensor(Shape),
    /// A table of these.
    Table(Vec<Expected>),
    /// What the next module takes, as this one takes anything.
    Anything,
    /// Nobody knows.
    Unknown,
}

/// What a module takes.
pub(crate) fn expected(module: &Module) -> Expected {
    if let Some(shape) = &module.input_shape
        && let Some(known) = from_file(shape)
    {
        return known;
    }
    if module.is_in("nn.keras") || module.attr.contains_key("is_keras_module") {
        return of_keras(module);
    }
    match module.kind() {
        "Sequential" => of_sequence(&module.sub_modules),
        "StaticGraph" | "Graph" | "DynamicGraph" => of_graph(module),
        "ConcatTable" | "Concat" => first_known(module.sub_modules.iter().map(expected)),
        "ParallelTable" => Expected::Table(module.sub_modules.iter().map(expected).collect()),
        "TimeDistributed" => module
            .module("layer")
            .map_or(Expected::Unknown, of_each_step),
        "Recurrent" => of_recurrent(module),
        "BiRecurrent" => of_both_ways(module),
        "Maxout" => module.module("layer").map_or(Expected::Unknown, expected),
        _ => of_layer(module).unwrap_or(Expected::Unknown),
    }
}

fn from_file(shape: &FileShape) -> Option<Expected> {
    if shape.shape_type == 1 {
        let parts: Option<Vec<_>> = shape.shape.iter().map(from_file).collect();
        return parts.filter(|it| !it.is_empty()).map(Expected::Table);
    }
    let (_, row) = shape.value.split_first()?;
    let mut dims = vec![Dim::Batch];
    dims.extend(
        row.iter()
            .map(|&size| u64::try_from(size).map_or(Dim::Open, Dim::Fixed)),
    );
    Some(Expected::Tensor(Shape(dims)))
}

fn of_keras(module: &Module) -> Expected {
    if let Some(AttrValue::Shape(shape)) = module.find("inputShape") {
        // Without the batch, other than the field of the same name.
        let mut with_batch = shape.as_ref().clone();
        with_batch.value.insert(0, -1);
        if let Some(known) = from_file(&with_batch) {
            return known;
        }
    }
    module
        .sub_modules
        .first()
        .map_or(Expected::Unknown, expected)
}

fn of_sequence(modules: &[Module]) -> Expected {
    modules
        .iter()
        .map(expected)
        .find(|it| *it != Expected::Anything)
        .unwrap_or(Expected::Anything)
}

fn first_known(mut all: impl Iterator<Item = Expected>) -> Expected {
    all.find(|it| matches!(it, Expected::Tensor(_) | Expected::Table(_)))
        .unwrap_or(Expected::Unknown)
}

fn of_graph(graph: &Module) -> Expected {
    let Ok(inputs) = graph.texts("inputNames") else {
        return Expected::Unknown;
    };
    let mut parts: Vec<Expected> = inputs.iter().map(|name| of_node(graph, name)).collect();
    if parts.len() == 1 {
        return parts.remove(0);
    }
    Expected::Table(parts)
}

/// How many nodes are looked at for what an input takes.
const MAX_LOOKED_AT: usize = 64;

/// What a node takes, or those after it as long as it takes anything.
fn of_node(graph: &Module, name: &str) -> Expected {
    let mut reached = vec![name.to_owned()];
    let mut at = 0;
    while let Some(name) = reached.get(at).cloned() {
        at += 1;
        let Some(node) = graph.sub_modules.iter().find(|it| it.shown_name() == name) else {
            continue;
        };
        match expected(node) {
            known @ Expected::Tensor(_) => return known,
            Expected::Anything => {}
            _ => continue,
        }
        for follower in &graph.sub_modules {
            let next = follower.shown_name();
            if follower.pre_modules == [name.as_str()]
                && reached.len() < MAX_LOOKED_AT
                && !reached.contains(&next)
            {
                reached.push(next);
            }
        }
    }
    Expected::Unknown
}

/// Rows of what the module takes for each step of time.
fn of_each_step(module: &Module) -> Expected {
    match expected(module) {
        Expected::Tensor(shape) => {
            let mut dims = shape.0;
            dims.insert(1.min(dims.len()), Dim::Open);
            Expected::Tensor(Shape(dims))
        }
        _ => Expected::Unknown,
    }
}

fn of_recurrent(module: &Module) -> Expected {
    let size = module
        .module("topology")
        .and_then(|cell| cell.size("inputSize").ok());
    size.map_or(Expected::Unknown, |size| {
        rows(vec![Dim::Open, Dim::Fixed(size)])
    })
}

/// What the forward way takes, if both ways take the whole input.
fn of_both_ways(module: &Module) -> Expected {
    let parts = module
        .module("birnn")
        .map_or(&[][..], |it| it.sub_modules.as_slice());
    match parts {
        [both, ways, ..] if both.kind() == "ConcatTable" => {
            ways.sub_modules.first().map_or(Expected::Unknown, expected)
        }
        _ => Expected::Unknown,
    }
}

fn rows(row: Vec<Dim>) -> Expected {
    let mut dims = vec![Dim::Batch];
    dims.extend(row);
    Expected::Tensor(Shape(dims))
}

/// Images of so many channels, of any height and width.
fn images(channels: Dim, last: bool) -> Expected {
    rows(if last {
        vec![Dim::Open, Dim::Open, channels]
    } else {
        vec![channels, Dim::Open, Dim::Open]
    })
}

fn of_layer(module: &Module) -> Option<Expected> {
    let fixed = |key: &str| module.size(key).ok().map(Dim::Fixed);
    let last = module.channels_last("format") || module.channels_last("dataFormat");
    Some(match module.kind() {
        "Linear" | "SparseLinear" | "Cosine" | "Add" => rows(vec![fixed("inputSize")?]),
        "BatchNormalization" => rows(vec![fixed("nOutput")?]),
        "SpatialBatchNormalization" => {
            images(fixed("nOutput")?, module.channels_last("dataFormat"))
        }
        "SpatialConvolution" | "SpatialShareConvolution" | "SpatialDilatedConvolution" => {
            images(fixed("nInputPlane")?, last)
        }
        "SpatialSeparableConvolution" => images(fixed("nInputChannel")?, last),
        "SpatialFullConvolution" => {
            let channels = module.ints("intParams").ok()?.first().copied()?;
            images(Dim::Fixed(u64::try_from(channels).ok()?), false)
        }
        "VolumetricConvolution" => {
            rows(vec![fixed("nInputPlane")?, Dim::Open, Dim::Open, Dim::Open])
        }
        "VolumetricMaxPooling" | "VolumetricAveragePooling" => rows(vec![Dim::Open; 4]),
        "SpatialMaxPooling"
        | "SpatialAveragePooling"
        | "SpatialCrossMapLRN"
        | "SpatialWithinChannelLRN"
        | "SpatialZeroPadding"
        | "UpSampling2D"
        | "ResizeBilinear"
        | "Cropping2D" => images(Dim::Open, last),
        "TemporalConvolution" => rows(vec![Dim::Open, fixed("inputFrameSize")?]),
        "TemporalMaxPooling" | "UpSampling1D" => rows(vec![Dim::Open, Dim::Open]),
        "LookupTable" => rows(vec![Dim::Open]),
        "Reshape" | "View" => of_reshape(module)?,
        "Bilinear" => Expected::Table(vec![
            rows(vec![fixed("inputSize1")?]),
            rows(vec![fixed("inputSize2")?]),
        ]),
        "ReLU" | "ReLU6" | "Tanh" | "Sigmoid" | "ELU" | "LeakyReLU" | "PReLU" | "RReLU"
        | "SoftPlus" | "SoftSign" | "HardTanh" | "HardSigmoid" | "Clamp" | "Exp" | "Log"
        | "Sqrt" | "Square" | "Abs" | "Negative" | "Power" | "AddConstant" | "MulConstant"
        | "Threshold" | "Identity" | "Input" | "Echo" | "Contiguous" | "Dropout"
        | "SpatialDropout1D" | "SpatialDropout2D" | "GaussianNoise" | "GaussianDropout" | "Mul" => {
            Expected::Anything
        }
        _ => return None,
    })
}

/// Rows of what they are reshaped to: the simplest shape that fits.
fn of_reshape(module: &Module) -> Option<Expected> {
    let key = if module.kind() == "View" {
        "sizes"
    } else {
        "size"
    };
    let sizes = module.ints(key).ok()?;
    let dims: Option<Vec<Dim>> = sizes
        .iter()
        .map(|&size| u64::try_from(size).ok().map(Dim::Fixed))
        .collect();
    dims.filter(|it| !it.is_empty()).map(rows)
}
