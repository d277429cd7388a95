//! What a conversion did, layer by layer.

use serde::Serialize;

use crate::folder::Format;

/// A converted model.
#[derive(Debug)]
pub struct Converted {
    /// The ONNX model, weights embedded.
    pub onnx: Vec<u8>,
    /// What became of each layer.
    pub report: Report,
}

/// What became of each layer of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the model was.
    pub format: Format,
    /// Files it was read from, without their folder.
    pub files: Vec<String>,
    /// Inputs of the ONNX model.
    pub inputs: Vec<Tensor>,
    /// Outputs of the ONNX model.
    pub outputs: Vec<Tensor>,
    /// Layers in the order in which they run.
    pub layers: Vec<ConvertedLayer>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape; `N` is the batch, `?` is open.
    pub shape: String,
}

/// What became of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConvertedLayer {
    /// Name in the source file.
    pub name: String,
    /// Kind in the source file.
    pub kind: String,
    /// Operators that it became; none if it does nothing at inference.
    pub nodes: Vec<String>,
    /// Shape of its (first) result.
    pub shape: String,
}
