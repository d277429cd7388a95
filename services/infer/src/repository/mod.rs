//! Which models and versions there are, and their files on this machine: `<name>/<version>/…`, and optionally
//! `<name>/model.toml`. Knows nothing of engines' insides, of Kafka or of what is served at the moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::ModelFiles;
use crate::settings::{Settings, is_topic_name};

mod detect;
mod digest;
mod error;
mod local;
mod options;

pub(crate) use digest::Fingerprint;
pub(crate) use error::ModelError;
pub use options::{Channels, Filter, ImageOptions, Layout, Orientation, ResizeTo};
pub(crate) use options::{ImageSections, ModelOptions, OutputOptions, Policy, Treatment};

/// The longest name of a model, in bytes: it is part of topics' names.
const LONGEST_NAME: usize = 80;

/// A repository that is open. Cheap to clone; every call may read the disk or the network, so it belongs on a thread that
/// may wait.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    names: Vec<String>,
    general: ModelOptions,
}

/// A model that was found, whether or not it can be served.
#[derive(Debug)]
pub(crate) struct ModelEntry {
    /// Its name.
    pub(crate) name: String,
    /// How to serve it, or why that cannot be: a wrong `model.toml`, an impossible name.
    pub(crate) options: Result<ModelOptions, ModelError>,
    /// What is there, the lowest version first.
    pub(crate) versions: Vec<VersionEntry>,
}

/// One version of a model that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionEntry {
    /// Its number.
    pub(crate) version: i64,
    /// Changes when its files change.
    pub(crate) fingerprint: Fingerprint,
}

/// One version of one model on this machine, verified and not loaded yet.
#[derive(Debug, Clone)]
pub(crate) struct ModelSource {
    /// Its name, which is part of its topics' names.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: i64,
    /// SHA-256 of the weights, in hexadecimal.
    pub(crate) sha256: String,
    /// How to serve it.
    pub(crate) options: ModelOptions,
    /// Bytes of its files.
    pub(crate) size_bytes: u64,
    files: ModelFiles,
    fingerprint: Fingerprint,
}

/// Files that may be read while this lives.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    /// Where they are.
    pub(crate) files: ModelFiles,
    seen: Fingerprint,
}

impl Repository {
    /// Opens what `models.path` names; `models.names` limits which models there are.
    ///
    /// # Errors
    /// [`ModelError::Read`]: the place cannot be listed.
    pub(crate) fn open(settings: &Settings) -> Result<Self, ModelError> {
        let folder = settings.models.path.clone();
        local::models(&folder)?;
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                names: settings.models.names.clone(),
                general: ModelOptions::general(settings),
            }),
        })
    }

    /// The models to serve, by name. A model with a fault is part of the answer, so that the others can be served.
    ///
    /// # Errors
    /// [`ModelError::Read`], [`ModelError::NoModels`] or [`ModelError::Missing`]: the place or the settings are wrong as a
    /// whole.
    pub(crate) fn scan(&self) -> Result<Vec<ModelEntry>, ModelError> {
        let present = local::models(&self.inner.folder)?;
        if present.is_empty() {
            return Err(ModelError::NoModels {
                place: self.place(),
            });
        }
        let names: BTreeSet<String> = if self.inner.names.is_empty() {
            present.clone()
        } else {
            self.inner.names.iter().cloned().collect()
        };
        if let Some(name) = names.iter().find(|name| !present.contains(*name)) {
            return Err(ModelError::Missing {
                name: name.clone(),
                place: self.place(),
                present: Vec::from_iter(present.iter().map(String::as_str)).join(", "),
            });
        }
        Ok(names.into_iter().map(|name| self.look_at(name)).collect())
    }

    /// Brings the files of one version here and verifies them.
    ///
    /// # Errors
    /// What is wrong with this version; others are not concerned.
    pub(crate) fn fetch(
        &self,
        name: &str,
        version: &VersionEntry,
    ) -> Result<ModelSource, ModelError> {
        let model = self.inner.folder.join(name);
        let folder = model.join(version.version.to_string());
        let options = self.options(name)?;
        let found = detect::detect(&folder)?;
        let read = digest::sha256_file(&found.main);
        let (sha256, size_bytes) = read.map_err(local::unreadable(&found.main))?;
        let source = ModelSource {
            name: name.to_owned(),
            version: version.version,
            sha256: digest::hex(&sha256),
            size_bytes,
            files: ModelFiles {
                folder,
                main: found.main,
                kind: found.kind,
                declared: options.signature.declared(),
            },
            options,
            fingerprint: version.fingerprint.clone(),
        };
        source.check_unchanged()?;
        Ok(source)
    }

    fn place(&self) -> String {
        self.inner.folder.display().to_string()
    }

    fn look_at(&self, name: String) -> ModelEntry {
        if !is_topic_name(&name) || name.len() > LONGEST_NAME {
            return ModelEntry {
                options: Err(ModelError::Name { name: name.clone() }),
                name,
                versions: Vec::new(),
            };
        }
        match versions(&self.inner.folder.join(&name)) {
            Ok(versions) => ModelEntry {
                options: self.options(&name),
                name,
                versions,
            },
            Err(error) => ModelEntry {
                name,
                options: Err(error),
                versions: Vec::new(),
            },
        }
    }

    fn options(&self, name: &str) -> Result<ModelOptions, ModelError> {
        let file = self.inner.folder.join(name).join("model.toml");
        match local::text(&file)? {
            Some(text) => self
                .inner
                .general
                .changed_by(&file.display().to_string(), &text),
            None => Ok(self.inner.general.clone()),
        }
    }
}

fn versions(folder: &Path) -> Result<Vec<VersionEntry>, ModelError> {
    let mut versions = Vec::new();
    for (version, folder) in local::versions(folder)? {
        versions.push(VersionEntry {
            version,
            fingerprint: local::fingerprint(&folder)?,
        });
    }
    Ok(versions)
}

impl ModelEntry {
    /// The versions to serve by the policy of `model.toml`, the lowest first and never none.
    ///
    /// # Errors
    /// What is wrong with `model.toml`, or that there is no such version.
    pub(crate) fn wanted(&self) -> Result<Vec<&VersionEntry>, ModelError> {
        let options = self.options.as_ref().map_err(ModelError::clone)?;
        if self.versions.is_empty() {
            return Err(ModelError::NoVersion {
                model: self.name.clone(),
            });
        }
        match &options.versions.policy {
            Policy::All => Ok(self.versions.iter().collect()),
            Policy::Latest(count) => {
                let first = self.versions.len().saturating_sub(*count);
                Ok(self.versions.iter().skip(first).collect())
            }
            Policy::Only(asked) => {
                if let Some(missing) = asked.iter().find(|version| self.find(**version).is_none()) {
                    return Err(self.no_such_version(*missing));
                }
                let is_asked = |entry: &&VersionEntry| asked.contains(&entry.version);
                Ok(self.versions.iter().filter(is_asked).collect())
            }
        }
    }

    /// One version, if it is there.
    pub(crate) fn find(&self, version: i64) -> Option<&VersionEntry> {
        self.versions.iter().find(|entry| entry.version == version)
    }

    fn no_such_version(&self, version: i64) -> ModelError {
        let present: Vec<String> = self
            .versions
            .iter()
            .map(|entry| entry.version.to_string())
            .collect();
        ModelError::NoSuchVersion {
            model: self.name.clone(),
            version,
            present: present.join(", "),
        }
    }
}

impl ModelSource {
    /// Makes the files readable for an engine for as long as the answer lives. Called anew for every load, and for the
    /// repair of an engine.
    ///
    /// # Errors
    /// [`ModelError::Changed`] if they are not what [`Repository::fetch`] verified.
    pub(crate) fn open(&self) -> Result<OpenFiles, ModelError> {
        self.check_unchanged()?;
        Ok(OpenFiles {
            files: self.files.clone(),
            seen: self.fingerprint.clone(),
        })
    }

    fn check_unchanged(&self) -> Result<(), ModelError> {
        check(&self.files.folder, &self.fingerprint)
    }
}

impl OpenFiles {
    /// Called after the engine has read them.
    ///
    /// # Errors
    /// [`ModelError::Changed`] if they changed meanwhile: then nobody knows what was loaded.
    pub(crate) fn check_unchanged(&self) -> Result<(), ModelError> {
        check(&self.files.folder, &self.seen)
    }
}

fn check(folder: &Path, expected: &Fingerprint) -> Result<(), ModelError> {
    if local::fingerprint(folder)? == *expected {
        return Ok(());
    }
    Err(ModelError::Changed {
        folder: folder.to_owned(),
    })
}

#[cfg(test)]
mod tests;
