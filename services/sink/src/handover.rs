//! Between the building and the writing thread of a pipeline: at most one batch waits while another
//! is written, so that rows are built while the destination works, and memory stays bounded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};
use millrace_boot::trace::Place;
use millrace_kafka::{Ticket, TopicPartition};

use crate::batch::Batch;
use crate::claimed::Taken;
use crate::equipment::Equipment;
use crate::letters::Letter;
use crate::metrics::PipelineMetrics;

/// What the building thread asks for, in order.
pub(crate) enum Job {
    /// Takes a partition over; the answer is dropped if that fails.
    Claim {
        wanted: TopicPartition,
        answer: Sender<Settlement>,
    },
    Write(Box<Parcel>),
    Release(TopicPartition),
}

/// Where a claimed partition goes on.
pub(crate) struct Settlement {
    pub(crate) next_offset: i64,
    /// If a batch was not finished and must be the same again: its last offset.
    pub(crate) unfinished_to: Option<i64>,
}

/// A batch with all that belongs to it.
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    /// Of records that the batch covers; delivered before it is written.
    pub(crate) letters: Vec<Letter>,
    /// Of all records that the batch covers.
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) records: usize,
    pub(crate) oldest_unix_ms: Option<i64>,
    /// Where the recorded ones of its records are in their traces.
    pub(crate) traces: Vec<Place>,
}

/// The building thread's end.
pub(crate) struct Handover {
    jobs: Sender<Job>,
    between: Arc<Between>,
    metrics: PipelineMetrics,
    /// Whether the destination takes lists as JSON, which is then made in advance.
    takes_texts: bool,
}

/// The writing thread's end. When it goes, the building thread ends, too.
pub(crate) struct Takeover {
    pub(crate) jobs: Receiver<Job>,
    between: Arc<Between>,
}

#[derive(Default)]
struct Between {
    /// Of the batches that are handed over and not written: bytes, and the oldest record's time.
    waiting: Mutex<VecDeque<(usize, Option<i64>)>>,
    over: AtomicBool,
    /// Set when the process stops and nobody waits for outages any more.
    hurry: Arc<AtomicBool>,
}

/// The two ends of the way to this destination.
pub(crate) fn handover(with: &Equipment) -> (Handover, Takeover) {
    let hurry = Arc::clone(&with.hurry);
    let (sender, jobs) = bounded(1);
    let between = Arc::new(Between {
        hurry,
        ..Between::default()
    });
    let handover = Handover {
        jobs: sender,
        between: Arc::clone(&between),
        metrics: with.metrics.clone(),
        takes_texts: with.writer.takes_texts(),
    };
    (handover, Takeover { jobs, between })
}

impl Handover {
    /// Makes rows of what was taken and gives them to the writing thread, once that has room.
    ///
    /// # Errors
    /// The rows cannot be built.
    pub(crate) fn write(&self, taken: Taken) -> anyhow::Result<()> {
        let size_bytes = taken.batch.size_bytes();
        let mut batch = taken.batch.close()?.held_by(taken.tenure);
        if self.takes_texts {
            batch = batch.with_texts();
        }
        self.between
            .waiting()
            .push_back((size_bytes, taken.oldest_unix_ms));
        self.send(Job::Write(Box::new(Parcel {
            batch,
            letters: taken.letters,
            tickets: taken.tickets,
            records: taken.records,
            oldest_unix_ms: taken.oldest_unix_ms,
            traces: taken.traces,
        })));
        Ok(())
    }

    /// If the writing thread is gone, its error is on its way to the app; tickets in the job are
    /// dropped unfinished, so that their offsets stay where they are.
    pub(crate) fn send(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// Whether the writing thread is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.between.over.load(Ordering::Relaxed)
    }

    pub(crate) fn is_in_a_hurry(&self) -> bool {
        self.between.hurry.load(Ordering::Relaxed)
    }

    /// Publishes how much waits, beside what is open: and for how long the oldest record has.
    pub(crate) fn report(&self, open_bytes: usize, oldest_unix_ms: Option<i64>) {
        let waiting = self.between.waiting();
        let pending = open_bytes + waiting.iter().map(|(bytes, _)| bytes).sum::<usize>();
        let handed_over = waiting.iter().filter_map(|(_, oldest)| *oldest);
        let oldest = handed_over.chain(oldest_unix_ms).min();
        drop(waiting);
        self.metrics
            .pending_bytes
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
        let age = oldest.and_then(age_of).unwrap_or_default();
        self.metrics.oldest_seconds.set(age.as_secs_f64());
    }
}

/// How long ago that was; `None` if it is still to come.
pub(crate) fn age_of(unix_ms: i64) -> Option<Duration> {
    let millis = u64::try_from(unix_ms).ok()?;
    let since = UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    SystemTime::now().duration_since(since).ok()
}

impl Takeover {
    /// The batch that waited the longest waits no more.
    pub(crate) fn settled(&self) {
        self.between.waiting().pop_front();
    }
}

impl Drop for Takeover {
    fn drop(&mut self) {
        self.between.over.store(true, Ordering::Relaxed);
    }
}

impl Between {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<(usize, Option<i64>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
