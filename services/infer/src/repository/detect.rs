//! Which engine runs a version, by the files in its folder.

use std::path::{Path, PathBuf};

use super::ModelError;
use super::local::names_in;
use crate::engine::EngineKind;

const MODEL_FILE: &str = "model.onnx";
/// Ends of file names that say that a file is a model of another engine.
const OTHER_KINDS: [&str; 6] = [".onnx", ".xml", ".pt", ".pb", ".tflite", ".pdmodel"];

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detected {
    pub(super) kind: EngineKind,
    /// What the engine is given.
    pub(super) main: PathBuf,
}

/// Looks at the names of the files.
pub(super) fn detect(folder: &Path) -> Result<Detected, ModelError> {
    let main = folder.join(MODEL_FILE);
    if !main.is_file() {
        return Err(ModelError::NoFile {
            folder: folder.to_owned(),
        });
    }
    for name in names_in(folder)? {
        if name != MODEL_FILE && OTHER_KINDS.iter().any(|end| name.ends_with(end)) {
            return Err(ModelError::Mixture {
                folder: folder.to_owned(),
                one: MODEL_FILE.to_owned(),
                other: name,
            });
        }
    }
    Ok(Detected {
        kind: EngineKind::Onnx,
        main,
    })
}
