//! Who owns a partition and where it goes on: a row of the progress table, whatever the database.

use std::collections::HashMap;

use millrace_kafka::TopicPartition;

use crate::batch::Batch;
use crate::destinations::WriteError;

/// The progress table stands beside the results.
pub(crate) const PROGRESS: &str = "millrace_progress";

/// What the owner of a partition knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owned {
    /// Grows with every claim; only the holder of the newest may write.
    pub(crate) epoch: i64,
    /// The first offset that is not in the table.
    pub(crate) next_offset: i64,
}

/// The epochs under which partitions are owned.
pub(crate) type Epochs = HashMap<TopicPartition, i64>;

/// Where the progress must stand before the batch, and where it will after it.
///
/// # Errors
/// The partition is not owned.
pub(crate) fn ends_of(batch: &Batch, epochs: &Epochs) -> Result<(Owned, Owned), WriteError> {
    let partition = batch.partition();
    let Some(&epoch) = epochs.get(partition) else {
        return Err(WriteError::Fenced(partition.clone()));
    };
    let owned = |next_offset| Owned { epoch, next_offset };
    let offsets = batch.offsets();
    Ok((owned(offsets.start), owned(offsets.end)))
}

/// Tells apart why the progress did not stand where the batch begins. Either an earlier attempt did
/// commit although it seemed to fail: then the rows are there. Or another process owns the
/// partition: then they must not come.
pub(crate) fn already_written(
    found: Option<Owned>,
    end: Owned,
    partition: &TopicPartition,
) -> Result<(), WriteError> {
    match found {
        Some(owned) if owned == end => Ok(()),
        _ => Err(WriteError::Fenced(partition.clone())),
    }
}
