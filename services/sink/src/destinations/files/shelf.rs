//! Where files become visible: the seam between what is written and a local folder or an object store.

use millrace_kafka::TopicPartition;

use super::super::WriteError;

/// A place for files. It says by the names of what is there how far each partition is stored.
pub(super) trait Shelf: Send {
    /// Becomes the owner of a partition and answers what is there of it.
    fn claim(&mut self, partition: &TopicPartition) -> Result<Stock, WriteError>;

    /// Makes the files of one batch visible, the last of them last, unless another process owns
    /// the partition now. A file is never replaced.
    fn publish(&mut self, delivery: &Delivery<'_>) -> Result<(), WriteError>;
}

/// What a place holds of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stock {
    /// The first offset that is not stored.
    pub(super) next_offset: i64,
    /// A batch that ends here was being made visible when its owner died. Since some of its
    /// files may be there, the next batch must be the same.
    pub(super) unfinished_to: Option<i64>,
}

/// The files of one batch.
pub(super) struct Delivery<'a> {
    pub(super) partition: &'a TopicPartition,
    /// The first and the last offset that the batch covers.
    pub(super) offsets: (i64, i64),
    /// Format and partition folders: what must be the same for a batch to become the same files.
    pub(super) layout: &'a str,
    /// At least one.
    pub(super) files: &'a [NewFile],
}

/// A whole file, still in memory.
pub(super) struct NewFile {
    /// Below the folder of the topic; empty for that folder itself.
    pub(super) folder: String,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}
