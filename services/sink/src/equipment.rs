//! What a settler works with, and the patience with which it works: outages are waited for, up to a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millrace_boot::Gate;
use millrace_kafka::TopicPartition;
use tracing::{info, warn};

use crate::batch::Batch;
use crate::destinations::{WriteError, Writer, Written};
use crate::letters::{Letter, Letters};
use crate::metrics::PipelineMetrics;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How often a wait looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);

pub(crate) struct Equipment {
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) letters: Letters,
    pub(crate) max_outage: Duration,
    pub(crate) metrics: PipelineMetrics,
    pub(crate) gate: Gate,
    /// Set when the process stops and nobody waits for outages any more.
    pub(crate) hurry: Arc<AtomicBool>,
}

/// A batch on its way into the destination.
pub(crate) struct Settling<'a> {
    pub(crate) batch: Batch,
    /// Of records that the batch covers; delivered before it is written.
    pub(crate) letters: Vec<Letter>,
    /// Whether its partition still seems to be this process's.
    pub(crate) still_ours: &'a dyn Fn() -> bool,
}

/// Why a batch is not durable and will not be.
#[derive(Debug)]
pub(crate) enum Unsettled {
    /// Its partition is another process's now.
    Fenced,
    /// The destination cannot be written; the process must stop.
    Failed(anyhow::Error),
    /// The destination will never take something of it, and says why.
    Rejected(String),
}

impl Equipment {
    /// Takes a partition over in the destination; answers the next offset wanted.
    pub(crate) fn claim(&mut self, partition: &TopicPartition) -> anyhow::Result<i64> {
        let claimed = self.insist(&|| true, |with| with.writer.claim(partition));
        claimed.map_err(|unsettled| match unsettled {
            Unsettled::Fenced => WriteError::Fenced(partition.clone()).into(),
            Unsettled::Failed(error) => error,
            Unsettled::Rejected(sentence) => WriteError::Rejected { sentence }.into(),
        })
    }

    /// Delivers the dead letters of a batch and makes it durable.
    pub(crate) fn settle(&mut self, settling: Settling<'_>) -> Result<(), Unsettled> {
        let begun = Instant::now();
        let (batch, mut letters) = (settling.batch, settling.letters);
        let still_ours = settling.still_ours;
        let rows = batch.rows().num_rows();
        self.deliver(&mut letters, still_ours)
            .and_then(|()| self.write(batch, still_ours))
            .inspect_err(|unsettled| {
                if matches!(unsettled, Unsettled::Fenced) {
                    self.metrics.fenced.inc();
                }
            })?;
        let elapsed = begun.elapsed();
        self.metrics.commit_seconds.observe(elapsed.as_secs_f64());
        self.metrics.rows.inc_by(rows as u64);
        Ok(())
    }

    fn deliver(
        &mut self,
        letters: &mut Vec<Letter>,
        still_ours: &dyn Fn() -> bool,
    ) -> Result<(), Unsettled> {
        self.insist(still_ours, |with| {
            with.letters.deliver(letters).map_err(WriteError::Transient)
        })
    }

    /// Writes a batch. If the destination refuses something in it, halves are tried until what
    /// it refuses stands alone and becomes a dead letter; the others are written.
    fn write(&mut self, batch: Batch, still_ours: &dyn Fn() -> bool) -> Result<(), Unsettled> {
        let attempt = |with: &mut Self| {
            let began = Instant::now();
            let written = with.writer.write(&batch);
            with.metrics.write_seconds.observe(began.elapsed());
            written
        };
        let sentence = match self.insist(still_ours, attempt) {
            Ok(written) => {
                self.count(&written);
                return Ok(());
            }
            Err(Unsettled::Rejected(sentence)) if batch.records() > 0 => sentence,
            Err(unsettled) => return Err(unsettled),
        };
        let single = match batch.halves() {
            Ok((first, second)) => {
                self.write(first, still_ours)?;
                return self.write(second, still_ours);
            }
            Err(single) => *single,
        };
        let (empty, rejected) = single.refuse(&sentence);
        let partition = empty.partition();
        let mut letters = Vec::with_capacity(rejected.len());
        for rejected in rejected {
            let (offset, reason) = (rejected.record.offset, &rejected.reason);
            warn!(%partition, offset, %reason, "result rejected");
            self.metrics.dead_letter(reason.label());
            letters.push(Letter::new(rejected));
        }
        self.deliver(&mut letters, still_ours)?;
        self.write(empty, still_ours)
    }

    fn count(&self, written: &Written) {
        self.metrics.files.inc_by(written.files);
        self.metrics.stored_bytes.inc_by(written.size_bytes);
    }

    /// Whether nobody waits for what is still open.
    fn is_in_a_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    /// Repeats `attempt` while its error may pass, with growing pauses, and not ready meanwhile.
    fn insist<T>(
        &mut self,
        still_ours: &dyn Fn() -> bool,
        mut attempt: impl FnMut(&mut Self) -> Result<T, WriteError>,
    ) -> Result<T, Unsettled> {
        let begun = Instant::now();
        let mut backoff = FIRST_BACKOFF;
        loop {
            let error = match attempt(self) {
                Ok(value) => {
                    if backoff > FIRST_BACKOFF {
                        info!("the destination works again");
                        self.gate.open();
                    }
                    return Ok(value);
                }
                Err(WriteError::Transient(error)) => error,
                Err(WriteError::Fenced(_)) => return Err(Unsettled::Fenced),
                Err(WriteError::Fatal(error)) => return Err(Unsettled::Failed(error)),
                Err(WriteError::Rejected { sentence }) => {
                    return Err(Unsettled::Rejected(sentence));
                }
            };
            self.metrics.commit_failures.inc();
            if begun.elapsed() >= self.max_outage || self.is_in_a_hurry() {
                let waited = format!("gave up after {} s", begun.elapsed().as_secs());
                return Err(Unsettled::Failed(error.context(waited)));
            }
            warn!(
                error = format!("{error:#}"),
                "the destination is out of order; trying again"
            );
            self.gate.close(format!("{error:#}"));
            self.pause(backoff);
            if !still_ours() {
                self.gate.open();
                return Err(Unsettled::Fenced);
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    fn pause(&self, backoff: Duration) {
        let end = Instant::now() + backoff;
        while Instant::now() < end && !self.is_in_a_hurry() {
            thread::sleep(GLANCE);
        }
    }
}

#[cfg(test)]
mod tests;
