//! `model.toml`: what one model changes of the general settings.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::ModelError;
use crate::settings::{BatchSettings, EngineSettings};

/// How one model is served: the general settings, changed by its `model.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelOptions {
    /// Version to serve; the latest when `None`.
    pub(crate) version: Option<i64>,
    /// When a batch is full.
    pub(crate) batch: BatchSettings,
    /// How it computes.
    pub(crate) engine: EngineSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelFile {
    version: Option<i64>,
    batch: BatchChanges,
    engine: EngineChanges,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BatchChanges {
    max_rows: Option<usize>,
    max_rows_limit: Option<usize>,
    max_bytes: Option<usize>,
    #[serde(with = "humantime_serde")]
    max_delay: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EngineChanges {
    threads: Option<usize>,
    instances: Option<usize>,
}

impl ModelOptions {
    /// The general settings where `file` does not exist or says nothing.
    ///
    /// # Errors
    /// [`ModelError::Options`] names the file and the key.
    pub(super) fn read(
        file: &Path,
        batch: &BatchSettings,
        engine: &EngineSettings,
    ) -> Result<Self, ModelError> {
        let wrong = |problem: Box<dyn std::error::Error + Send + Sync>| ModelError::Options {
            file: file.to_owned(),
            source: problem,
        };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(Box::new(error))),
        };
        let changes: ModelFile = toml::from_str(&text).map_err(|error| wrong(Box::new(error)))?;
        let options = changes.over(batch, engine);
        options
            .batch
            .validate("batch")
            .map_err(|error| wrong(Box::new(error)))?;
        options
            .engine
            .validate("engine")
            .map_err(|error| wrong(Box::new(error)))?;
        Ok(options)
    }
}

impl ModelFile {
    fn over(self, batch: &BatchSettings, engine: &EngineSettings) -> ModelOptions {
        ModelOptions {
            version: self.version,
            batch: BatchSettings {
                max_rows: self.batch.max_rows.or(batch.max_rows),
                max_rows_limit: self.batch.max_rows_limit.unwrap_or(batch.max_rows_limit),
                max_bytes: self.batch.max_bytes.unwrap_or(batch.max_bytes),
                max_delay: self.batch.max_delay.unwrap_or(batch.max_delay),
            },
            engine: EngineSettings {
                threads: self.engine.threads.unwrap_or(engine.threads),
                instances: self.engine.instances.unwrap_or(engine.instances),
                ..engine.clone()
            },
        }
    }
}
