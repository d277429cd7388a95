//! OpenVINO: its own IR, ONNX, TensorFlow, TFLite and Paddle files. The library is loaded at run time, and every engine
//! thread has a compiled model of its own.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arrow::buffer::Buffer;
use millrace_wire::{DType, Signature, Tensor, TensorSpec};
use openvino_sys::{self as ov, ov_element_type_e as Element};

use super::{Engine, EngineError, EngineKind, LoadError, beside_program, declared};
use crate::settings::{EngineSettings, OpenVinoHint};
use native::{CompiledModel, Core, OpenVinoError};
use ports::{dtype, element, element_name, specs};
use request::{InferRequest, View};

mod native;
mod ports;
mod request;

#[cfg(test)]
mod tests;

/// The file name that the library is looked for by.
const LIBRARY_NAME: &str = "libopenvino_c.so";

/// Proof that the library is loaded. There is one library per process.
#[derive(Debug, Clone, Copy)]
pub struct OpenVinoLibrary(());

/// The path that the library of this process was asked for by.
static LOADED: Mutex<Option<Option<PathBuf>>> = Mutex::new(None);

impl OpenVinoLibrary {
    /// Loads `libopenvino_c.so` from `path`, or else from beside the program, or else from where OpenVINO is installed.
    ///
    /// # Errors
    /// [`LoadError::Library`] says what to do; [`LoadError::LibraryTwice`] if this process loaded another one before.
    pub fn load(path: Option<&Path>) -> Result<Self, LoadError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = loaded.as_ref() {
            if from.as_deref() != path {
                return Err(LoadError::LibraryTwice {
                    kind: EngineKind::OpenVino,
                    loaded: from.clone(),
                    asked: path.map(Path::to_owned),
                });
            }
            return Ok(Self(()));
        }
        let file = path.map_or_else(
            || beside_program(LIBRARY_NAME),
            |path| Some(path.to_owned()),
        );
        let outcome = match file {
            Some(file) => ov::library::load_from(file),
            None => ov::library::load(),
        };
        outcome.map_err(|problem| LoadError::Library {
            kind: EngineKind::OpenVino,
            source: problem.into(),
        })?;
        *loaded = Some(path.map(Path::to_owned));
        Ok(Self(()))
    }
}

/// One compiled model.
#[derive(Debug)]
pub struct OpenVinoEngine {
    request: InferRequest,
    signature: Signature,
    elements: Vec<Element>,
    /// Whether the device computes integers of 64 bits with 32, as OpenVINO's own for the processor does.
    narrows: bool,
    // What the request computes with; dropped after it, in this order.
    _compiled: CompiledModel,
    _core: Core,
}

impl OpenVinoEngine {
    /// Loads a model that computes as `options` say.
    ///
    /// # Errors
    /// [`LoadError::Model`] with OpenVINO's words, [`LoadError::Type`] for what no record can hold.
    pub fn load(
        _library: OpenVinoLibrary,
        file: &Path,
        options: &EngineSettings,
    ) -> Result<Self, LoadError> {
        let failed = |source: OpenVinoError| LoadError::Model {
            file: file.to_owned(),
            source: Box::new(source),
        };
        let core = Core::new().map_err(failed)?;
        let model = core.read(&file.to_string_lossy()).map_err(failed)?;
        let compiled = core
            .compile(&model, &options.openvino.device, &properties(options))
            .map_err(failed)?;
        let inputs = compiled.inputs().map_err(failed)?;
        let outputs = compiled.outputs().map_err(failed)?;
        let signature = Signature {
            inputs: specs(&inputs, "input")?,
            outputs: specs(&outputs, "output")?,
        };
        Ok(Self {
            request: compiled.request().map_err(failed)?,
            elements: signature
                .inputs
                .iter()
                .filter_map(|input| element(input.dtype))
                .collect(),
            narrows: options.openvino.device.starts_with("CPU"),
            signature,
            _compiled: compiled,
            _core: core,
        })
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

fn properties(options: &EngineSettings) -> Vec<(&'static CStr, String)> {
    let hint = match options.openvino.hint {
        OpenVinoHint::Latency => "LATENCY",
        OpenVinoHint::Throughput => "THROUGHPUT",
    };
    let mut properties = vec![
        (c"PERFORMANCE_HINT", hint.to_owned()),
        (
            c"INFERENCE_PRECISION_HINT",
            options.openvino.precision.clone(),
        ),
    ];
    if options.openvino.device == "CPU" {
        let streams = options.openvino.streams.unwrap_or(1);
        properties.push((c"INFERENCE_NUM_THREADS", options.threads.to_string()));
        properties.push((c"NUM_STREAMS", streams.to_string()));
        // Every instance would pin its threads to the same cores.
        properties.push((c"ENABLE_CPU_PINNING", "NO".to_owned()));
    }
    properties
}

impl Engine for OpenVinoEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let rows = inputs.first().map_or(0, Tensor::rows);
        let mut views = Vec::with_capacity(inputs.len());
        for (input, element) in inputs.iter().zip(&self.elements) {
            if self.narrows && !fits_32_bits(input) {
                return Err(EngineError::Refused(too_large(input).into()));
            }
            views.push(View {
                element: *element,
                shape: input.shape(),
                bytes: input.fixed_bytes().unwrap_or_default(),
            });
        }
        self.request.run(&views).map_err(engine_error)?;
        let mut outputs = Vec::with_capacity(self.signature.outputs.len());
        for (index, spec) in self.signature.outputs.iter().enumerate() {
            outputs.push(self.output(index, spec, rows)?);
        }
        Ok(outputs)
    }
}

/// Whether OpenVINO's processor device, which computes INT64 and UINT64 as INT32, gets every value as it is. Without a
/// word it would compute with the lower half.
fn fits_32_bits(input: &Tensor) -> bool {
    match input.dtype() {
        DType::Int64 => {
            let values = input.typed::<i64>().unwrap_or_default();
            values.iter().all(|value| i32::try_from(*value).is_ok())
        }
        DType::Uint64 => {
            let values = input.typed::<u64>().unwrap_or_default();
            values.iter().all(|value| i32::try_from(*value).is_ok())
        }
        _ => true,
    }
}

fn too_large(input: &Tensor) -> String {
    format!(
        "input {:?} holds a number beyond 32 bits, which OpenVINO computes {} with; serve this model with ONNX Runtime",
        input.name(),
        input.dtype()
    )
}

impl OpenVinoEngine {
    fn output(&self, index: usize, spec: &TensorSpec, rows: usize) -> Result<Tensor, EngineError> {
        let output = self
            .request
            .output(index, |bytes| Buffer::from_slice_ref(bytes))
            .map_err(engine_error)?;
        let dtype = dtype(output.element).ok_or_else(|| EngineError::Type {
            output: spec.name.clone(),
            given: element_name(output.element),
        })?;
        if output.shape.first() != Some(&rows) {
            return Err(super::wrong_rows(&spec.name, rows, &output.shape));
        }
        Tensor::fixed(spec.name.as_str(), dtype, output.shape, output.copy)
            .map_err(|error| EngineError::Failed(Box::new(error)))
    }
}

fn engine_error(error: OpenVinoError) -> EngineError {
    if error.refused {
        EngineError::Refused(Box::new(error))
    } else {
        EngineError::Failed(Box::new(error))
    }
}
