//! One partition that this process owns: its open batch, and what waits for that batch.

use millrace_boot::trace::{self, Place};
use millrace_kafka::{RecordRef, Tenure, Ticket, TopicPartition};
use tracing::warn;

use crate::batch::{OpenBatch, Roll};
use crate::letters::Letter;
use crate::metrics::PipelineMetrics;
use crate::row::ResultRecord;

pub(crate) struct Claimed {
    pub(crate) batch: OpenBatch,
    /// Dead letters that the batch covers; delivered before it is written.
    pub(crate) letters: Vec<Letter>,
    /// Of all records that the batch covers.
    tickets: Vec<Ticket>,
    /// Records that the batch covers.
    records: usize,
    oldest_unix_ms: Option<i64>,
    /// Where the recorded ones of its records are in their traces.
    traces: Vec<Place>,
    /// Nothing was read since the partition was claimed.
    fresh: bool,
    repeats_reported: bool,
    /// The open batch must end at this offset, and nowhere else.
    unfinished_to: Option<i64>,
}

impl Claimed {
    pub(crate) fn new(partition: TopicPartition, next_offset: i64) -> Self {
        Self {
            batch: OpenBatch::new(partition, next_offset),
            letters: Vec::new(),
            tickets: Vec::new(),
            records: 0,
            oldest_unix_ms: None,
            traces: Vec::new(),
            fresh: true,
            repeats_reported: false,
            unfinished_to: None,
        }
    }

    /// The same, with a batch that must end at `last`.
    pub(crate) fn ending_at(mut self, last: Option<i64>) -> Self {
        self.unfinished_to = last;
        self
    }

    pub(crate) fn push(&mut self, row: &ResultRecord<'_>) {
        self.oldest_unix_ms = self.oldest_unix_ms.or(row.recorded_at_unix_ms());
        self.batch.push(row);
        self.records += 1;
    }

    /// Takes a record that becomes a dead letter instead of rows.
    pub(crate) fn push_letter(&mut self, letter: Letter) {
        self.batch.cover(letter.offset(), letter.size_bytes());
        self.letters.push(letter);
        self.records += 1;
    }

    /// Notes the trace that a record carries, if it is recorded; a batch needs no more than so many.
    pub(crate) fn note_trace(&mut self, record: RecordRef<'_>) {
        if !trace::is_on() || self.traces.len() >= trace::MOST_LINKS {
            return;
        }
        let place = trace_of(record.headers());
        self.traces.extend(place.filter(Place::is_sampled));
    }

    /// Holds the ticket of records that the batch covers.
    pub(crate) fn hold(&mut self, ticket: Option<Ticket>) {
        self.tickets.extend(ticket);
    }

    /// The time of the oldest record that waits.
    pub(crate) fn oldest_unix_ms(&self) -> Option<i64> {
        self.oldest_unix_ms
    }

    /// Whether there is a batch that may be written.
    pub(crate) fn has_work(&self) -> bool {
        !self.batch.is_empty() && !self.is_incomplete()
    }

    /// Whether the batch must become longer before it is written.
    pub(crate) fn is_incomplete(&self) -> bool {
        let end = self.batch.offsets().end;
        self.unfinished_to.is_some_and(|last| end <= last)
    }

    /// Whether the batch should be written before the record at this offset.
    pub(crate) fn must_end_before(&mut self, offset: i64) -> bool {
        match self.unfinished_to {
            Some(last) if offset > last => {
                // Retention may have removed the record at that offset.
                self.batch.cover(last, 0);
                true
            }
            _ => false,
        }
    }

    /// Whether the batch should be written now.
    pub(crate) fn is_due(&self, roll: &Roll) -> bool {
        match self.unfinished_to {
            Some(_) => !self.is_incomplete(),
            None => self.batch.is_due(roll),
        }
    }

    /// Whether the batch should be written, however old it is.
    pub(crate) fn is_full(&self, roll: &Roll) -> bool {
        match self.unfinished_to {
            Some(_) => !self.is_incomplete(),
            None => self.batch.is_full(roll),
        }
    }

    /// Whether a batch that is not complete takes nearly all that may be read and not written:
    /// batches are written at half of that, so there was more room when it was begun.
    pub(crate) fn is_too_large(&self, high_bytes: usize) -> bool {
        self.is_incomplete() && self.batch.size_bytes() > high_bytes + high_bytes / 2
    }

    /// Gives up a batch that will not become complete here; its tickets end undone.
    pub(crate) fn abandon(&mut self) {
        let first_offset = self.batch.offsets().start;
        let partition = self.batch.partition().clone();
        *self = Self::new(partition, first_offset).ending_at(self.unfinished_to);
    }

    pub(crate) fn pending_records(&self) -> usize {
        self.records
    }

    /// Whether the record at this offset is beyond what the destination has; gaps and repeats are counted.
    pub(crate) fn is_next(&mut self, found: i64, metrics: &PipelineMetrics) -> bool {
        let wanted = self.batch.offsets().end;
        let partition = self.batch.partition();
        if found < wanted {
            metrics.already_written.inc();
            if !self.repeats_reported {
                self.repeats_reported = true;
                warn!(%partition, wanted, found, "records are written already; if the topic was made anew, use a new destination");
            }
            return false;
        }
        if let Ok(skipped @ 1..) = u64::try_from(found - wanted) {
            metrics.skipped_offsets.inc_by(skipped);
            if self.fresh {
                warn!(%partition, wanted, found, "the topic no longer has the next record; going on with the first that it has");
            }
        }
        self.fresh = false;
        true
    }

    /// What is to be written; from here on the open batch is the empty one after it.
    pub(crate) fn take(&mut self) -> Taken {
        let next = Self::new(self.batch.partition().clone(), self.batch.offsets().end);
        let next = Self {
            fresh: false,
            repeats_reported: self.repeats_reported,
            ..next
        };
        let taken = std::mem::replace(self, next);
        Taken {
            tenure: taken.tickets.first().map(Ticket::tenure),
            batch: taken.batch,
            letters: taken.letters,
            tickets: taken.tickets,
            records: taken.records,
            oldest_unix_ms: taken.oldest_unix_ms,
            traces: taken.traces,
        }
    }
}

/// A batch on its way to the destination, with all that belongs to it.
pub(crate) struct Taken {
    pub(crate) batch: OpenBatch,
    pub(crate) letters: Vec<Letter>,
    pub(crate) tickets: Vec<Ticket>,
    /// The hold of the partition under which the records were read.
    pub(crate) tenure: Option<Tenure>,
    pub(crate) records: usize,
    pub(crate) oldest_unix_ms: Option<i64>,
    pub(crate) traces: Vec<Place>,
}

/// The place in a trace that a record's headers name.
pub(crate) fn trace_of<'a>(
    mut headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> Option<Place> {
    let (_, value) = headers.find(|(name, _)| *name == trace::TRACEPARENT)?;
    Place::parse(value?)
}
