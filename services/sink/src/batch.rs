//! Records of one partition that become durable together.

use std::ops::Range;
use std::time::{Duration, Instant};

use millrace_kafka::TopicPartition;

use crate::outputs::OutputColumns;
use crate::row::ResultRecord;

/// When a batch is full or old enough to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roll {
    pub(crate) rows: usize,
    pub(crate) size_bytes: usize,
    pub(crate) age: Duration,
    pub(crate) schemas: Schemas,
}

/// Whether records with differing outputs can stand in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schemas {
    /// One file has one schema.
    One,
    /// Every row brings its own.
    Any,
}

/// Consecutive records of one partition; covers every offset from the end of the batch before it.
pub(crate) struct Batch {
    partition: TopicPartition,
    offsets: Range<i64>,
    records: Vec<ResultRecord>,
    columns: Option<OutputColumns>,
    rows: usize,
    size_bytes: usize,
    first_push: Option<Instant>,
}

impl Batch {
    /// An empty batch that begins at the first offset not yet in the store.
    pub(crate) fn new(partition: TopicPartition, first_offset: i64) -> Self {
        Self {
            partition,
            offsets: first_offset..first_offset,
            records: Vec::new(),
            columns: None,
            rows: 0,
            size_bytes: 0,
            first_push: None,
        }
    }

    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// All offsets that the batch covers, with those that carry no row.
    pub(crate) fn offsets(&self) -> Range<i64> {
        self.offsets.clone()
    }

    /// The records that become rows; dead-lettered ones are not among them.
    pub(crate) fn records(&self) -> &[ResultRecord] {
        &self.records
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the records as they came from Kafka.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The schema of the outputs: that of the first record that has outputs.
    pub(crate) fn columns(&self) -> Option<&OutputColumns> {
        self.columns.as_ref()
    }

    /// Whether the record may join. A failed record has no outputs and joins any batch.
    pub(crate) fn admits(&self, record: &ResultRecord, roll: &Roll) -> bool {
        let (Some(own), Some(other)) = (self.columns(), record.columns()) else {
            return true;
        };
        roll.schemas == Schemas::Any || own == other
    }

    /// Adds a record and with it every offset up to its own.
    pub(crate) fn push(&mut self, record: ResultRecord) {
        self.rows += record.rows();
        if self.columns.is_none() {
            self.columns = record.columns().cloned();
        }
        self.cover(record.offset, record.size_bytes());
        self.records.push(record);
    }

    /// Covers the offset of a record that has no row here, because it went to the dead letters.
    pub(crate) fn cover(&mut self, offset: i64, size_bytes: usize) {
        self.first_push.get_or_insert_with(Instant::now);
        self.offsets.end = offset.saturating_add(1);
        self.size_bytes += size_bytes;
    }

    /// Whether nothing was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Whether the batch should be written, however old it is.
    pub(crate) fn is_full(&self, roll: &Roll) -> bool {
        self.rows >= roll.rows || self.size_bytes >= roll.size_bytes
    }

    /// Whether the batch should be written now.
    pub(crate) fn is_due(&self, roll: &Roll) -> bool {
        let old = |since: Instant| since.elapsed() >= roll.age;
        self.is_full(roll) || self.first_push.is_some_and(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{partition, record_of_failure, record_with};

    const ROLL: Roll = Roll {
        rows: 3,
        size_bytes: 100_000,
        age: Duration::from_secs(3_600),
        schemas: Schemas::One,
    };

    #[test]
    fn covers_the_gap_before_its_first_record() {
        let mut batch = Batch::new(partition("t", 0), 10);
        batch.push(record_with(14, &[1.0]));
        assert_eq!(batch.offsets(), 10..15);
    }

    #[test]
    fn is_due_by_rows_bytes_or_age() {
        let mut batch = Batch::new(partition("t", 0), 0);
        let at_once = Roll {
            age: Duration::ZERO,
            ..ROLL
        };
        assert!(!batch.is_due(&at_once), "nothing to write");
        batch.push(record_with(0, &[1.0, 2.0]));
        assert!(!batch.is_due(&ROLL));
        assert!(batch.is_due(&at_once));
        assert!(batch.is_due(&Roll { rows: 2, ..ROLL }));
        let size_bytes = batch.size_bytes();
        assert!(batch.is_due(&Roll { size_bytes, ..ROLL }));
    }

    #[test]
    fn dead_lettered_record_is_covered_without_a_row() {
        let mut batch = Batch::new(partition("t", 0), 0);
        batch.cover(0, ROLL.size_bytes);
        assert_eq!((batch.rows(), batch.offsets()), (0, 0..1));
        assert!(batch.is_due(&ROLL), "its bytes count");
    }

    #[test]
    fn other_outputs_need_another_batch_where_a_file_has_one_schema() {
        let mut batch = Batch::new(partition("t", 0), 0);
        batch.push(record_of_failure(0));
        let floats = record_with(1, &[1.0]);
        assert!(batch.admits(&floats, &ROLL), "failures have no schema");
        batch.push(floats);
        let texts = crate::testing::record_with_texts(2, &["a"]);
        assert!(!batch.admits(&texts, &ROLL));
        assert!(batch.admits(&record_of_failure(2), &ROLL));
        let any = Roll {
            schemas: Schemas::Any,
            ..ROLL
        };
        assert!(batch.admits(&texts, &any));
    }
}
