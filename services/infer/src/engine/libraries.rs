//! The engines' native libraries, each loaded when the first model needs it, and engines built with them.

use std::path::PathBuf;
use std::sync::Arc;

use millrace_wire::Signature;

use super::{Engine, EngineKind, LoadError, OnnxEngine, OnnxLibrary};
use crate::settings::EngineSettings;

/// The files of one model version on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The version's folder; the engine reads nothing outside it.
    pub folder: PathBuf,
    /// What the engine is given: a file in the folder, or the folder itself for a TensorFlow SavedModel.
    pub main: PathBuf,
    /// Which engine.
    pub kind: EngineKind,
    /// The signature that `model.toml` declares, for formats that carry none.
    pub declared: Option<Signature>,
}

/// Loads libraries on first use and builds engines. Clones are the same libraries.
#[derive(Debug, Clone)]
pub struct Libraries {
    settings: Arc<EngineSettings>,
}

impl Libraries {
    /// Nothing is loaded yet; where the libraries are stands in `settings`.
    pub fn new(settings: &EngineSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
        }
    }

    /// Loads a library before a model needs it.
    ///
    /// # Errors
    /// [`LoadError::Library`] says what to do.
    pub fn load(&self, kind: EngineKind) -> Result<(), LoadError> {
        match kind {
            EngineKind::Onnx => self.onnx().map(|_| ()),
            EngineKind::OpenVino | EngineKind::Torch => Err(LoadError::NotBuilt { kind }),
        }
    }

    /// Builds one engine of a model; `options` are the general settings changed by the model's own.
    ///
    /// # Errors
    /// The library's fault or the model's, in one sentence.
    pub fn build(
        &self,
        files: &ModelFiles,
        options: &EngineSettings,
    ) -> Result<Box<dyn Engine>, LoadError> {
        match files.kind {
            EngineKind::Onnx => Ok(Box::new(OnnxEngine::load(
                &self.onnx()?,
                &files.main,
                options,
            )?)),
            kind @ (EngineKind::OpenVino | EngineKind::Torch) => Err(LoadError::NotBuilt { kind }),
        }
    }

    fn onnx(&self) -> Result<OnnxLibrary, LoadError> {
        OnnxLibrary::load(self.settings.onnx_library())
    }
}
