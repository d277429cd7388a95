//! Why a repository, one model or one version of it cannot be used.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::EngineKind;

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
    /// The name is that of another model's bulk lane.
    #[error(
        "model {name:?} cannot be called that: topics that end in \".bulk\" are bulk lanes; give its folder another name"
    )]
    BulkName {
        /// The folder's name.
        name: String,
    },
    /// There is no version folder.
    #[error(
        "model {model} has no version: put its files into {model}/1/ (versions are whole numbers without leading zeros)"
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
    /// The version holds no model file.
    #[error("{place} holds no model: {present}; expected one of: {expected}")]
    NoFile {
        /// The version's folder.
        place: String,
        /// What is there instead.
        present: String,
        /// What could be there.
        expected: &'static str,
    },
    /// A model that needs another file.
    #[error("{place} holds {name} without {missing}, which belongs to it")]
    HalfAModel {
        /// The version's folder.
        place: String,
        /// What is there.
        name: String,
        /// What is not.
        missing: String,
    },
    /// A model of a kind that no engine here reads.
    #[error("{place} holds {what} ({name}), which is not served: {to_do}")]
    NotServed {
        /// The version's folder.
        place: String,
        /// The file.
        name: String,
        /// What it is.
        what: &'static str,
        /// What helps.
        to_do: &'static str,
    },
    /// `engine = "…"` names an engine that does not read the model.
    #[error(
        "{place} holds a {format} model, which the engine {asked} of its model.toml does not read; engines that do: {}",
        engines.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", ")
    )]
    WrongEngine {
        /// The version's folder.
        place: String,
        /// What is there.
        format: &'static str,
        /// The engine of `model.toml`.
        asked: EngineKind,
        /// Engines that read it.
        engines: &'static [EngineKind],
    },
    /// The version holds several models.
    #[error(
        "{place} holds {one} and {other}; only one model is allowed in the folder of a version: remove one of them"
    )]
    Mixture {
        /// The version's folder.
        place: String,
        /// One model.
        one: String,
        /// Another one.
        other: String,
    },
    /// A model of Caffe or BigDL cannot become ONNX.
    #[error("{place} cannot be converted to ONNX; millrace models convert does the same by hand")]
    Convert {
        /// The version's folder.
        place: String,
        /// Which layer of which file, and why.
        #[source]
        source: Arc<millrace_convert::ConvertError>,
    },
    /// Files are not what they were when the version was found.
    #[error("{place} changed while it was in use: put changed files under a new version number")]
    Changed {
        /// The version's folder.
        place: String,
    },
    /// Something that would be read lies outside of the repository.
    #[error("{place} is refused: {what}")]
    Outside {
        /// The version's folder.
        place: String,
        /// What leads outside, and where to.
        what: String,
    },
    /// A file that cannot be understood before an engine sees it.
    #[error("{} cannot be read as a model: {problem}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is not what `SHA256SUMS` says.
    #[error("{place} is refused: {problem}")]
    Checksum {
        /// The version's folder.
        place: String,
        /// Which file, and what is wrong.
        problem: String,
    },
    /// The object store or web server.
    #[error("cannot read {what} of {url}; check the address, the region and the credentials")]
    Remote {
        /// What was asked for.
        what: String,
        /// `models.path`.
        url: String,
        /// What the store says.
        #[source]
        source: Arc<object_store::Error>,
    },
    /// The store answers what cannot be.
    #[error("{url} cannot be used: {problem}")]
    Store {
        /// `models.path`.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// More than the cache may hold.
    #[error(
        "{place} has {size_bytes} bytes, more than models.cache_bytes allows ({limit_bytes}); raise it"
    )]
    TooLarge {
        /// The version's folder.
        place: String,
        /// Of all its files.
        size_bytes: u64,
        /// The setting.
        limit_bytes: u64,
    },
    /// Everything in the cache is in use.
    #[error(
        "there is no room for {place} with {size_bytes} bytes: models.cache holds {held_bytes} bytes of versions in \
         use; raise models.cache_bytes"
    )]
    CacheFull {
        /// The version.
        place: String,
        /// Of all its files.
        size_bytes: u64,
        /// What is in use.
        held_bytes: u64,
    },
    /// Encrypted, and no key.
    #[error(
        "{place} is encrypted and there is no key: set models.key_file, or MILLRACE_MODELS__KEY in the environment"
    )]
    NoKey {
        /// The version's folder.
        place: String,
    },
    /// A file cannot be decrypted.
    #[error("cannot decrypt {}", file.display())]
    Decrypt {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: Arc<millrace_vault::VaultError>,
    },
    /// The key of the settings.
    #[error("the key of encrypted models cannot be used")]
    Key(#[source] Arc<millrace_vault::VaultError>),
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
