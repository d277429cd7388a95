//! Why a model cannot be converted; every sentence names the file and, where there is one, the layer.
//! What is wrong with it is the cause, so print the whole chain.

use std::io;
use std::path::PathBuf;

/// Why a model cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A file or the folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than what a model may have.
    #[error("{} has {bytes} bytes, more than {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The folder does not hold what a model consists of.
    #[error("{}: {what}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is missing or ambiguous, and what to do.
        what: String,
    },
    /// A file is not what its name says.
    #[error("{file}: {what}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// What is wrong, and where.
        what: String,
    },
    /// A layer cannot be converted.
    #[error("{file}: layer {layer:?} of kind {kind}")]
    Layer {
        /// Name of the file.
        file: String,
        /// Name of the layer.
        layer: String,
        /// Kind of the layer, as the file writes it.
        kind: String,
        /// Why not.
        #[source]
        problem: Problem,
    },
    /// The whole does not hold together.
    #[error("{file}")]
    Model {
        /// Name of the file.
        file: String,
        /// Why not.
        #[source]
        problem: Problem,
    },
}

/// What is wrong with a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nobody here knows this kind of layer.
    #[error("this kind of layer is not known here{}", if hint.is_empty() { String::new() } else { format!("; {hint}") })]
    UnknownKind {
        /// What to do, or empty.
        hint: String,
    },
    /// The layer is known, this use of it is not.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// Sizes, parameters or inputs do not fit each other.
    #[error("{0}")]
    Misfit(String),
    /// Weights are missing or have another size.
    #[error("{0}")]
    Weights(String),
    /// It mixes rows of the batch, so it can be said for a fixed batch only.
    #[error("{0} mixes the rows of a batch")]
    MixesRows(String),
}

/// Result of converting a layer.
pub type LayerResult<T> = Result<T, Problem>;
