//! What the tables of PostgreSQL, MySQL and SQLite have in common.

pub(crate) mod address;
#[cfg(test)]
pub(crate) mod alike;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod lists;
pub(crate) mod names;
pub(crate) mod opening;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod settings;

use crate::destinations::WriteError;
use plan::Plan;

/// A record that can never be a row of this table goes to the dead letters with this sentence.
pub(crate) fn rejected(sentence: impl Into<String>) -> WriteError {
    WriteError::Rejected {
        sentence: sentence.into(),
    }
}

/// Rows that are there although the progress does not know them are nobody's bad rows.
pub(crate) fn unknown_rows(error: impl Into<anyhow::Error>, plan: &Plan) -> WriteError {
    WriteError::Fatal(error.into().context(format!(
        "table {} has rows that the progress table does not know; was the pipeline renamed, or the progress removed?",
        plan.table
    )))
}
