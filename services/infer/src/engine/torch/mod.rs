//! libtorch: TorchScript files. The format carries no signature, so `model.toml` declares one and a probe run checks it.
//!
//! Inputs are copied once more than for the other engines: a script may keep its inputs or write to them, and ours are
//! shared with whoever sent them.

use std::cell::Cell;
use std::path::Path;

use millrace_wire::{DType, Signature, Tensor, TensorSpec};
use tch::{CModule, Device, IValue, TchError};

use super::{Engine, EngineError, EngineKind, LoadError};
use crate::settings::EngineSettings;

mod probe;
mod values;

#[cfg(test)]
mod tests;

/// One module.
#[derive(Debug)]
pub struct TorchEngine {
    module: CModule,
    signature: Signature,
    threads: i32,
}

impl TorchEngine {
    /// Loads a TorchScript file, whose `forward` takes the inputs of `declared` in their order and answers a tensor, a
    /// tuple or list of tensors in the order of the outputs, or a dictionary with their names.
    ///
    /// # Errors
    /// [`LoadError::Undeclared`] without a signature, [`LoadError::Declared`] if the model does not run as declared,
    /// [`LoadError::Model`] with libtorch's words.
    pub fn load(
        file: &Path,
        options: &EngineSettings,
        declared: Option<&Signature>,
    ) -> Result<Self, LoadError> {
        let undeclared = || LoadError::Undeclared {
            kind: EngineKind::Torch,
        };
        let declared = declared.ok_or_else(undeclared)?;
        if declared.inputs.is_empty() || declared.outputs.is_empty() {
            return Err(undeclared());
        }
        for spec in declared.inputs.iter().chain(&declared.outputs) {
            refuse_type(spec)?;
        }
        let mut module =
            CModule::load_on_device(file, Device::Cpu).map_err(|error| LoadError::Model {
                file: file.to_owned(),
                source: values::said(&error).into(),
            })?;
        // Only fails for scripts that have no such mode.
        let _ = module.f_set_eval();
        let mut engine = Self {
            module,
            signature: declared.clone(),
            threads: i32::try_from(options.threads).unwrap_or(i32::MAX),
        };
        engine.signature = probe::checked(&mut engine)?;
        Ok(engine)
    }
}

fn refuse_type(spec: &TensorSpec) -> Result<(), LoadError> {
    if values::kind(spec.dtype).is_some() {
        return Ok(());
    }
    let given = match spec.dtype {
        DType::String | DType::Bytes => "text, which libtorch has no tensors of".to_owned(),
        other => format!("{other}, which libtorch cannot compute with"),
    };
    Err(LoadError::Type {
        name: spec.name.clone(),
        given,
    })
}

thread_local! {
    /// libtorch's number of threads belongs to the thread that asks for a run.
    static THREADS: Cell<i32> = const { Cell::new(0) };
}

impl Engine for TorchEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let rows = inputs.first().map_or(0, Tensor::rows);
        if THREADS.replace(self.threads) != self.threads {
            tch::set_num_threads(self.threads);
        }
        let mut values = Vec::with_capacity(inputs.len());
        for input in &inputs {
            values.push(IValue::Tensor(values::input(input).map_err(refused)?));
        }
        let answer = tch::no_grad(|| self.module.forward_is(&values)).map_err(failed)?;
        let found = values::outputs(answer, &self.signature.outputs)?;
        let mut outputs = Vec::with_capacity(found.len());
        for (spec, tensor) in self.signature.outputs.iter().zip(found) {
            outputs.push(values::output(&spec.name, &tensor, rows)?);
        }
        Ok(outputs)
    }
}

fn refused(error: TchError) -> EngineError {
    EngineError::Refused(values::said(&error).into())
}

/// A script's own complaint and libtorch's have the same type.
fn failed(error: TchError) -> EngineError {
    EngineError::Failed(values::said(&error).into())
}
