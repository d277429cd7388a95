//! What the tables of PostgreSQL, MySQL and SQLite have in common.

pub(crate) mod address;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod settings;

use crate::destinations::WriteError;

/// A record that can never be a row of this table goes to the dead letters with this sentence.
pub(crate) fn rejected(sentence: impl Into<String>) -> WriteError {
    WriteError::Rejected {
        sentence: sentence.into(),
    }
}
