//! The writing thread of one pipeline: batches into the destination, then their tickets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::RecvTimeoutError;
use millrace_boot::trace::{Kind, Place, Span};
use millrace_kafka::{Ticket, TopicPartition};
use tracing::warn;

use crate::destinations::WriteError;
use crate::equipment::{Equipment, Settling, Unsettled};
use crate::handover::{Job, Parcel, Settlement, Takeover, age_of};

/// How often is looked whether a partition that another process has taken over was released here.
const GLANCE: Duration = Duration::from_millis(500);

/// How long a partition may seem ours after another process took it over: a session timeout and some.
const FENCED_GRACE: Duration = Duration::from_secs(60);

pub(crate) struct Settler {
    with: Equipment,
    takeover: Takeover,
    /// Partitions that another process owns although they were not released here: what comes of
    /// them is void. Their tickets stay unfinished until they are released.
    lost: HashMap<TopicPartition, Lost>,
}

struct Lost {
    since: Instant,
    tickets: Vec<Ticket>,
}

impl Settler {
    pub(crate) fn new(with: Equipment, takeover: Takeover) -> Self {
        with.gate.open();
        Self {
            with,
            takeover,
            lost: HashMap::new(),
        }
    }

    /// Works until the building thread is gone, or nothing more can be written.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.takeover.jobs.recv_timeout(GLANCE) {
                Ok(Job::Claim { wanted, answer }) => {
                    let settlement = self.claim(&wanted)?;
                    // Nobody listens any more if the consumer has stopped; then nothing follows.
                    let _ = answer.send(settlement);
                }
                Ok(Job::Write(parcel)) => {
                    let settled = self.write(*parcel);
                    self.takeover.settled();
                    settled?;
                }
                Ok(Job::Release(partition)) => {
                    self.lost.remove(&partition);
                    self.with.writer.release(&partition);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.check_lost()?;
        }
    }

    fn claim(&mut self, partition: &TopicPartition) -> anyhow::Result<Settlement> {
        self.lost.remove(partition);
        let next_offset = self
            .with
            .claim(partition)
            .with_context(|| format!("cannot take over {partition}"))?;
        Ok(Settlement {
            next_offset,
            unfinished_to: self.with.writer.unfinished_to(partition),
        })
    }

    /// Makes a batch durable and ends its tickets.
    fn write(&mut self, parcel: Parcel) -> anyhow::Result<()> {
        let partition = parcel.batch.partition().clone();
        let tickets = parcel.tickets;
        if let Some(lost) = self.lost.get_mut(&partition) {
            lost.tickets.extend(tickets);
            return Ok(());
        }
        let mut span = self.span_of(&parcel.traces, parcel.records);
        let settling = Settling {
            batch: parcel.batch,
            letters: parcel.letters,
            still_ours: &|| tickets.iter().all(Ticket::is_current),
        };
        let settled = self.with.settle(settling);
        if settled.is_err() {
            span.fail("the batch was not written");
        }
        drop(span);
        match settled {
            Ok(()) => {
                self.with.metrics.records.inc_by(parcel.records as u64);
                if let Some(age) = parcel.oldest_unix_ms.and_then(age_of) {
                    self.with.metrics.delay_seconds.observe(age);
                }
                tickets.into_iter().for_each(Ticket::done);
                Ok(())
            }
            Err(Unsettled::Fenced) => {
                warn!(%partition, "partition taken over by another sink; its open batch is void");
                let since = Instant::now();
                self.lost.insert(partition, Lost { since, tickets });
                Ok(())
            }
            Err(Unsettled::Failed(error)) => Err(error),
            Err(Unsettled::Rejected(sentence)) => {
                let error = anyhow::Error::new(WriteError::Rejected { sentence });
                Err(error.context(format!("cannot move the progress of {partition}")))
            }
        }
    }

    /// The span of a write, linked to those of the records that are recorded; of no batch without one.
    fn span_of(&self, traces: &[Place], records: usize) -> Span {
        let pipeline = &self.with.metrics.pipeline;
        let name = || format!("write {pipeline}");
        let mut span = Span::batch(traces.iter().copied(), Kind::Consumer, name);
        if span.is_live() {
            span.set("messaging.system", "kafka");
            span.set("millrace.pipeline", pipeline.as_str());
            span.set("millrace.batch.records", records);
        }
        span
    }

    /// Two sinks with one destination would take it from each other for ever.
    fn check_lost(&self) -> anyhow::Result<()> {
        let mut lost = self.lost.iter();
        match lost.find(|(_, lost)| lost.since.elapsed() > FENCED_GRACE) {
            None => Ok(()),
            Some((partition, _)) => Err(anyhow::Error::new(WriteError::Fenced(partition.clone())))
                .context("two sinks write to the same destination; give each its own"),
        }
    }
}
