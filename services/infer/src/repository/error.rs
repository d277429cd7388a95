//! Why a repository, one model or one version of it cannot be used.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a repository or something in it cannot be used. Each message is for the operator and says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ModelError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// The folder holds no model.
    #[error(
        "no model in {place}: expected <name>/<version>/model.onnx (or files of another format)"
    )]
    NoModels {
        /// `models.path`.
        place: String,
    },
    /// A model of `models.names` is not there.
    #[error("models.names has {name:?}, which is not in {place}; there are: {present}")]
    Missing {
        /// The name that was asked for.
        name: String,
        /// `models.path`.
        place: String,
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
    #[error(
        "model {model} has no version: put its files into {model}/1/ (versions are whole numbers)"
    )]
    NoVersion {
        /// The model.
        model: String,
    },
    /// A version that `model.toml` asks for is not there.
    #[error(
        "model {model} has no version {version}, which its model.toml asks for; there are: {present}"
    )]
    NoSuchVersion {
        /// The model.
        model: String,
        /// The version that was asked for.
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
    #[error("{} holds {one} and {other}: keep one model per version", folder.display())]
    Mixture {
        /// The version's folder.
        folder: PathBuf,
        /// One model.
        one: String,
        /// The file that does not belong.
        other: String,
    },
    /// Files are not what they were when the version was fetched.
    #[error(
        "{} changed while it was in use: put changed files under a new version number",
        folder.display()
    )]
    Changed {
        /// The version's folder.
        folder: PathBuf,
    },
    /// `model.toml` is wrong.
    #[error("{file} is wrong")]
    Options {
        /// Which file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
}
