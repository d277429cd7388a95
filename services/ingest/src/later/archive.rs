//! Finds results in the results topics, on threads of its own.
//!
//! A search takes a handful of reads (see [`super::place`]), whatever lies in
//! the topic. Searches that wait are not repeated: while somebody waits, what
//! comes into his partition is read once for all who wait there. Nothing is
//! read and nothing is kept when nobody asks.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace_kafka::{Cluster, Error, Metrics as KafkaMetrics, Reader, Record, Span};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::lookup::{Look, Lookup, id_of};
pub(crate) use super::lookup::{Outcome, Sought};

/// Threads, each with a reader; all searches in one partition meet on one.
const THREADS: usize = 2;
/// Searches that may queue for a thread.
const QUEUE: usize = 512;
/// How long one search may take.
const SEARCH_DEADLINE: Duration = Duration::from_secs(5);
/// How often a partition is looked at while somebody waits.
const TICK: Duration = Duration::from_millis(50);
/// How often an idle thread looks whether it shall stop.
const IDLE: Duration = Duration::from_millis(500);

/// Why nothing can be said about a request.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("too many callers look for results at the moment")]
    Busy,
    #[error("too many callers wait for results: the limit of this process is {limit}")]
    Waiting { limit: usize },
    #[error("the results topic cannot be read: {0}")]
    Kafka(#[source] Error),
    #[error("the broker did not answer in time")]
    Slow,
    #[error("ingest is stopping")]
    Stopping,
}

/// Where results are found; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    threads: Arc<[SyncSender<Job>]>,
    hasher: RandomState,
    waiting: Arc<Semaphore>,
    max_waiting: usize,
    stopping: Arc<AtomicBool>,
}

/// The threads behind an [`Archive`].
#[derive(Debug)]
pub(crate) struct ArchiveThreads {
    threads: Vec<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

/// The right to wait for a result; given back when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    _permit: OwnedSemaphorePermit,
}

/// What the archive needs.
pub(crate) struct ArchiveSettings<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Largest result that must be readable.
    pub(crate) max_record_bytes: usize,
    /// Callers that may wait at once.
    pub(crate) max_waiting: usize,
}

impl Archive {
    /// Starts the threads; the broker need not be there yet.
    ///
    /// # Errors
    /// Kafka options that cannot be used, or no thread.
    pub(crate) fn start(
        settings: &ArchiveSettings<'_>,
        metrics: &KafkaMetrics,
    ) -> anyhow::Result<(Self, ArchiveThreads)> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for number in 0..THREADS {
            let reader = Reader::open(settings.cluster, settings.max_record_bytes, metrics)?;
            let (sender, jobs) = sync_channel(QUEUE);
            let desk = Desk {
                lookup: Lookup::new(reader),
                jobs,
                waiting: HashMap::new(),
                next_look: Instant::now(),
                stopping: Arc::clone(&stopping),
            };
            let thread = std::thread::Builder::new()
                .name(format!("archive {number}"))
                .spawn(move || desk.run())?;
            senders.push(sender);
            threads.push(thread);
        }
        let archive = Self {
            threads: senders.into(),
            hasher: RandomState::new(),
            waiting: Arc::new(Semaphore::new(settings.max_waiting)),
            max_waiting: settings.max_waiting,
            stopping: Arc::clone(&stopping),
        };
        Ok((archive, ArchiveThreads { threads, stopping }))
    }

    /// What became of a request; a pending one is waited for until `until`.
    /// Dropping the future ends the search.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub(crate) async fn find(
        &self,
        sought: Sought,
        until: Option<Instant>,
    ) -> Result<Outcome, ArchiveError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(ArchiveError::Stopping);
        }
        let place = self.hasher.hash_one((&sought.results, sought.partition));
        let index = usize::try_from(place % THREADS as u64).unwrap_or(0);
        let (answer, answered) = oneshot::channel();
        let job = Job {
            sought,
            until,
            asked: Instant::now(),
            answer,
        };
        self.threads[index]
            .try_send(job)
            .map_err(|_| ArchiveError::Busy)?;
        answered.await.unwrap_or(Err(ArchiveError::Stopping))
    }

    /// Takes one of the places of callers who wait.
    ///
    /// # Errors
    /// [`ArchiveError::Waiting`] when all are taken.
    pub(crate) fn wait(&self) -> Result<Waiting, ArchiveError> {
        let permit = Arc::clone(&self.waiting).try_acquire_owned();
        let limit = self.max_waiting;
        match permit {
            Ok(permit) => Ok(Waiting { _permit: permit }),
            Err(_) => Err(ArchiveError::Waiting { limit }),
        }
    }

    /// Ends every wait with [`ArchiveError::Stopping`], now and from now on.
    pub(crate) fn close(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

impl ArchiveThreads {
    /// Waits until the threads have ended. Blocks.
    pub(crate) fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that looks for results panicked");
            }
        }
    }
}

/// One search and who asked for it.
#[derive(Debug)]
struct Job {
    sought: Sought,
    until: Option<Instant>,
    asked: Instant,
    answer: oneshot::Sender<Result<Outcome, ArchiveError>>,
}

impl Job {
    fn answer(self, answer: Result<Outcome, ArchiveError>) {
        // Whoever has left needs no answer.
        let _ = self.answer.send(answer);
    }

    fn waits(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// A partition in which results are waited for.
struct Watched {
    /// What has not been read yet.
    unread: Span,
    jobs: Vec<Job>,
}

/// What one thread owns.
struct Desk {
    lookup: Lookup,
    jobs: Receiver<Job>,
    waiting: HashMap<(Arc<str>, i32), Watched>,
    next_look: Instant,
    stopping: Arc<AtomicBool>,
}

impl Desk {
    fn run(mut self) {
        while !self.stopping.load(Ordering::Acquire) {
            let patience = match self.waiting.is_empty() {
                true => IDLE,
                false => self.next_look.saturating_duration_since(Instant::now()),
            };
            match self.jobs.recv_timeout(patience) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.waiting.is_empty() && Instant::now() >= self.next_look {
                self.look_at_all();
                let behind = self
                    .waiting
                    .values()
                    .any(|it| !it.unread.offsets.is_empty());
                let pause = if behind { Duration::ZERO } else { TICK };
                self.next_look = Instant::now() + pause;
            }
        }
        let waiting = self.waiting.into_values().flat_map(|it| it.jobs);
        for job in waiting.chain(self.jobs.try_iter()) {
            job.answer(Err(ArchiveError::Stopping));
        }
    }

    fn take(&mut self, job: Job) {
        let until = job.asked + SEARCH_DEADLINE;
        if job.answer.is_closed() {
            return;
        }
        if Instant::now() >= until {
            return job.answer(Err(ArchiveError::Slow));
        }
        match self.lookup.look(&job.sought, until) {
            Ok(Look::Done(outcome)) => job.answer(Ok(outcome)),
            Ok(Look::Pending { results }) if job.waits() => self.keep(job, results),
            Ok(Look::Pending { .. }) => job.answer(Ok(Outcome::Pending)),
            Err(Error::TimedOut { .. }) => job.answer(Err(ArchiveError::Slow)),
            Err(error) => job.answer(Err(ArchiveError::Kafka(error))),
        }
    }

    /// Keeps a search until its result comes into the partition.
    fn keep(&mut self, job: Job, unread: Span) {
        let key = (Arc::clone(&unread.topic), unread.partition);
        let start = unread.offsets.start;
        let watched = self.waiting.entry(key).or_insert_with(|| Watched {
            unread,
            jobs: Vec::new(),
        });
        // Others who wait there see a few records again, which harms nobody.
        watched.unread.offsets.start = watched.unread.offsets.start.min(start);
        watched.jobs.push(job);
    }

    fn look_at_all(&mut self) {
        for watched in self.waiting.values_mut() {
            watched.drop_those_who_left();
            if watched.jobs.is_empty() {
                continue;
            }
            let Watched { unread, jobs } = watched;
            let until = Instant::now() + SEARCH_DEADLINE;
            let read = self.lookup.news(unread, until, |record| {
                hand_over(jobs, &record);
            });
            if let Err(error) = read {
                // They go on waiting: the broker may come back in time.
                unread.offsets.end = unread.offsets.start;
                let topic = &unread.topic;
                tracing::debug!(%topic, %error, "cannot look for results");
            }
        }
        self.waiting.retain(|_, watched| !watched.jobs.is_empty());
    }
}

impl Watched {
    fn drop_those_who_left(&mut self) {
        let jobs = std::mem::take(&mut self.jobs);
        for job in jobs {
            if job.answer.is_closed() {
                continue;
            }
            match job.waits() {
                true => self.jobs.push(job),
                false => job.answer(Ok(Outcome::Pending)),
            }
        }
    }
}

/// Gives a result to everybody who waits for it.
fn hand_over(jobs: &mut Vec<Job>, record: &Record) {
    let Some(id) = id_of(record) else { return };
    let waits_for_it = |job: &mut Job| job.sought.id == id;
    for job in jobs.extract_if(.., waits_for_it) {
        job.answer(Ok(Outcome::Result(record.clone())));
    }
}
