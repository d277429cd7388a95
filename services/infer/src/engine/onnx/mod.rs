//! ONNX Runtime: the library is loaded at run time, and every engine thread has a session of its own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millrace_wire::{DType, Signature, Tensor, TensorSpec};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, ValueType};
use tracing::debug;

use super::{Engine, EngineError, EngineKind, LoadError, beside_program, declared};
use crate::settings::{EngineSettings, Optimization};
use values::{read_output, view_input};

mod providers;
mod strings;
mod values;

#[cfg(test)]
mod tests;

/// The loaded library. There is one per process; handles to it are cheap.
#[derive(Debug, Clone)]
pub struct OnnxLibrary {
    environment: Environment,
}

/// The library of this process and the path it was asked for by.
static LOADED: Mutex<Option<(Option<PathBuf>, Environment)>> = Mutex::new(None);

impl OnnxLibrary {
    /// Loads `libonnxruntime.so` from `path`, or else from beside the program, or else from where the system's loader
    /// finds it.
    ///
    /// # Errors
    /// [`LoadError::Library`] says what to do; [`LoadError::LibraryTwice`] if this process loaded another one before.
    pub fn load(path: Option<&Path>) -> Result<Self, LoadError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, environment)) = loaded.as_ref() {
            if from.as_deref() != path {
                return Err(LoadError::LibraryTwice {
                    kind: EngineKind::Onnx,
                    loaded: from.clone(),
                    asked: path.map(Path::to_owned),
                });
            }
            return Ok(Self {
                environment: environment.clone(),
            });
        }
        let name = EngineKind::Onnx.library_name();
        // A plain file name is left to the system's loader.
        let file = path
            .map(Path::to_owned)
            .or_else(|| beside_program(name))
            .unwrap_or_else(|| PathBuf::from(name));
        let builder = ort::init_from(&file).map_err(|error| unusable(error.into()))?;
        let environment = builder
            .with_name("millrace")
            .with_telemetry(false)
            .with_logger(Arc::new(
                |level, category: &str, _id: &str, place: &str, message: &str| {
                    // Whatever goes wrong also comes back as an error, which is reported where it is handled.
                    debug!(target: "onnxruntime", ?level, category, place, "{message}");
                },
            ))
            .build()
            .map_err(|error| unusable(error.into()))?;
        environment.set_log_level(LogLevel::Warning);
        *loaded = Some((path.map(Path::to_owned), environment.clone()));
        Ok(Self { environment })
    }
}

fn unusable(source: Box<dyn Error + Send + Sync>) -> LoadError {
    LoadError::Library {
        kind: EngineKind::Onnx,
        source,
    }
}

/// One session.
#[derive(Debug)]
pub struct OnnxEngine {
    session: Session,
    signature: Signature,
}

impl OnnxEngine {
    /// Loads a model file into a session that computes as `options` say.
    ///
    /// # Errors
    /// [`LoadError::Model`] with ONNX Runtime's words, [`LoadError::Type`] for what no record can hold.
    pub fn load(
        library: &OnnxLibrary,
        file: &Path,
        options: &EngineSettings,
    ) -> Result<Self, LoadError> {
        let failed = |source: ort::Error| LoadError::Model {
            file: file.to_owned(),
            source: Box::new(source),
        };
        let builder = session_builder(library, options).map_err(failed)?;
        let mut builder = providers::register(builder, &options.providers)?;
        let session = builder.commit_from_file(file).map_err(failed)?;
        let signature = Signature {
            inputs: specs(session.inputs())?,
            outputs: specs(session.outputs())?,
        };
        Ok(Self { session, signature })
    }

    /// With the signature that `model.toml` declares, if it does.
    ///
    /// # Errors
    /// [`LoadError::Declared`] if it is another one.
    pub(super) fn named(mut self, declared: Option<&Signature>) -> Result<Self, LoadError> {
        if let Some(declared) = declared {
            self.signature = declared::agreed(&self.signature, declared)?;
        }
        Ok(self)
    }
}

fn session_builder(library: &OnnxLibrary, options: &EngineSettings) -> ort::Result<SessionBuilder> {
    let optimization = match options.onnx.optimization {
        Optimization::Disabled => GraphOptimizationLevel::Disable,
        Optimization::Basic => GraphOptimizationLevel::Level1,
        Optimization::Extended => GraphOptimizationLevel::Level2,
        Optimization::All => GraphOptimizationLevel::All,
    };
    let builder = Session::builder(&library.environment)?
        .with_intra_threads(options.threads)?
        .with_inter_threads(1)?
        .with_optimization_level(optimization)?
        .with_intra_op_spinning(options.onnx.spinning)?
        .with_inter_op_spinning(options.onnx.spinning)?
        // ONNX Runtime keeps one memory plan per input shape that it has ever seen; our batch sizes vary.
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Warning)?;
    let mut builder = builder;
    for library in &options.onnx.custom_ops {
        builder = builder.with_operator_library(library)?;
    }
    Ok(builder)
}

fn specs(outlets: &[Outlet]) -> Result<Vec<TensorSpec>, LoadError> {
    let mut specs = Vec::with_capacity(outlets.len());
    for outlet in outlets {
        let unsupported = || LoadError::Type {
            name: outlet.name().to_owned(),
            given: outlet.dtype().to_string(),
        };
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(unsupported());
        };
        let dtype = dtype(*ty).ok_or_else(unsupported)?;
        let shape = shape
            .iter()
            .map(|size| usize::try_from(*size).ok())
            .collect();
        specs.push(TensorSpec {
            name: outlet.name().to_owned(),
            dtype,
            shape,
        });
    }
    Ok(specs)
}

/// Our name for an element type, if records can hold it.
fn dtype(element: TensorElementType) -> Option<DType> {
    match element {
        TensorElementType::Bool => Some(DType::Bool),
        TensorElementType::Int8 => Some(DType::Int8),
        TensorElementType::Int16 => Some(DType::Int16),
        TensorElementType::Int32 => Some(DType::Int32),
        TensorElementType::Int64 => Some(DType::Int64),
        TensorElementType::Uint8 => Some(DType::Uint8),
        TensorElementType::Uint16 => Some(DType::Uint16),
        TensorElementType::Uint32 => Some(DType::Uint32),
        TensorElementType::Uint64 => Some(DType::Uint64),
        TensorElementType::Float16 => Some(DType::Float16),
        TensorElementType::Bfloat16 => Some(DType::Bfloat16),
        TensorElementType::Float32 => Some(DType::Float32),
        TensorElementType::Float64 => Some(DType::Float64),
        TensorElementType::String => Some(DType::String),
        _ => None,
    }
}

impl Engine for OnnxEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let rows = inputs.first().map_or(0, Tensor::rows);
        let mut views: Vec<SessionInputValue<'_>> = Vec::with_capacity(inputs.len());
        for input in &inputs {
            views.push(view_input(input).map_err(engine_error)?);
        }
        let values = self.session.run(views.as_slice()).map_err(engine_error)?;
        let mut outputs = Vec::with_capacity(self.signature.outputs.len());
        for ((_, value), spec) in values.iter().zip(&self.signature.outputs) {
            outputs.push(read_output(&spec.name, &value, rows)?);
        }
        Ok(outputs)
    }
}

fn engine_error(error: ort::Error) -> EngineError {
    match error.code() {
        ort::ErrorCode::InvalidArgument => EngineError::Refused(Box::new(error)),
        _ => EngineError::Failed(Box::new(error)),
    }
}
