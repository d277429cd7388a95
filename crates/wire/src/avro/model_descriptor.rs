//! What one infer replica serves of one model version.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::AvroError;
use super::single_object::KnownSchema;
use crate::dtype::DType;
use crate::signature::{Signature, TensorSpec};

static SCHEMA: LazyLock<KnownSchema> =
    LazyLock::new(|| KnownSchema::parse(include_str!("../../../../schemas/model_descriptor.avsc")));

/// The value of a record of the models topic; its key is [`ModelDescriptor::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDescriptor {
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: i64,
    /// The replica's name, unique among those that serve.
    pub replica: String,
    /// What the replica can do with this version.
    pub state: ModelState,
    /// Why the state is `Failed` or `End`; empty otherwise.
    pub reason: String,
    /// The version's labels, such as `stable`.
    pub labels: Vec<String>,
    /// The engine's name, such as `onnx`.
    pub engine: String,
    /// SHA-256 of the model file in hexadecimal digits; empty while loading.
    pub weights_sha256: String,
    /// What a request must hold.
    pub inputs: Vec<TensorDescription>,
    /// What a result holds.
    pub outputs: Vec<TensorDescription>,
    /// The most rows that the replica gives to the model at once.
    pub max_batch_rows: i64,
    /// Offset of the control record that the replica goes by for this model; -1 without one.
    pub control_offset: i64,
    /// Of the requests that name neither version nor label, how many of 100 go to this version as the
    /// canary; 0 for every other version.
    pub canary_percent: i32,
    /// `at_least_once` or `exactly_once`, as the replica's consumer of the model was started; empty while
    /// there is none.
    pub delivery: String,
    /// `interactive`, and `bulk` where the replica reads the bulk topic.
    pub lanes: Vec<String>,
    /// Records of the replica's partitions that are not answered yet.
    pub backlog_records: i64,
    /// The replica is gone if this passes without a newer descriptor.
    pub lease_until_unix_ms: i64,
}

/// What a replica can do with a model version; TensorFlow Serving's states and `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ModelState {
    /// It will be able to serve soon.
    Loading,
    /// It serves.
    Available,
    /// It finishes what it began.
    Unloading,
    /// It has let go of the version.
    End,
    /// It cannot load the version.
    Failed,
}

/// One input or output of a model, as Avro carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorDescription {
    /// The column's name.
    pub name: String,
    /// An Open Inference Protocol name such as `FP32`.
    pub dtype: String,
    /// All dimensions; the first counts rows, -1 is open.
    pub shape: Vec<i64>,
}

impl ModelDescriptor {
    /// The record's key, `<model>/<version>/<replica>`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.model, self.version, self.replica)
    }

    /// The message as single-object encoded Avro.
    pub fn encode(&self) -> Result<Vec<u8>, AvroError> {
        SCHEMA.encode(self)
    }

    /// Reads a message; any bytes are answered with a value or an error.
    pub fn decode(message: &[u8]) -> Result<Self, AvroError> {
        SCHEMA.decode(message)
    }

    /// The inputs and outputs in our own types; fails on a type or a dimension that we do not know.
    pub fn signature(&self) -> Result<Signature, AvroError> {
        Ok(Signature {
            inputs: specs(&self.inputs)?,
            outputs: specs(&self.outputs)?,
        })
    }
}

fn specs(descriptions: &[TensorDescription]) -> Result<Vec<TensorSpec>, AvroError> {
    descriptions.iter().map(spec).collect()
}

fn spec(description: &TensorDescription) -> Result<TensorSpec, AvroError> {
    let dtype: DType = description.dtype.parse().map_err(|_| AvroError::Field {
        field: "dtype",
        expected: "an Open Inference Protocol datatype",
    })?;
    let mut shape = Vec::with_capacity(description.shape.len());
    for &size in &description.shape {
        shape.push(match size {
            -1 => None,
            _ => Some(usize::try_from(size).map_err(|_| AvroError::Field {
                field: "shape",
                expected: "sizes of at least -1",
            })?),
        });
    }
    if shape.is_empty() {
        return Err(AvroError::Field {
            field: "shape",
            expected: "at least one dimension, the rows",
        });
    }
    Ok(TensorSpec {
        name: description.name.clone(),
        dtype,
        shape,
    })
}

impl From<&TensorSpec> for TensorDescription {
    fn from(spec: &TensorSpec) -> Self {
        let size = |size: &Option<usize>| match size {
            Some(size) => i64::try_from(*size).unwrap_or(i64::MAX),
            None => -1,
        };
        Self {
            name: spec.name.clone(),
            dtype: spec.dtype.name().to_owned(),
            shape: spec.shape.iter().map(size).collect(),
        }
    }
}
