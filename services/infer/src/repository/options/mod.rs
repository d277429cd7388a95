//! `model.toml`: what one model changes of the general settings. One file per section; this one is their frame.

use std::error::Error;
use std::sync::Arc;

use serde::Deserialize;

use super::ModelError;
use crate::engine::EngineKind;
use crate::settings::{BatchSettings, Delivery, EngineSettings, Settings};

mod batch;
mod encryption;
mod engine;
mod images;
mod output;
mod problem;
mod reading;
mod signature;
mod versions;

pub(crate) use encryption::EncryptionOptions;
pub(crate) use images::ImageSections;
pub use images::{Channels, Filter, ImageOptions, Layout, Orientation, ResizeTo};
pub(crate) use output::{OutputOptions, Treatment};
use problem::Problem;
pub(crate) use reading::ReadingOptions;
pub(crate) use signature::SignatureOptions;
pub(crate) use versions::{Policy, VersionOptions};

/// How one model is served: the general settings, changed by its `model.toml`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelOptions {
    /// Which versions are served, and under which labels.
    pub(crate) versions: VersionOptions,
    /// How its records are read.
    pub(crate) reading: ReadingOptions,
    /// When a batch is full.
    pub(crate) batch: BatchSettings,
    /// The engine that was asked for; by the files when `None`.
    pub(crate) kind: Option<EngineKind>,
    /// How it computes.
    pub(crate) engine: EngineSettings,
    /// Which inputs are encoded images.
    pub(crate) images: ImageSections,
    /// What becomes of the outputs.
    pub(crate) output: OutputOptions,
    /// How its files were encrypted, if they do not say so themselves.
    pub(crate) encryption: EncryptionOptions,
    /// Inputs and outputs, where the model's format does not carry them.
    pub(crate) signature: SignatureOptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelFile {
    /// Short for a policy of one version.
    version: Option<i64>,
    versions: VersionOptions,
    delivery: Option<Delivery>,
    bulk: reading::BulkChanges,
    batch: batch::BatchChanges,
    engine: engine::EngineChanges,
    images: ImageSections,
    output: OutputOptions,
    inputs: Vec<signature::DeclaredTensor>,
    outputs: Vec<signature::DeclaredTensor>,
    encryption: EncryptionOptions,
}

impl ModelOptions {
    /// What holds for a model without `model.toml`.
    pub(crate) fn general(settings: &Settings) -> Self {
        Self {
            versions: VersionOptions::default(),
            reading: ReadingOptions {
                delivery: settings.delivery,
                bulk: settings.bulk,
            },
            batch: settings.batch.clone(),
            kind: None,
            engine: settings.engine.clone(),
            images: ImageSections::default(),
            output: OutputOptions::default(),
            encryption: EncryptionOptions::default(),
            signature: SignatureOptions::default(),
        }
    }

    /// These options, changed by the text of `model.toml`; `file` names it in messages.
    ///
    /// # Errors
    /// [`ModelError::Options`] names the file and the key.
    pub(super) fn changed_by(&self, file: &str, text: &str) -> Result<Self, ModelError> {
        let wrong = |problem: Arc<dyn Error + Send + Sync>| ModelError::Options {
            file: file.to_owned(),
            source: problem,
        };
        let mut changes: ModelFile =
            toml::from_str(text).map_err(|error| wrong(Arc::new(Problem::of(text, &error))))?;
        if let Some(version) = changes.version {
            changes.versions.policy = Policy::Only(vec![version]);
        }
        let options = Self {
            versions: changes.versions,
            reading: self.reading.changed_by(changes.delivery, &changes.bulk),
            batch: changes.batch.over(&self.batch),
            kind: changes.engine.kind(),
            engine: changes.engine.over(&self.engine),
            images: changes.images,
            output: changes.output,
            encryption: changes.encryption,
            signature: SignatureOptions {
                inputs: changes.inputs,
                outputs: changes.outputs,
            },
        };
        let checks = [
            options.versions.validate(),
            options.reading.bulk.validate(),
            options.batch.validate("batch"),
            options.engine.validate("engine"),
            options.output.validate(),
            options.signature.validate(),
            options.encryption.validate(),
        ];
        for check in checks {
            check.map_err(|error| wrong(Arc::new(error)))?;
        }
        Ok(options)
    }
}
