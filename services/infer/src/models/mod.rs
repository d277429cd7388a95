//! The model folder: `<name>/<version>/model.onnx`, and optionally `<name>/model.toml`.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::settings::{Settings, is_topic_name};

mod cost;
mod load;
mod options;

pub(crate) use load::BuildEngine;
pub(crate) use load::{LoadedModel, load};
pub(crate) use options::ModelOptions;

/// The one kind of model file that is served today.
const MODEL_FILE: &str = "model.onnx";
/// Ends of file names that say that a file is a model of another engine.
const OTHER_KINDS: [&str; 6] = [".onnx", ".xml", ".pt", ".pb", ".tflite", ".pdmodel"];

/// One version of one model on disk, not loaded yet.
#[derive(Debug, Clone)]
pub(crate) struct ModelSource {
    /// Its name, which is part of its topics' names.
    pub(crate) name: String,
    /// The version that is served.
    pub(crate) version: i64,
    /// The model file.
    pub(crate) file: PathBuf,
    /// How to serve it.
    pub(crate) options: ModelOptions,
}

/// A model that was found, whether or not it can be served.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) name: String,
    /// What to load, or why not.
    pub(crate) source: Result<ModelSource, ModelError>,
}

/// Why a model folder or one model in it cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder holds no model.
    #[error("no model in {}: expected <name>/<version>/model.onnx", folder.display())]
    NoModels {
        /// `models.path`.
        folder: PathBuf,
    },
    /// A model of `models.names` is not there.
    #[error("models.names has {name:?}, which is not in {}; there are: {present}", folder.display())]
    Missing {
        /// The name that was asked for.
        name: String,
        /// `models.path`.
        folder: PathBuf,
        /// The names that are there.
        present: String,
    },
    /// The name cannot be part of a topic name.
    #[error(
        "{name:?} cannot be part of a topic name: use letters, digits, `.`, `_` or `-`, at most 80"
    )]
    Name {
        /// The folder's name.
        name: String,
    },
    /// There is no version folder.
    #[error("{} has no version: put the model into {}/1/model.onnx (versions are whole numbers)", folder.display(), folder.display())]
    NoVersion {
        /// The model's folder.
        folder: PathBuf,
    },
    /// The version that `model.toml` pins is not there.
    #[error("{} has no version {version}, which its model.toml asks for; there are: {present}", folder.display())]
    NoSuchVersion {
        /// The model's folder.
        folder: PathBuf,
        /// The pinned version.
        version: i64,
        /// The versions that are there.
        present: String,
    },
    /// The version folder holds no model file.
    #[error("{} holds no model.onnx", folder.display())]
    NoFile {
        /// The version's folder.
        folder: PathBuf,
    },
    /// The version folder holds model files of several kinds.
    #[error("{} holds {MODEL_FILE} and {other}: keep one model file per version", folder.display())]
    Mixture {
        /// The version's folder.
        folder: PathBuf,
        /// The file that does not belong.
        other: String,
    },
    /// `model.toml` is wrong.
    #[error("{} is wrong", file.display())]
    Options {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Finds the models to serve, by name. A model with a fault is part of the answer, so that the others can be served.
///
/// # Errors
/// [`ModelError::Read`], [`ModelError::NoModels`] or [`ModelError::Missing`]: the settings are wrong as a whole.
pub(crate) fn scan(settings: &Settings) -> Result<Vec<Found>, ModelError> {
    let folder = &settings.models.path;
    let present = model_folders(folder)?;
    let names: BTreeSet<String> = if settings.models.names.is_empty() {
        present.clone()
    } else {
        settings.models.names.iter().cloned().collect()
    };
    if let Some(name) = names.iter().find(|name| !present.contains(*name)) {
        let present = Vec::from_iter(present.iter().map(String::as_str)).join(", ");
        return Err(ModelError::Missing {
            name: name.clone(),
            folder: folder.clone(),
            present,
        });
    }
    let find = |name: String| Found {
        source: source(settings, &name),
        name,
    };
    Ok(names.into_iter().map(find).collect())
}

/// Folders that could be models; files, and names that begin with `.` or `_`, are nobody's model.
fn model_folders(folder: &Path) -> Result<BTreeSet<String>, ModelError> {
    let names: BTreeSet<String> = folders_in(folder)?
        .into_iter()
        .filter(|name| !name.starts_with(['.', '_']))
        .collect();
    if names.is_empty() {
        return Err(ModelError::NoModels {
            folder: folder.to_owned(),
        });
    }
    Ok(names)
}

fn source(settings: &Settings, name: &str) -> Result<ModelSource, ModelError> {
    if !is_topic_name(name) || name.len() > 80 {
        return Err(ModelError::Name {
            name: name.to_owned(),
        });
    }
    let folder = settings.models.path.join(name);
    let options = ModelOptions::read(
        &folder.join("model.toml"),
        &settings.batch,
        &settings.engine,
    )?;
    let (version, version_folder) = choose_version(&folder, options.version)?;
    let file = model_file(&version_folder)?;
    Ok(ModelSource {
        name: name.to_owned(),
        version,
        file,
        options,
    })
}

/// The pinned version, or else the highest number.
fn choose_version(folder: &Path, pinned: Option<i64>) -> Result<(i64, PathBuf), ModelError> {
    let mut versions: Vec<(i64, String)> = Vec::new();
    for name in folders_in(folder)? {
        if let Ok(version) = name.parse::<i64>()
            && version >= 0
        {
            versions.push((version, name));
        }
    }
    versions.sort_unstable();
    let chosen = match pinned {
        None => versions.last(),
        Some(pinned) => versions.iter().find(|(version, _)| *version == pinned),
    };
    match (chosen, pinned) {
        (Some((version, name)), _) => Ok((*version, folder.join(name))),
        (None, Some(version)) if !versions.is_empty() => {
            let present = Vec::from_iter(versions.iter().map(|(_, name)| name.as_str())).join(", ");
            Err(ModelError::NoSuchVersion {
                folder: folder.to_owned(),
                version,
                present,
            })
        }
        (None, _) => Err(ModelError::NoVersion {
            folder: folder.to_owned(),
        }),
    }
}

fn model_file(folder: &Path) -> Result<PathBuf, ModelError> {
    let file = folder.join(MODEL_FILE);
    if !file.is_file() {
        return Err(ModelError::NoFile {
            folder: folder.to_owned(),
        });
    }
    for name in names_in(folder)? {
        if name != MODEL_FILE && OTHER_KINDS.iter().any(|end| name.ends_with(end)) {
            return Err(ModelError::Mixture {
                folder: folder.to_owned(),
                other: name,
            });
        }
    }
    Ok(file)
}

/// SHA-256 of a model file, in hexadecimal.
///
/// # Errors
/// [`ModelError::Read`].
pub(crate) fn sha256(file: &Path) -> Result<String, ModelError> {
    let path = file;
    let failed = |source| ModelError::Read {
        path: path.to_owned(),
        source,
    };
    let mut hasher = Sha256::new();
    let mut file = File::open(file).map_err(failed)?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut chunk).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn folders_in(folder: &Path) -> Result<Vec<String>, ModelError> {
    Ok(names_in(folder)?
        .into_iter()
        .filter(|name| folder.join(name).is_dir())
        .collect())
}

/// Names that are not UTF-8 are left out: they can be neither a model's name nor a version.
fn names_in(folder: &Path) -> Result<Vec<String>, ModelError> {
    let failed = |source| ModelError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
