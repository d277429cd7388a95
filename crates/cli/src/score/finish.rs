//! The output out of all parts.

use anyhow::Context;
use arrow::array::Array;

use super::outlet::{Outlet, OutputFormat};
use super::parts::Parts;

/// What the output holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
    pub(super) rows: u64,
    /// Those with an error instead of outputs.
    pub(super) failed_rows: u64,
}

/// Writes the draft of the output and brings it to the disk.
///
/// Batches are the chunks of the input, whatever parts they came in, so the bytes of the output are
/// the same however often the job was interrupted.
pub(super) fn finish(
    parts: &Parts,
    format: OutputFormat,
    error_column: &str,
) -> anyhow::Result<Made> {
    let mut outlet: Option<Box<dyn Outlet>> = None;
    let mut made = Made::default();
    parts.read(|batch| {
        made.rows += batch.num_rows() as u64;
        let errors = batch
            .column_by_name(error_column)
            .context("a part without errors")?;
        made.failed_rows += (errors.len() - errors.null_count()) as u64;
        let open = match &mut outlet {
            Some(open) => open,
            None => outlet.insert(format.open(&parts.draft(), batch.schema_ref())?),
        };
        open.write(batch)
    })?;
    let outlet = outlet.context("the input has no rows")?;
    outlet.finish()?.sync_all()?;
    Ok(made)
}
