//! The building thread of one pipeline: blocks of records into batches of rows, for the writing thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use millrace_kafka::{RecordBlock, Ticket, TopicPartition};
use millrace_wire::Decoder;
use tracing::field::display;
use tracing::{info, warn};

use crate::batch::Roll;
use crate::claimed::{Claimed, trace_of};
use crate::fetching::{Fetching, NoValue};
use crate::handover::{Handover, Job, Settlement};
use crate::letters::Letter;
use crate::metrics::PipelineMetrics;
use crate::projection::Projection;
use crate::row::{Found, Rejected, ResultRecord};
use crate::share::Share;

/// How often ages are looked at.
const SWEEP: Duration = Duration::from_millis(50);

/// What the polling thread asks for, in order.
pub(crate) enum Command {
    Claim {
        partitions: Vec<TopicPartition>,
        /// The next offset of each partition; dropped if the pipeline fails instead.
        answer: Sender<Vec<i64>>,
    },
    Take(Arc<RecordBlock>, Ticket),
    Flush(Vec<TopicPartition>),
    Release(Vec<TopicPartition>),
}

/// How records become batches.
pub(crate) struct Workshop {
    pub(crate) decoder: Decoder,
    pub(crate) projection: Projection,
    pub(crate) fetching: Fetching,
    pub(crate) roll: Roll,
    /// Batches are written early when together they hold more than this.
    pub(crate) high_bytes: usize,
    pub(crate) high_records: usize,
    pub(crate) metrics: PipelineMetrics,
}

/// Batches of all partitions that this process owns.
pub(crate) struct Batcher {
    with: Workshop,
    handover: Handover,
    partitions: HashMap<TopicPartition, Claimed>,
    pending_bytes: usize,
    pending_records: usize,
}

impl Batcher {
    pub(crate) fn new(with: Workshop, handover: Handover) -> Self {
        Self {
            with,
            handover,
            partitions: HashMap::new(),
            pending_bytes: 0,
            pending_records: 0,
        }
    }

    /// Works until the other end of `commands` is gone, or the writing thread is.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) -> anyhow::Result<()> {
        let mut next_sweep = Instant::now() + SWEEP;
        while !self.handover.is_over() {
            match commands.recv_deadline(next_sweep) {
                Ok(command) => self.handle(command)?,
                Err(RecvTimeoutError::Timeout) if self.handover.is_in_a_hurry() => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_sweep {
                self.sweep()?;
                next_sweep = Instant::now() + SWEEP;
            }
        }
        Ok(())
    }

    fn handle(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Claim { partitions, answer } => {
                let mut offsets = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    let Some(next_offset) = self.claim(partition) else {
                        return Ok(());
                    };
                    offsets.push(next_offset);
                }
                // Nobody listens any more if the consumer has stopped; then nothing follows.
                let _ = answer.send(offsets);
            }
            Command::Take(block, ticket) => self.take(&block, ticket)?,
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

    /// `None` if the writing thread is gone, which says why.
    fn claim(&mut self, partition: TopicPartition) -> Option<i64> {
        self.release(&partition);
        let (answer, settled) = bounded(1);
        let wanted = partition.clone();
        self.handover.send(Job::Claim { wanted, answer });
        let Settlement {
            next_offset,
            unfinished_to,
        } = settled.recv().ok()?;
        info!(%partition, next_offset, "partition claimed");
        let claimed = Claimed::new(partition.clone(), next_offset).ending_at(unfinished_to);
        self.partitions.insert(partition, claimed);
        Some(next_offset)
    }

    fn take(&mut self, block: &Arc<RecordBlock>, ticket: Ticket) -> anyhow::Result<()> {
        let Some(mut claimed) = self.partitions.remove(block.partition()) else {
            return Ok(()); // Released already: the ticket is void.
        };
        let taken = self.take_into(&mut claimed, block, ticket);
        self.partitions.insert(block.partition().clone(), claimed);
        if taken? == Taking::Void {
            // A later record must not be written without the one that was left out.
            self.release(block.partition());
        }
        self.write_if_crowded()
    }

    fn take_into(
        &mut self,
        claimed: &mut Claimed,
        block: &Arc<RecordBlock>,
        ticket: Ticket,
    ) -> anyhow::Result<Taking> {
        let mut ticket = Share::new(block, ticket);
        for index in 0..block.len() {
            let offset = block.get(index).offset();
            if !claimed.is_next(offset, &self.with.metrics) {
                claimed.hold(ticket.up_to(index));
                if let Some(written) = ticket.up_to(index + 1) {
                    written.done();
                }
                continue;
            }
            if claimed.must_end_before(offset) {
                claimed.hold(ticket.up_to(index));
                self.write(claimed)?;
            }
            match self.fetch(claimed, (block, index), &mut ticket) {
                Ok(fetched) => {
                    let fetched = fetched.as_deref();
                    let found = Found {
                        block,
                        index,
                        fetched,
                    };
                    self.take_one(claimed, found, &mut ticket)?;
                }
                Err(NoValue::Rejected(reason)) => {
                    let record = block.get(index).to_record();
                    self.push_letter(claimed, Rejected { record, reason });
                }
                Err(NoValue::Unwanted) => return Ok(Taking::Void),
                Err(NoValue::Failed(error)) => return Err(error),
            }
            claimed.note_trace(block.get(index));
            if claimed.is_full(&self.with.roll) {
                claimed.hold(ticket.up_to(index + 1));
                self.write(claimed)?;
            }
        }
        claimed.hold(ticket.up_to(block.len()));
        Ok(Taking::Whole)
    }

    fn take_one(
        &mut self,
        claimed: &mut Claimed,
        found: Found<'_>,
        ticket: &mut Share<'_>,
    ) -> anyhow::Result<()> {
        let (decoder, projection) = (&mut self.with.decoder, &mut self.with.projection);
        let row = match ResultRecord::parse(found, decoder, projection) {
            Ok(row) => row,
            Err(rejected) => {
                self.push_letter(claimed, *rejected);
                return Ok(());
            }
        };
        if !claimed.batch.admits(&row) {
            claimed.hold(ticket.up_to(found.index));
            self.write(claimed)?;
        }
        self.pending_bytes += row.size_bytes();
        self.pending_records += 1;
        claimed.push(&row);
        Ok(())
    }

    /// The value of a record that has none itself; it counts as in flight before it is here.
    fn fetch(
        &self,
        claimed: &mut Claimed,
        (block, index): (&RecordBlock, usize),
        ticket: &mut Share<'_>,
    ) -> Result<Option<Vec<u8>>, NoValue> {
        let fetching = &self.with.fetching;
        let claim = fetching.claim_of(block.get(index));
        let Some(object) = claim.map_err(NoValue::Rejected)? else {
            return Ok(None);
        };
        claimed.hold(ticket.up_to(index));
        ticket.grow(usize::try_from(object.length).unwrap_or(0));
        let is_wanted =
            || ticket.is_current() && !self.handover.is_over() && !self.handover.is_in_a_hurry();
        fetching.fetch(&object, &is_wanted).map(Some)
    }

    fn push_letter(&mut self, claimed: &mut Claimed, rejected: Rejected) {
        let letter = self.letter(rejected);
        self.pending_bytes += letter.size_bytes();
        self.pending_records += 1;
        claimed.push_letter(letter);
    }

    fn letter(&self, rejected: Rejected) -> Letter {
        let (record, reason) = (&rejected.record, &rejected.reason);
        let trace_id = trace_of(record.headers.iter()).map(|place| display(place.trace_id()));
        warn!(trace_id, topic = &*record.topic, partition = record.partition, offset = record.offset, %reason, "result rejected");
        self.with.metrics.dead_letter(reason.label());
        Letter::new(rejected)
    }

    /// Writes the largest batch when all of them together hold so much that reading would stop
    /// before any is full.
    fn write_if_crowded(&mut self) -> anyhow::Result<()> {
        if self.pending_bytes < self.with.high_bytes
            && self.pending_records < self.with.high_records
        {
            return Ok(());
        }
        let mut partitions = self.partitions.iter();
        if let Some((partition, _)) =
            partitions.find(|(_, claimed)| claimed.is_too_large(self.with.high_bytes))
        {
            bail!(
                "the next batch of {partition} must be the one that was not finished, and that does not fit into max_in_flight_bytes; set what it was before"
            );
        }
        let largest = self
            .partitions
            .iter()
            .filter(|(_, claimed)| claimed.has_work())
            .max_by_key(|(_, claimed)| claimed.pending_records())
            .map(|(partition, _)| partition.clone());
        largest.map_or(Ok(()), |partition| self.write_of(&partition))
    }

    /// Writes what is old enough, and reports.
    fn sweep(&mut self) -> anyhow::Result<()> {
        let mut due = Vec::new();
        let mut oldest_unix_ms = None;
        for (partition, claimed) in &self.partitions {
            if claimed.is_due(&self.with.roll) {
                due.push(partition.clone());
            }
            oldest_unix_ms = match (oldest_unix_ms, claimed.oldest_unix_ms()) {
                (Some(a), Some(b)) => Some(std::cmp::min::<i64>(a, b)),
                (a, b) => a.or(b),
            };
        }
        for partition in &due {
            self.write_of(partition)?;
        }
        self.handover.report(self.pending_bytes, oldest_unix_ms);
        Ok(())
    }

    /// Writes what is open of a partition that is about to be given up. A batch that must become
    /// longer first is left to the next owner.
    fn flush(&mut self, partition: &TopicPartition) -> anyhow::Result<()> {
        self.write_of(partition)?;
        let is_incomplete = |claimed: &&mut Claimed| claimed.is_incomplete();
        if let Some(claimed) = self.partitions.get_mut(partition).filter(is_incomplete) {
            self.pending_bytes -= claimed.batch.size_bytes();
            self.pending_records -= claimed.pending_records();
            claimed.abandon();
        }
        Ok(())
    }

    fn write_of(&mut self, partition: &TopicPartition) -> anyhow::Result<()> {
        let Some(mut claimed) = self.partitions.remove(partition) else {
            return Ok(());
        };
        let written = self.write(&mut claimed);
        self.partitions.insert(partition.clone(), claimed);
        written
    }

    /// Hands the open batch of a partition over to be made durable.
    fn write(&mut self, claimed: &mut Claimed) -> anyhow::Result<()> {
        if !claimed.has_work() {
            return Ok(());
        }
        self.pending_bytes -= claimed.batch.size_bytes();
        self.pending_records -= claimed.pending_records();
        self.handover.write(claimed.take())
    }

    fn release(&mut self, partition: &TopicPartition) {
        if let Some(claimed) = self.partitions.remove(partition) {
            self.pending_bytes -= claimed.batch.size_bytes();
            self.pending_records -= claimed.pending_records();
            self.handover.send(Job::Release(partition.clone()));
            info!(%partition, "partition released");
        }
    }
}

/// What became of a block.
#[derive(PartialEq, Eq)]
enum Taking {
    Whole,
    /// Nothing of its partition counts any more.
    Void,
}
