//! Records of one partition that become durable together.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use millrace_kafka::{RecordBlock, RecordRef, Tenure, TopicPartition};

use crate::projection::{Columns, fixed, json};
use crate::row::{Rejected, Rejection, ResultRecord};

/// When a batch is full or old enough to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roll {
    pub(crate) rows: usize,
    pub(crate) size_bytes: usize,
    pub(crate) age: Duration,
}

/// A batch in the making; covers every offset from the end of the batch before it.
pub(crate) struct OpenBatch {
    partition: TopicPartition,
    offsets: Range<i64>,
    sources: Sources,
    columns: Columns,
    size_bytes: usize,
    weight_bytes: usize,
    first_push: Option<Instant>,
}

/// What a writer makes durable: consecutive records of one partition, and their rows.
pub(crate) struct Batch {
    partition: TopicPartition,
    offsets: Range<i64>,
    sources: Sources,
    rows: RecordBatch,
    /// The columns with JSON in place of lists, where that was made in advance.
    texts: Option<Vec<ArrayRef>>,
    tenure: Option<Tenure>,
}

/// The records that become rows, as they came: what a destination refuses goes to the dead letters.
/// Those that have gone there already are covered by the batch, but not among them.
#[derive(Default)]
struct Sources {
    blocks: Vec<Arc<RecordBlock>>,
    /// In the order of their offsets: the index of the block, and that of the record in it.
    places: Vec<(usize, usize)>,
}

impl OpenBatch {
    /// An empty batch that begins at the first offset not yet in the store.
    pub(crate) fn new(partition: TopicPartition, first_offset: i64) -> Self {
        Self {
            columns: Columns::new(&partition),
            partition,
            offsets: first_offset..first_offset,
            sources: Sources::default(),
            size_bytes: 0,
            weight_bytes: 0,
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

    /// Bytes of the records as they came from Kafka.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether the record may join: a batch has one schema. A failed record has no outputs and
    /// joins any batch.
    pub(crate) fn admits(&self, record: &ResultRecord<'_>) -> bool {
        self.columns.admit(record)
    }

    /// Adds a record and with it every offset up to its own.
    pub(crate) fn push(&mut self, record: &ResultRecord<'_>) {
        self.weight_bytes += record.weight_bytes();
        self.columns.push(record);
        self.sources.push(record);
        self.cover(record.offset(), record.size_bytes());
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
        let size_bytes = self.size_bytes.max(self.weight_bytes);
        self.columns.instances() >= roll.rows || size_bytes >= roll.size_bytes
    }

    /// Whether the batch should be written now.
    pub(crate) fn is_due(&self, roll: &Roll) -> bool {
        let old = |since: Instant| since.elapsed() >= roll.age;
        self.is_full(roll) || self.first_push.is_some_and(old)
    }

    /// The records as rows.
    pub(crate) fn close(self) -> Result<Batch, ArrowError> {
        Ok(Batch {
            partition: self.partition,
            offsets: self.offsets,
            sources: self.sources,
            rows: self.columns.finish()?,
            texts: None,
            tenure: None,
        })
    }
}

impl Sources {
    fn push(&mut self, record: &ResultRecord<'_>) {
        let (block, index) = record.place();
        let last = self.blocks.last();
        if !last.is_some_and(|last| Arc::ptr_eq(last, block)) {
            self.blocks.push(Arc::clone(block));
        }
        self.places.push((self.blocks.len() - 1, index));
    }

    fn get(&self, (block, index): (usize, usize)) -> RecordRef<'_> {
        self.blocks[block].get(index)
    }

    /// Keeps the first half; the other one is returned.
    fn split(&mut self) -> Self {
        Self {
            blocks: self.blocks.clone(),
            places: self.places.split_off(self.places.len() / 2),
        }
    }
}

impl Batch {
    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// All offsets that the batch covers, with those that carry no row.
    pub(crate) fn offsets(&self) -> Range<i64> {
        self.offsets.clone()
    }

    /// Notes under which hold of the partition the records were read.
    pub(crate) fn held_by(self, tenure: Option<Tenure>) -> Self {
        Self { tenure, ..self }
    }

    /// Makes in advance what [`Batch::lists_as_texts`] answers.
    pub(crate) fn with_texts(self) -> Self {
        // What fails here fails again where the answer is wanted, and is dealt with there.
        let texts = json::lists_as_texts(&self.rows).ok();
        Self { texts, ..self }
    }

    /// The columns of the rows, with JSON texts in place of lists.
    pub(crate) fn lists_as_texts(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        match &self.texts {
            Some(texts) => Ok(texts.clone()),
            None => json::lists_as_texts(&self.rows),
        }
    }

    /// The hold of the partition under which the records were read.
    pub(crate) fn tenure(&self) -> Option<&Tenure> {
        self.tenure.as_ref()
    }

    /// Records that become rows.
    pub(crate) fn records(&self) -> usize {
        self.sources.places.len()
    }

    /// The fixed columns, then the outputs; nothing but the fixed columns if no request succeeded.
    pub(crate) fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Two batches of half as many records each, which together cover the same offsets.
    /// A single record comes back as the error.
    pub(crate) fn halves(mut self) -> Result<(Self, Self), Box<Self>> {
        if self.records() < 2 {
            return Err(Box::new(self));
        }
        let later = self.sources.split();
        let middle = later.get(later.places[0]).offset();
        let rows = fixed::offsets(&self.rows).partition_point(|&offset| offset < middle);
        let rest = self.rows.slice(rows, self.rows.num_rows() - rows);
        let part = |texts: &Vec<ArrayRef>, start: usize, length: usize| -> Vec<ArrayRef> {
            texts.iter().map(|it| it.slice(start, length)).collect()
        };
        let second = Self {
            partition: self.partition.clone(),
            offsets: middle..self.offsets.end,
            sources: later,
            texts: self
                .texts
                .as_ref()
                .map(|it| part(it, rows, rest.num_rows())),
            rows: rest,
            tenure: self.tenure.clone(),
        };
        let first = Self {
            offsets: self.offsets.start..middle,
            texts: self.texts.as_ref().map(|it| part(it, 0, rows)),
            rows: self.rows.slice(0, rows),
            ..self
        };
        Ok((first, second))
    }

    /// The same offsets without rows, and the records that would have had them.
    pub(crate) fn refuse(self, sentence: &str) -> (Self, Vec<Rejected>) {
        let refused = |&place: &(usize, usize)| Rejected {
            record: self.sources.get(place).to_record(),
            reason: Rejection::Refused {
                sentence: sentence.to_owned(),
            },
        };
        let rejected = self.sources.places.iter().map(refused).collect();
        let empty = Self {
            rows: self.rows.slice(0, 0),
            texts: None,
            sources: Sources::default(),
            ..self
        };
        (empty, rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{partition, record_of_failure, record_with, record_with_texts};

    const ROLL: Roll = Roll {
        rows: 3,
        size_bytes: 100_000,
        age: Duration::from_secs(3_600),
    };

    #[test]
    fn covers_the_gap_before_its_first_record() {
        let mut batch = OpenBatch::new(partition("t", 0), 10);
        batch.push(&record_with(14, &[1.0]));
        assert_eq!(batch.offsets(), 10..15);
    }

    #[test]
    fn is_due_by_rows_bytes_or_age() {
        let mut batch = OpenBatch::new(partition("t", 0), 0);
        let at_once = Roll {
            age: Duration::ZERO,
            ..ROLL
        };
        assert!(!batch.is_due(&at_once), "nothing to write");
        batch.push(&record_with(0, &[1.0, 2.0]));
        assert!(!batch.is_due(&ROLL));
        assert!(batch.is_due(&at_once));
        assert!(batch.is_due(&Roll { rows: 2, ..ROLL }));
        let size_bytes = batch.size_bytes();
        assert!(batch.is_due(&Roll { size_bytes, ..ROLL }));
    }

    #[test]
    fn dead_lettered_record_is_covered_without_a_row() {
        let mut batch = OpenBatch::new(partition("t", 0), 0);
        batch.cover(0, ROLL.size_bytes);
        assert!(batch.is_due(&ROLL), "its bytes count");
        let batch = batch.close().unwrap();
        assert_eq!((batch.rows().num_rows(), batch.offsets()), (0, 0..1));
    }

    #[test]
    fn other_outputs_need_another_batch() {
        let mut batch = OpenBatch::new(partition("t", 0), 0);
        batch.push(&record_of_failure(0));
        let floats = record_with(1, &[1.0]);
        assert!(batch.admits(&floats), "failures have no schema");
        batch.push(&floats);
        assert!(batch.admits(&record_with(2, &[2.0])));
        assert!(!batch.admits(&record_with_texts(2, &["a"])));
        assert!(batch.admits(&record_of_failure(2)));
    }

    #[test]
    fn halves_cover_the_same_offsets_and_rows() {
        let mut batch = OpenBatch::new(partition("t", 0), 3);
        for (offset, values) in [(5, &[1.0, 2.0][..]), (7, &[3.0]), (9, &[4.0, 5.0])] {
            batch.push(&record_with(offset, values));
        }
        batch.cover(12, 1);
        let batch = batch.close().unwrap().with_texts();
        let Ok((first, second)) = batch.halves() else {
            panic!("three records can be halved");
        };
        assert_eq!((first.offsets(), second.offsets()), (3..7, 7..13));
        assert_eq!((first.rows().num_rows(), second.rows().num_rows()), (2, 3));
        let texts = |batch: &Batch| batch.lists_as_texts().unwrap()[0].len();
        assert_eq!((texts(&first), texts(&second)), (2, 3));
        let (empty, rejected) = first.refuse("no room");
        assert_eq!((empty.offsets(), empty.rows().num_rows()), (3..7, 0));
        assert_eq!(rejected[0].record.offset, 5);
        assert!(rejected[0].record.value.is_some(), "the original bytes");
    }
}
