//! The engines' native libraries, each loaded when the first model needs it, and engines built with them.

use std::path::PathBuf;
use std::sync::Arc;

use millrace_wire::Signature;

#[cfg(feature = "torch")]
use super::TorchEngine;
use super::{
    Engine, EngineKind, LoadError, OnnxEngine, OnnxLibrary, OpenVinoEngine, OpenVinoLibrary,
};
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
    /// The signature that `model.toml` declares: needed where the format carries none, otherwise compared with the model's
    /// own in the order of inputs and outputs, whose names it then gives.
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
    /// [`LoadError::Library`] says what to do; [`LoadError::NotBuilt`] where this program has no such engine.
    pub fn load(&self, kind: EngineKind) -> Result<(), LoadError> {
        match kind {
            EngineKind::Onnx => self.onnx().map(|_| ()),
            EngineKind::OpenVino => self.openvino().map(|_| ()),
            EngineKind::Torch if cfg!(feature = "torch") => Ok(()),
            EngineKind::Torch => Err(LoadError::NotBuilt { kind }),
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
        let declared = files.declared.as_ref();
        match files.kind {
            EngineKind::Onnx => {
                let engine = OnnxEngine::load(&self.onnx()?, &files.main, options)?;
                Ok(Box::new(engine.named(declared)?))
            }
            EngineKind::OpenVino => {
                let library = self.openvino()?;
                let engine = OpenVinoEngine::load(library, &files.main, options)?;
                Ok(Box::new(engine.named(declared)?))
            }
            #[cfg(feature = "torch")]
            EngineKind::Torch => Ok(Box::new(TorchEngine::load(&files.main, options, declared)?)),
            #[cfg(not(feature = "torch"))]
            kind @ EngineKind::Torch => Err(LoadError::NotBuilt { kind }),
        }
    }

    fn onnx(&self) -> Result<OnnxLibrary, LoadError> {
        OnnxLibrary::load(self.settings.onnx_library())
    }

    fn openvino(&self) -> Result<OpenVinoLibrary, LoadError> {
        OpenVinoLibrary::load(self.settings.openvino.library.as_deref())
    }
}
