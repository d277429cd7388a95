//! What becomes of a model's outputs before they are sent: softmax, threshold, the highest scores with their labels, and
//! which outputs are sent at all. All of it is one more [`Engine`] around the model's own.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millrace_wire::{Signature, Tensor};

use crate::engine::{Engine, EngineError};
use crate::repository::OutputOptions;

mod numbers;
mod plan;
mod softmax;
mod top_n;

pub(crate) use plan::OutputError;
use plan::Plan;

/// The longest file of labels.
const MAX_LABELS_BYTES: u64 = 64 << 20;

/// `engine` with outputs as `options` want them; labels lie in `folder`.
///
/// # Errors
/// The options do not fit the model's outputs, or labels cannot be read.
pub(crate) fn postprocessed(
    engine: Box<dyn Engine>,
    options: &OutputOptions,
    folder: &Path,
) -> Result<Box<dyn Engine>, OutputError> {
    if *options == OutputOptions::default() {
        return Ok(engine);
    }
    let plan = Plan::new(engine.signature(), options, &|file| {
        labels(&folder.join(file))
    })?;
    Ok(Box::new(Postprocessed { engine, plan }))
}

struct Postprocessed {
    engine: Box<dyn Engine>,
    plan: Plan,
}

impl Engine for Postprocessed {
    fn signature(&self) -> &Signature {
        self.plan.signature()
    }

    fn run(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let outputs = self.engine.run(inputs)?;
        self.plan.apply(outputs)
    }
}

/// One per line. A last line that is empty is none.
fn labels(file: &Path) -> Result<Arc<[String]>, OutputError> {
    let failed = |source: Box<dyn Error + Send + Sync>| OutputError::Labels {
        file: file.to_owned(),
        source,
    };
    let size_bytes = fs::metadata(file)
        .map_err(|error| failed(error.into()))?
        .len();
    if size_bytes > MAX_LABELS_BYTES {
        let error = io::Error::other(format!(
            "{size_bytes} bytes are more than {MAX_LABELS_BYTES}"
        ));
        return Err(failed(error.into()));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(error.into()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
