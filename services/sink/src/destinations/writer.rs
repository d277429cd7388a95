//! The seam to destinations: a writer makes whole batches durable, and knows from its own store where to go on.

use millrace_kafka::TopicPartition;

use crate::batch::Batch;

/// A destination. It keeps its own progress, so that rows and progress cannot disagree after a crash.
pub(crate) trait Writer: Send {
    /// Becomes the owner of a partition, which ends the ownership of any other process,
    /// and answers the offset of the first record that is not in the store.
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError>;

    /// If a batch was not finished when its owner died and must be the same again: its last
    /// offset. The next batch then ends there and nowhere else.
    fn unfinished_to(&self, _partition: &TopicPartition) -> Option<i64> {
        None
    }

    /// Whether it writes lists as JSON: see [`Batch::lists_as_texts`].
    fn takes_texts(&self) -> bool {
        false
    }

    /// Makes the batch and the progress to its end durable: both or neither.
    /// After [`WriteError::Transient`] the same batch may be given again.
    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError>;

    /// Forgets a partition that this process no longer owns.
    fn release(&mut self, partition: &TopicPartition);
}

/// What one batch became.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Files that became visible.
    pub(crate) files: u64,
    /// Size of the rows as stored, where the destination knows it.
    pub(crate) size_bytes: u64,
}

/// Why a batch is not durable, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The disk is full, the database is locked: the same batch may succeed later.
    #[error("the destination is out of order for now")]
    Transient(#[source] anyhow::Error),
    /// Another process owns the partition now; what this one holds of it is void.
    #[error("partition {0} was taken over by another sink, or its progress was removed")]
    Fenced(TopicPartition),
    /// The destination will never take something in this batch; the rest of it may be taken.
    #[error("the destination refuses the rows: {sentence}")]
    Rejected {
        /// The destination's own words.
        sentence: String,
    },
    /// Waiting does not help.
    #[error("the destination cannot be written")]
    Fatal(#[source] anyhow::Error),
}

impl WriteError {
    /// The error beneath, for a start that fails.
    pub(crate) fn into_cause(self) -> anyhow::Error {
        match self {
            Self::Transient(cause) | Self::Fatal(cause) => cause,
            other => anyhow::Error::new(other),
        }
    }
}
