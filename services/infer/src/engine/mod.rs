//! The seam to the engines: tensors in, tensors out. An engine is owned by one thread and knows nothing of Kafka,
//! records or batches.

use std::error::Error;
use std::path::PathBuf;

use millrace_wire::{Signature, Tensor};

mod declared;
mod kind;
mod libraries;
mod onnx;
mod openvino;
#[cfg(feature = "torch")]
mod torch;

#[cfg(test)]
mod testing;

pub use kind::EngineKind;
pub use libraries::{Libraries, ModelFiles};
pub use onnx::{OnnxEngine, OnnxLibrary};
pub use openvino::{OpenVinoEngine, OpenVinoLibrary};
#[cfg(feature = "torch")]
pub use torch::TorchEngine;

/// One loaded model that one thread runs.
pub trait Engine: Send {
    /// Inputs and outputs in the engine's order. Dimension 0 of each is the rows: `None` when any number of rows runs at
    /// once, `Some(1)` when rows run one at a time. An empty output shape means that the engine does not know it.
    fn signature(&self) -> &Signature;

    /// Runs `inputs`, which stand in the order of the signature and have the same number of rows. Answers the outputs in
    /// the order of the signature, each with that many rows.
    ///
    /// # Errors
    /// Every failure, bad values included, is an [`EngineError`]; the engine can be used again after it.
    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError>;
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine says that the input is at fault.
    #[error("the model refused the input: {0}")]
    Refused(Box<dyn Error + Send + Sync>),
    /// The engine failed.
    #[error("the model failed: {0}")]
    Failed(Box<dyn Error + Send + Sync>),
    /// The engine panicked; it has to be built again before it is used again.
    #[error("the engine panicked: {0}")]
    Panicked(String),
    /// The process in which it was tried alone did not survive it; how, completing "it …".
    #[error(
        "processes died while this record was running, so it was tried alone in one of its own: {0}"
    )]
    Died(String),
    /// An output cannot be told apart by rows.
    #[error(
        "output {output:?} has shape {given:?} for {rows} rows; the first dimension of every output must be the rows"
    )]
    Rows {
        /// The output's name.
        output: String,
        /// Rows that went in.
        rows: usize,
        /// The output's shape.
        given: Vec<i64>,
    },
    /// An output is no tensor, or of a type that no record can hold.
    #[error("output {output:?} is a {given}, which cannot be sent")]
    Type {
        /// The output's name.
        output: String,
        /// What the engine calls the type.
        given: String,
    },
}

/// Why a model or an engine's library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine's shared library.
    #[error(
        "the library of the engine {kind} cannot be loaded; run `make setup`, then set `engine.{kind}.library` to the path of {}",
        kind.library_name()
    )]
    Library {
        /// The engine.
        kind: EngineKind,
        /// What the loader says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A process loads one library of an engine only.
    #[error(
        "the library of the engine {kind} is loaded from {loaded:?} already, cannot load {asked:?} too"
    )]
    LibraryTwice {
        /// The engine.
        kind: EngineKind,
        /// The one in use.
        loaded: Option<PathBuf>,
        /// The one that was asked for.
        asked: Option<PathBuf>,
    },
    /// This program was built without the engine.
    #[error(
        "this millrace-infer was built without the engine {kind}; build it with `--features {kind}`"
    )]
    NotBuilt {
        /// The engine.
        kind: EngineKind,
    },
    /// The model's files cannot be had, or changed while they were read.
    #[error("the model's files cannot be read")]
    Files(#[source] Box<dyn Error + Send + Sync>),
    /// `model.toml` asks for what the model cannot do.
    #[error("model.toml does not fit the model")]
    Options(#[source] Box<dyn Error + Send + Sync>),
    /// The model file.
    #[error("{} cannot be loaded", file.display())]
    Model {
        /// Its path.
        file: PathBuf,
        /// What the engine says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something that `engine.providers` names is not in the library.
    #[error(
        "engine.providers has {provider:?}, which this libonnxruntime.so cannot use; take one that was built with it \
         (such as that of onnxruntime-gpu) or leave {provider:?} out"
    )]
    Provider {
        /// As the setting has it.
        provider: &'static str,
        /// What ONNX Runtime says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The format carries no signature, and `model.toml` has none either.
    #[error(
        "a {kind} model does not say what its inputs and outputs are: add [[inputs]] and [[outputs]] with name, dtype and \
         shape to its model.toml"
    )]
    Undeclared {
        /// The engine.
        kind: EngineKind,
    },
    /// `model.toml` declares another signature than the model has.
    #[error("model.toml declares {declared}, but the model has {given}")]
    Declared {
        /// What stands in `model.toml`.
        declared: String,
        /// What the model says or did.
        given: String,
    },
    /// An input or output that no record can hold.
    #[error(
        "{name:?} is a {given}, which is not supported; inputs and outputs must be dense tensors of numbers, booleans or strings"
    )]
    Type {
        /// The input's or output's name.
        name: String,
        /// What the engine calls the type.
        given: String,
    },
    /// The model does not take rows.
    #[error(
        "input {name:?} has shape {shape:?}; the first dimension is the rows and must be dynamic (any batch) or 1 (rows \
         then run one at a time): export the model with a dynamic first axis"
    )]
    Rows {
        /// The input's name.
        name: String,
        /// Its shape, -1 for a dynamic dimension.
        shape: Vec<i64>,
    },
    /// The model has nothing to ask for.
    #[error("the model has no inputs, so that a record would have no columns")]
    NoInputs,
    /// The first run showed that results cannot be told apart by rows.
    #[error("the first run with zeros failed")]
    WarmUp(#[source] EngineError),
}

/// The library that lies beside the program, if one does.
fn beside_program(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join(name);
    beside.exists().then_some(beside)
}

fn wrong_rows(output: &str, rows: usize, shape: &[usize]) -> EngineError {
    EngineError::Rows {
        output: output.to_owned(),
        rows,
        given: shape
            .iter()
            .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
            .collect(),
    }
}
