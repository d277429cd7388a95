//! One partition that this process owns: its open batch, and what waits for that batch.

use std::time::Instant;

use millrace_kafka::{Record, Tenure, Ticket, TopicPartition};
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
    oldest_unix_ms: Option<i64>,
    /// Nothing was read since the partition was claimed.
    fresh: bool,
    repeats_reported: bool,
    fenced_since: Option<Instant>,
    /// The open batch must end at this offset, and nowhere else.
    unfinished_to: Option<i64>,
}

impl Claimed {
    pub(crate) fn new(partition: TopicPartition, next_offset: i64) -> Self {
        Self {
            batch: OpenBatch::new(partition, next_offset),
            letters: Vec::new(),
            tickets: Vec::new(),
            oldest_unix_ms: None,
            fresh: true,
            repeats_reported: false,
            fenced_since: None,
            unfinished_to: None,
        }
    }

    /// The same, with a batch that must end at `last`.
    pub(crate) fn ending_at(mut self, last: Option<i64>) -> Self {
        self.unfinished_to = last;
        self
    }

    pub(crate) fn push(&mut self, row: ResultRecord, ticket: Ticket) {
        self.oldest_unix_ms = self.oldest_unix_ms.or(row.recorded_at_unix_ms());
        self.batch.push(row);
        self.tickets.push(ticket);
    }

    /// Takes a record that becomes a dead letter instead of rows.
    pub(crate) fn push_letter(&mut self, letter: Letter, ticket: Ticket) {
        self.batch.cover(letter.offset(), letter.size_bytes());
        self.letters.push(letter);
        self.tickets.push(ticket);
    }

    /// Holds a ticket of a partition that is another process's now, until it is released.
    pub(crate) fn hold(&mut self, ticket: Ticket) {
        self.tickets.push(ticket);
    }

    /// Since when another process has owned the partition, if one does.
    pub(crate) fn fenced_since(&self) -> Option<Instant> {
        self.fenced_since
    }

    /// The time of the oldest record that waits.
    pub(crate) fn oldest_unix_ms(&self) -> Option<i64> {
        self.oldest_unix_ms
    }

    /// Whether there is a batch that may be written.
    pub(crate) fn has_work(&self) -> bool {
        self.fenced_since.is_none() && !self.batch.is_empty() && !self.is_incomplete()
    }

    /// Whether the batch must become longer before it is written.
    pub(crate) fn is_incomplete(&self) -> bool {
        let end = self.batch.offsets().end;
        self.unfinished_to.is_some_and(|last| end <= last)
    }

    /// Whether the batch should be written before this record.
    pub(crate) fn must_end_before(&mut self, record: &Record) -> bool {
        match self.unfinished_to {
            Some(last) if record.offset > last => {
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
    pub(crate) fn abandon(self) -> Self {
        let first_offset = self.batch.offsets().start;
        let partition = self.batch.partition().clone();
        Self::new(partition, first_offset).ending_at(self.unfinished_to)
    }

    pub(crate) fn pending_records(&self) -> usize {
        match self.fenced_since {
            Some(_) => 0,
            None => self.tickets.len(),
        }
    }

    /// Whether the consumer still believes that the partition is ours.
    pub(crate) fn is_current(&self) -> bool {
        self.tickets.iter().all(Ticket::is_current)
    }

    /// The hold of the partition, once something was read under it.
    pub(crate) fn tenure(&self) -> Option<Tenure> {
        self.tickets.first().map(Ticket::tenure)
    }

    /// Whether the record is beyond what the destination has; gaps and repeats are counted.
    pub(crate) fn is_next(&mut self, record: &Record, metrics: &PipelineMetrics) -> bool {
        let wanted = self.batch.offsets().end;
        let (partition, found) = (self.batch.partition(), record.offset);
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
    pub(crate) fn take_batch(&mut self) -> (OpenBatch, Vec<Letter>) {
        let next = OpenBatch::new(self.batch.partition().clone(), self.batch.offsets().end);
        let batch = std::mem::replace(&mut self.batch, next);
        (batch, std::mem::take(&mut self.letters))
    }

    /// What was taken is durable: ends the tickets and goes on after it.
    pub(crate) fn done(self) -> Self {
        let next_offset = self.batch.offsets().end;
        let partition = self.batch.partition().clone();
        for ticket in self.tickets {
            ticket.done();
        }
        Self {
            fresh: false,
            repeats_reported: self.repeats_reported,
            ..Self::new(partition, next_offset)
        }
    }

    /// What was taken can never be written: holds its tickets, unfinished, until the partition is released.
    pub(crate) fn void(self) -> Self {
        let next_offset = self.batch.offsets().end;
        Self {
            tickets: self.tickets,
            fenced_since: Some(Instant::now()),
            ..Self::new(self.batch.partition().clone(), next_offset)
        }
    }
}
