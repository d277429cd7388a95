//! Each kind of layer of Caffe as nodes of ONNX. What Caffe computes is in its documentation of layers;
//! what is different in ONNX is said where it is bridged.

mod activation;
mod convolution;
mod detection_output;
mod dimensions;
mod inner_product;
mod join;
mod lrn;
mod normalize;
mod pooling;
mod prior_box;
mod reduce;
mod scale;

use super::net::Layer;
use super::text::{self, Message};
use super::weights::Weights;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, Graph, Op, Shape, Value};

/// One layer, what it reads and where its nodes go.
pub(super) struct Context<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) layer: &'a Layer,
    pub(super) bottoms: Vec<Value>,
    pub(super) weights: &'a Weights,
}

/// Adds the nodes of a layer; answers the values of its tops.
pub(super) fn convert(layer: &mut Context<'_>) -> LayerResult<Vec<Value>> {
    let kind = layer.layer.kind.as_str();
    match kind {
        "Slice" => return join::slice(layer),
        "Split" => return Ok(vec![layer.bottom()?; layer.layer.tops.len()]),
        "Silence" => return Ok(Vec::new()),
        _ => {}
    }
    let top = match kind {
        "AbsVal" => activation::simple(layer, "Abs"),
        "ArgMax" => reduce::arg_max(layer),
        "BatchNorm" => normalize::batch_norm(layer),
        "Bias" => scale::bias(layer),
        "BNLL" => activation::simple(layer, "Softplus"),
        "Concat" => join::concat(layer),
        "Convolution" | "ConvolutionDepthwise" | "DepthwiseConvolution" => {
            convolution::convolution(layer)
        }
        "Crop" => dimensions::crop(layer),
        "Deconvolution" => convolution::deconvolution(layer),
        "DetectionOutput" => detection_output::detection_output(layer),
        // Caffe scales while it trains; at inference nothing is left to do.
        "Dropout" => layer.bottom(),
        "ELU" => activation::elu(layer),
        "Eltwise" => join::eltwise(layer),
        "Exp" => activation::exp(layer),
        "Flatten" => dimensions::flatten(layer),
        "InnerProduct" => inner_product::inner_product(layer),
        "Log" => activation::log(layer),
        "LRN" => lrn::lrn(layer),
        "Normalize" => normalize::normalize(layer),
        "Permute" => dimensions::permute(layer),
        "Pooling" => pooling::pooling(layer),
        "Power" => activation::power(layer),
        "PReLU" => activation::prelu(layer),
        "PriorBox" => prior_box::prior_box(layer),
        "Reduction" => reduce::reduction(layer),
        "ReLU" => activation::relu(layer),
        "ReLU6" => activation::relu6(layer),
        "Reshape" => dimensions::reshape(layer),
        "Scale" => scale::scale(layer),
        "Sigmoid" => activation::simple(layer, "Sigmoid"),
        "Softmax" => reduce::softmax(layer),
        "TanH" => activation::simple(layer, "Tanh"),
        unknown => Err(Problem::UnknownKind {
            hint: hint(unknown).to_owned(),
        }),
    };
    Ok(vec![top?])
}

fn hint(kind: &str) -> &'static str {
    match kind {
        "Data"
        | "ImageData"
        | "MemoryData"
        | "HDF5Data"
        | "WindowData"
        | "DummyData"
        | "AnnotatedData"
        | "Accuracy"
        | "SoftmaxWithLoss"
        | "EuclideanLoss"
        | "HingeLoss"
        | "SigmoidCrossEntropyLoss"
        | "MultiBoxLoss"
        | "DetectionEvaluate" => {
            "it belongs to training; put the deploy.prototxt of this network there"
        }
        "Python" => "its computation is not in the file",
        _ => "",
    }
}

impl Context<'_> {
    /// The only bottom.
    fn bottom(&self) -> LayerResult<Value> {
        let [bottom] = self.bottoms_exactly()?;
        Ok(bottom)
    }

    /// As many bottoms as this kind reads.
    fn bottoms_exactly<const COUNT: usize>(&self) -> LayerResult<[Value; COUNT]> {
        let has = self.bottoms.len();
        let exact = self.bottoms.clone().try_into();
        exact.map_err(|_| {
            Problem::Misfit(format!("it has {has} bottoms, and this kind reads {COUNT}"))
        })
    }

    /// The parameters in the message of this name, which may have these fields: another one could
    /// change what the layer computes.
    fn params(&self, name: &str, known: &[&str]) -> LayerResult<&Message> {
        let params = self.layer.message.message(name)?.unwrap_or(&text::EMPTY);
        match params
            .names()
            .find(|it| !known.contains(it) && *it != "engine")
        {
            None => Ok(params),
            Some(field) => Err(Problem::Unsupported(format!("{name}.{field}"))),
        }
    }

    /// One blob of this layer's weights, which must have these sizes.
    fn blob(&self, index: usize, sizes: &[u64]) -> LayerResult<Vec<f32>> {
        self.weights.blob(&self.layer.name, index, sizes)
    }

    fn binary(&mut self, op: &'static str, left: &Value, right: &Value) -> LayerResult<Value> {
        self.graph
            .add(Op::new(op), &[left, right], left.shape.clone())
    }

    /// `value op number`, or the value itself if the number changes nothing.
    fn with_number(&mut self, op: &'static str, value: Value, number: f32) -> LayerResult<Value> {
        let neutral = if op == "Add" { 0.0 } else { 1.0 };
        if number == neutral {
            return Ok(value);
        }
        let number = self.graph.float(number)?;
        self.binary(op, &value, &number)
    }

    /// Another shape over the same elements; a batch stays in front.
    fn reshape(&mut self, value: &Value, shape: Shape) -> LayerResult<Value> {
        let (before, after) = (per_row(&value.shape), per_row(&shape));
        if before.0 != after.0 {
            return Err(Problem::MixesRows(format!("{} made {shape}", value.shape)));
        }
        if before.1? != after.1? {
            return Err(Problem::Misfit(format!(
                "{} cannot become {shape}",
                value.shape
            )));
        }
        if value.shape == shape {
            return Ok(value.clone());
        }
        let mut sizes = Vec::with_capacity(shape.rank());
        for dim in &shape.0 {
            sizes.push(match dim {
                // For ONNX, 0 is the size that was there.
                Dim::Fixed(size) => signed(*size)?,
                _ => 0,
            });
        }
        let sizes = self.graph.list(&sizes)?;
        self.graph.add(Op::new("Reshape"), &[value, &sizes], shape)
    }
}

/// Whether a batch is in front, and how many elements a row has.
fn per_row(shape: &Shape) -> (bool, LayerResult<u64>) {
    let batch = shape.0.first() == Some(&Dim::Batch);
    (batch, shape.count(usize::from(batch)..shape.rank()))
}

/// A size as ONNX writes it.
fn signed(size: u64) -> LayerResult<i64> {
    i64::try_from(size).map_err(|_| Problem::Misfit(format!("size {size} is too large")))
}

/// An axis, which counts from the end if it is negative.
fn axis(axis: i64, rank: usize) -> LayerResult<usize> {
    let from_end = if axis < 0 {
        i64::try_from(rank).unwrap_or(0)
    } else {
        0
    };
    let found = usize::try_from(axis.saturating_add(from_end))
        .ok()
        .filter(|&axis| axis < rank);
    found.ok_or_else(|| Problem::Misfit(format!("there is no axis {axis} in {rank} dimensions")))
}

/// An axis as ONNX writes it.
fn signed_axis(axis: usize) -> i64 {
    i64::try_from(axis).expect("a shape has few dimensions")
}

/// A size as an index; shapes have been checked to fit memory.
fn index(size: u64) -> LayerResult<usize> {
    usize::try_from(size).map_err(|_| Problem::Misfit(format!("size {size} is too large")))
}
