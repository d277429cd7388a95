//! One version on this machine: verified, and opened for an engine.

use std::path::PathBuf;
use std::sync::Arc;

use super::cache::Cached;
use super::converted::{self, Conversions};
use super::crypt::{Encryption, Vault, plain_name};
use super::detect::Detected;
use super::scratch::Scratch;
use super::{Fingerprint, ModelError, ModelOptions, confine, local};
use crate::engine::ModelFiles;

/// One version of one model on this machine, verified and not loaded yet. A version of an object store stays in the cache
/// while this or a clone lives.
#[derive(Debug, Clone)]
pub(crate) struct ModelSource {
    /// Its name, which is part of its topics' names.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: i64,
    /// SHA-256 of the weights as they lie in the repository, in hexadecimal.
    pub(crate) sha256: String,
    /// How to serve it.
    pub(crate) options: ModelOptions,
    /// Bytes of its files.
    pub(crate) size_bytes: u64,
    pub(super) held: Arc<Held>,
}

/// The files of a version as they were verified.
#[derive(Debug)]
pub(super) struct Held {
    /// The version's folder.
    pub(super) folder: PathBuf,
    /// No link may lead out of it.
    pub(super) root: PathBuf,
    /// All files, relative to the folder.
    pub(super) files: Vec<String>,
    pub(super) detected: Detected,
    pub(super) fingerprint: Fingerprint,
    pub(super) encryption: Option<Encryption>,
    pub(super) vault: Arc<Vault>,
    pub(super) conversions: Arc<Conversions>,
    /// Keeps it in the cache.
    pub(super) _cached: Option<Cached>,
}

/// Files that may be read while this lives.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    /// Where they are.
    pub(crate) files: ModelFiles,
    held: Arc<Held>,
    /// Keeps the converted model in the cache.
    _converted: Option<Cached>,
    /// Plain copies of encrypted files.
    _private: Option<Scratch>,
}

impl ModelSource {
    /// Makes the files readable for an engine for as long as the answer lives: encrypted ones are decrypted then. Called
    /// anew for every load, and for the repair of an engine.
    ///
    /// # Errors
    /// [`ModelError::Changed`] if they are not what was verified, [`ModelError::Outside`] if the model names files outside
    /// of its folder, and whatever decryption says.
    pub(crate) fn open(&self) -> Result<OpenFiles, ModelError> {
        let held = &self.held;
        held.check_unchanged()?;
        confine::check_links(&held.root, &held.folder, &held.files)?;
        let private = match &held.encryption {
            Some(encryption) => {
                let opened = held.vault.decrypt(&held.folder, &held.files, encryption)?;
                held.check_unchanged()?;
                Some(opened)
            }
            None => None,
        };
        let folder = private
            .as_ref()
            .map_or_else(|| held.folder.clone(), |opened| opened.path().to_owned());
        let detected = &held.detected;
        confine::check_content(&folder, detected.format, &detected.main)?;
        let mut main = if detected.main.is_empty() {
            folder.clone()
        } else {
            folder.join(&detected.main)
        };
        let mut kept = None;
        if detected.format.is_converted() {
            let shapes = converted::shapes(self.options.signature.declared().as_ref());
            if private.is_some() {
                main = converted::beside(&folder, &shapes)?;
            } else {
                let made = held.conversions.kept((&folder, &self.sha256), &shapes)?;
                held.check_unchanged()?;
                main = made.folder.join(converted::MADE);
                kept = Some(made);
            }
        }
        Ok(OpenFiles {
            files: ModelFiles {
                folder,
                main,
                kind: detected.kind,
                declared: self.options.signature.declared(),
            },
            held: Arc::clone(held),
            _converted: kept,
            _private: private,
        })
    }
}

impl OpenFiles {
    /// Called after the engine has read them.
    ///
    /// # Errors
    /// [`ModelError::Changed`] if they changed meanwhile: then nobody knows what was loaded.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        self.held.check_unchanged()
    }
}

impl Held {
    pub(super) fn check_unchanged(&self) -> Result<(), ModelError> {
        if local::fingerprint(&self.folder)? == self.fingerprint {
            return Ok(());
        }
        Err(ModelError::Changed {
            place: self.folder.display().to_string(),
        })
    }

    /// The files that the hash of the weights covers, as they lie in the folder; sorted.
    pub(super) fn weights(&self) -> Result<Vec<String>, ModelError> {
        let detected = &self.detected;
        let mut weights: Vec<String> = match &self.encryption {
            Some(encryption) => encryption.files.clone(),
            None => {
                let named = confine::check_content(&self.folder, detected.format, &detected.main)?;
                named.into_iter().collect()
            }
        };
        let is_model = |file: &&String| detected.files.iter().any(|name| name == plain_name(file));
        weights.extend(self.files.iter().filter(is_model).cloned());
        weights.sort_unstable();
        weights.dedup();
        Ok(weights)
    }
}
