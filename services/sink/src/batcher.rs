//! The writer thread of one pipeline: records into batches, batches into the destination, then tickets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use millrace_kafka::{Record, Ticket, TopicPartition};
use tracing::{info, warn};

use crate::claimed::Claimed;
use crate::destinations::WriteError;
use crate::equipment::{Equipment, Settling, Unsettled};
use crate::letters::Letter;
use crate::row::ResultRecord;

/// How often ages are looked at.
const SWEEP: Duration = Duration::from_millis(50);

/// How long a partition may seem ours after another process took it over: a session timeout and some.
const FENCED_GRACE: Duration = Duration::from_secs(60);

/// What the polling thread asks for, in order.
pub(crate) enum Command {
    Claim {
        partitions: Vec<TopicPartition>,
        /// The next offset of each partition; dropped if the thread fails instead.
        answer: Sender<Vec<i64>>,
    },
    Take(Box<Record>, Ticket),
    Flush(Vec<TopicPartition>),
    Release(Vec<TopicPartition>),
}

/// Batches of all partitions that this process owns.
pub(crate) struct Batcher {
    with: Equipment,
    partitions: HashMap<TopicPartition, Claimed>,
    pending_bytes: usize,
    pending_records: usize,
}

impl Batcher {
    pub(crate) fn new(with: Equipment) -> Self {
        with.gate.open();
        Self {
            with,
            partitions: HashMap::new(),
            pending_bytes: 0,
            pending_records: 0,
        }
    }

    /// Works until the other end of `commands` is gone, or nothing more can be written.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) -> anyhow::Result<()> {
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            match commands.recv_deadline(next_sweep) {
                Ok(command) => self.handle(command)?,
                Err(RecvTimeoutError::Timeout) if self.with.is_in_a_hurry() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if Instant::now() >= next_sweep {
                self.sweep()?;
                next_sweep = Instant::now() + SWEEP;
            }
        }
    }

    fn handle(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Claim { partitions, answer } => {
                let mut offsets = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    offsets.push(self.claim(partition)?);
                }
                // Nobody listens any more if the consumer has stopped; then nothing follows.
                let _ = answer.send(offsets);
            }
            Command::Take(record, ticket) => self.take(*record, ticket)?,
            Command::Flush(partitions) => {
                for partition in &partitions {
                    self.flush(partition)?;
                }
            }
            Command::Release(partitions) => {
                for partition in &partitions {
                    self.release(partition);
                }
            }
        }
        Ok(())
    }

    fn claim(&mut self, partition: TopicPartition) -> anyhow::Result<i64> {
        self.release(&partition);
        let next_offset = self
            .with
            .claim(&partition)
            .with_context(|| format!("cannot take over {partition}"))?;
        info!(%partition, next_offset, "partition claimed");
        let last = self.with.writer.unfinished_to(&partition);
        let claimed = Claimed::new(partition.clone(), next_offset).ending_at(last);
        self.partitions.insert(partition, claimed);
        Ok(next_offset)
    }

    fn take(&mut self, record: Record, ticket: Ticket) -> anyhow::Result<()> {
        let partition = ticket.partition().clone();
        let Some(claimed) = self.partitions.get_mut(&partition) else {
            return Ok(()); // Released already: the ticket is void.
        };
        if claimed.fenced_since().is_some() {
            claimed.hold(ticket);
            return Ok(());
        }
        if !claimed.is_next(&record, &self.with.metrics) {
            ticket.done();
            return Ok(());
        }
        if claimed.must_end_before(&record) {
            self.write(&partition)?;
        }
        self.add(record, ticket)?;
        self.write_what_is_full(&partition)
    }

    fn add(&mut self, record: Record, ticket: Ticket) -> anyhow::Result<()> {
        let partition = ticket.partition().clone();
        let size_bytes = record.size_bytes();
        match self.with.parse(record) {
            Ok(row) => {
                let claimed = self.partitions.get(&partition);
                if claimed.is_some_and(|claimed| !claimed.batch.admits(&row)) {
                    self.write(&partition)?;
                }
                self.push(&partition, row, ticket);
            }
            Err(rejected) => {
                let (offset, reason) = (rejected.record.offset, &rejected.reason);
                warn!(%partition, offset, %reason, "result rejected");
                self.with.metrics.dead_letter(reason.label());
                if let Some(claimed) = self.partitions.get_mut(&partition) {
                    if claimed.fenced_since().is_some() {
                        claimed.hold(ticket);
                        return Ok(());
                    }
                    claimed.push_letter(Letter::new(*rejected), ticket);
                    self.pending_bytes += size_bytes;
                    self.pending_records += 1;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, partition: &TopicPartition, row: ResultRecord, ticket: Ticket) {
        if let Some(claimed) = self.partitions.get_mut(partition) {
            if claimed.fenced_since().is_some() {
                claimed.hold(ticket);
                return;
            }
            self.pending_bytes += row.size_bytes();
            self.pending_records += 1;
            claimed.push(row, ticket);
        }
    }

    /// Writes the batch of the partition if it is full, and the largest one when all of them
    /// together hold so much that reading would stop before any is.
    fn write_what_is_full(&mut self, partition: &TopicPartition) -> anyhow::Result<()> {
        let claimed = self.partitions.get(partition);
        if claimed.is_some_and(|claimed| claimed.is_full(&self.with.roll)) {
            return self.write(partition);
        }
        if claimed.is_some_and(|claimed| claimed.is_too_large(self.with.high_bytes)) {
            bail!(
                "the next batch of {partition} must be the one that was not finished, and that does not fit into max_in_flight_bytes; set what it was before"
            );
        }
        if self.pending_bytes < self.with.high_bytes
            && self.pending_records < self.with.high_records
        {
            return Ok(());
        }
        let largest = self
            .partitions
            .iter()
            .filter(|(_, claimed)| claimed.has_work())
            .max_by_key(|(_, claimed)| claimed.pending_records())
            .map(|(partition, _)| partition.clone());
        largest.map_or(Ok(()), |partition| self.write(&partition))
    }

    /// Writes what is old enough, and reports.
    fn sweep(&mut self) -> anyhow::Result<()> {
        let mut due = Vec::new();
        let mut oldest_unix_ms = None;
        for (partition, claimed) in &self.partitions {
            if claimed.is_due(&self.with.roll) {
                due.push(partition.clone());
            }
            if claimed
                .fenced_since()
                .is_some_and(|since| since.elapsed() > FENCED_GRACE)
            {
                return Err(anyhow::Error::new(WriteError::Fenced(partition.clone())))
                    .context("two sinks write to the same destination; give each its own");
            }
            oldest_unix_ms = match (oldest_unix_ms, claimed.oldest_unix_ms()) {
                (Some(a), Some(b)) => Some(std::cmp::min::<i64>(a, b)),
                (a, b) => a.or(b),
            };
        }
        for partition in &due {
            self.write(partition)?;
        }
        self.with.report(self.pending_bytes, oldest_unix_ms);
        Ok(())
    }

    /// Writes what is open of a partition that is about to be given up. A batch that must become
    /// longer first is left to the next owner.
    fn flush(&mut self, partition: &TopicPartition) -> anyhow::Result<()> {
        self.write(partition)?;
        if let Some(claimed) = self.partitions.remove(partition) {
            if claimed.is_incomplete() {
                self.forget_pending(&claimed);
                self.partitions.insert(partition.clone(), claimed.abandon());
            } else {
                self.partitions.insert(partition.clone(), claimed);
            }
        }
        Ok(())
    }

    /// Makes the open batch of a partition durable and ends its tickets.
    fn write(&mut self, partition: &TopicPartition) -> anyhow::Result<()> {
        let Some(mut claimed) = self.partitions.remove(partition) else {
            return Ok(());
        };
        if !claimed.has_work() {
            self.partitions.insert(partition.clone(), claimed);
            return Ok(());
        }
        self.forget_pending(&claimed);
        let records = claimed.pending_records();
        let (batch, letters) = claimed.take_batch();
        let settling = Settling {
            batch,
            letters,
            tenure: claimed.tenure(),
            still_ours: &|| claimed.is_current(),
        };
        let next = match self.with.settle(settling) {
            Ok(()) => {
                self.with.metrics.records.inc_by(records as u64);
                claimed.done()
            }
            Err(Unsettled::Fenced) => {
                warn!(%partition, "partition taken over by another sink; its open batch is void");
                claimed.void()
            }
            Err(Unsettled::Failed(error)) => return Err(error),
            Err(Unsettled::Rejected(sentence)) => {
                let error = anyhow::Error::new(WriteError::Rejected { sentence });
                return Err(error.context(format!("cannot move the progress of {partition}")));
            }
        };
        self.partitions.insert(partition.clone(), next);
        Ok(())
    }

    fn release(&mut self, partition: &TopicPartition) {
        if let Some(claimed) = self.partitions.remove(partition) {
            self.forget_pending(&claimed);
            self.with.writer.release(partition);
            info!(%partition, "partition released");
        }
    }

    fn forget_pending(&mut self, claimed: &Claimed) {
        self.pending_bytes -= claimed.batch.size_bytes();
        self.pending_records -= claimed.pending_records();
    }
}
