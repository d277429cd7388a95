//! What can be wrong with settings, in sentences that name the key and where it was set.

use std::path::PathBuf;

use config::ConfigError;

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file given by `--config` could not be read.
    #[error("cannot read the settings file {path}; give --config a readable TOML file")]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML. Its text is not quoted, since it may hold a password.
    #[error("file {path}, line {line}, column {column}: {problem}")]
    Syntax {
        /// The path as given.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The parser's sentence.
        problem: String,
    },
    /// A `--set` without `=`.
    #[error("--set {0} has no value; write --set key.path=value")]
    NoValue(String),
    /// A variable of ours that is not UTF-8.
    #[error("environment variable {0} is not UTF-8 text")]
    NotText(String),
    /// A key that no setting has.
    #[error("{origin}: unknown key {key}: {expected}")]
    UnknownKey {
        /// The file, variable or flag.
        origin: String,
        /// The whole key, such as `batch.max_row`.
        key: String,
        /// A sentence with the keys that exist there.
        expected: String,
    },
    /// A value that its setting cannot take.
    #[error("{origin}: {problem}")]
    Value {
        /// The file, variable or flag.
        origin: String,
        /// Names the key, what was given and what was expected.
        problem: String,
    },
    /// A broken rule of `Validate`.
    #[error(transparent)]
    Invalid(#[from] InvalidSetting),
    /// The defaults of the settings type cannot be written as TOML: an error in the program.
    #[error("the default settings cannot be written as TOML")]
    Defaults(#[source] toml::ser::Error),
}

/// A setting whose value breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct InvalidSetting {
    /// The whole key, such as `batch.max_rows`.
    pub key: String,
    /// Continues the key to a sentence: `is 0; it must be at least 1`.
    pub problem: String,
}

impl InvalidSetting {
    /// A broken rule of `key`; `problem` continues the key to a sentence.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
        }
    }
}

impl SettingsError {
    pub(super) fn of_layer(error: ConfigError, origin: &str) -> Self {
        let (key, problem) = match error {
            ConfigError::Type {
                unexpected,
                expected,
                key,
                ..
            } => (key, format!("is {unexpected}, expected {expected}")),
            ConfigError::At { error, key, .. } => (key, error.to_string()),
            other => (None, other.to_string()),
        };
        let origin = origin.to_owned();
        match unknown_field(&problem) {
            Some((field, expected)) => Self::UnknownKey {
                origin,
                key: key.map_or_else(|| field.to_owned(), |parent| format!("{parent}.{field}")),
                expected: expected.to_owned(),
            },
            None => Self::Value {
                origin,
                problem: key.map_or_else(|| problem.clone(), |key| format!("{key}: {problem}")),
            },
        }
    }
}

/// Takes serde's "unknown field `x`, expected one of `y`" apart; it is the only form in which serde tells this.
fn unknown_field(problem: &str) -> Option<(&str, &str)> {
    problem.strip_prefix("unknown field `")?.split_once("`, ")
}
