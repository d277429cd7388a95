//! A value of a carried column as text.

use anyhow::{Context, bail};
use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use millrace_wire::headers::MAX_TEXT_BYTES;

/// The value of a row.
///
/// # Errors
/// There is none, or it is longer than a header may be.
pub(super) fn text_at(batch: &RecordBatch, column: &str, row: usize) -> anyhow::Result<String> {
    let array = batch.column_by_name(column);
    let array = array.with_context(|| format!("there is no column {column}"))?;
    if row >= array.len() || array.is_null(row) {
        bail!("column {column} has no value");
    }
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
    let text = formatter.value(row).try_to_string()?;
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        bail!(
            "column {column} has a value of {} bytes; an id or key has 1 to {MAX_TEXT_BYTES}",
            text.len()
        );
    }
    Ok(text)
}
