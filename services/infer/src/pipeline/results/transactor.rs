//! Exactly once: results, dead letters and the group's offsets become durable in one transaction after another, by a
//! thread that owns the transactional producer.
//!
//! A transaction that fails is tried again with what is still ours. Nothing is computed twice for it: answers are kept
//! here until they are committed, or until their partition has gone to somebody else, who reads its records again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use millrace_kafka::{Transaction, TransactionError, Transactions};
use tracing::{debug, warn};

use super::bundle::Bundle;
use super::draft::Drafts;
use super::entry::Entry;
use crate::fatal::Fatal;
use crate::metrics::ModelMetrics;
use crate::sabotage::{self, Guard};

/// How long the broker may take to say how far the group is.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts of the same transaction.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is said that transactions do not succeed.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// Takes what is to become durable, in the order of each partition. What is in it holds tickets, which bounds it.
#[derive(Debug)]
pub(crate) struct Counter {
    errands: Sender<Errand>,
    signals: Arc<Signals>,
}

/// What changes how the thread goes on.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Results no longer gather.
    stopping: AtomicBool,
    /// Nothing is tried again.
    closed: AtomicBool,
}

#[derive(Debug)]
enum Errand {
    Commit(Entry),
    Hurry,
    Close,
}

impl Counter {
    /// Never waits. Once the thread has ended the entry is dropped, so that its offset stays.
    pub(crate) fn hand_in(&self, entry: Entry) {
        let _ = self.errands.send(Errand::Commit(entry));
    }

    /// Commits what is there at once: partitions are given up.
    pub(crate) fn hurry(&self) {
        let _ = self.errands.send(Errand::Hurry);
    }

    /// From now on what comes is committed at once: the process stops.
    pub(crate) fn stop_gathering(&self) {
        self.signals.stopping.store(true, Ordering::Relaxed);
        self.hurry();
    }

    /// Lets the thread end after what was handed in by now, of which nothing is tried again.
    pub(crate) fn close(&self) {
        self.signals.closed.store(true, Ordering::Relaxed);
        let _ = self.errands.send(Errand::Close);
    }
}

/// What the thread works with.
pub(crate) struct Transactor {
    pub(crate) transactions: Transactions,
    /// How long results gather before they are committed together.
    pub(crate) interval: Duration,
    /// More bytes of results are committed at once.
    pub(crate) max_bytes: usize,
    pub(crate) drafts: Arc<Drafts>,
    pub(crate) metrics: ModelMetrics,
    pub(crate) fatal: Fatal,
    pub(crate) signals: Arc<Signals>,
}

impl Transactor {
    /// Starts the thread. A panic stops the process.
    pub(crate) fn spawn(mut self) -> anyhow::Result<(Counter, JoinHandle<()>)> {
        let (sender, errands) = mpsc::channel();
        let (fatal, signals) = (self.fatal.clone(), Arc::clone(&self.signals));
        let thread = fatal.spawn("transactions", move || self.run(&errands))?;
        let counter = Counter {
            errands: sender,
            signals,
        };
        Ok((counter, thread))
    }

    fn run(&mut self, errands: &Receiver<Errand>) {
        // What an earlier process of this name left open ends now: until it has, nobody is told how far the group is, and
        // so no record is read that could bring us here.
        if let Err(error) = self.transactions.prepare() {
            debug!(%error, "the transactional producer cannot start yet");
        }
        loop {
            let (bundle, goes_on) = self.gather(errands);
            if let Err(error) = self.commit(bundle) {
                return self.fatal.report(error);
            }
            if !goes_on {
                return;
            }
        }
    }

    /// What comes within an interval, and whether more may come.
    fn gather(&self, errands: &Receiver<Errand>) -> (Bundle, bool) {
        let mut bundle = Bundle::default();
        let mut size_bytes = 0;
        let mut until: Option<Instant> = None;
        while size_bytes < self.max_bytes {
            let errand = match until {
                None => errands.recv().map_err(RecvTimeoutError::from),
                Some(until) => {
                    errands.recv_timeout(until.saturating_duration_since(Instant::now()))
                }
            };
            match errand {
                Ok(Errand::Commit(entry)) => {
                    until.get_or_insert_with(|| Instant::now() + self.interval());
                    size_bytes += entry.size_bytes();
                    bundle.push(entry);
                }
                Ok(Errand::Hurry) | Err(RecvTimeoutError::Timeout) => break,
                Ok(Errand::Close) | Err(RecvTimeoutError::Disconnected) => return (bundle, false),
            }
        }
        (bundle, true)
    }

    fn interval(&self) -> Duration {
        match self.signals.stopping.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => self.interval,
        }
    }

    fn is_closed(&self) -> bool {
        self.signals.closed.load(Ordering::Relaxed)
    }

    /// Commits a bundle, in as many attempts as it takes.
    ///
    /// # Errors
    /// What no further attempt can change.
    fn commit(&mut self, mut bundle: Bundle) -> anyhow::Result<()> {
        let mut complaint = Complaint::default();
        while bundle.keep_ours() {
            let error = match self.attempt(&mut bundle) {
                Ok(()) => {
                    bundle.finish(&self.metrics);
                    return Ok(());
                }
                Err(TransactionError::Refused { index, source }) => {
                    bundle.shrink(&self.drafts, index, &source.to_string())?;
                    continue;
                }
                Err(error @ (TransactionError::Fatal(_) | TransactionError::Usurped(_))) => {
                    return Err(anyhow::Error::new(error).context("results cannot be committed"));
                }
                Err(error) => error,
            };
            complaint.say(&error, bundle.len());
            if sabotage::is_missing(Guard::Repetition) {
                bundle.finish(&self.metrics);
                return Ok(());
            }
            if matches!(error, TransactionError::Unknown(_)) && self.was_committed(&mut bundle)? {
                bundle.finish(&self.metrics);
                return Ok(());
            }
            if self.is_closed() {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn attempt(&mut self, bundle: &mut Bundle) -> Result<(), TransactionError> {
        let advances = bundle.advances();
        let Some(first) = advances.first() else {
            return Ok(());
        };
        let progress: Vec<_> = advances
            .iter()
            .map(|it| (it.tenure.partition().clone(), it.next))
            .collect();
        let counts = bundle.counts();
        let records = bundle.take_records();
        let began = Instant::now();
        let outcome = self.transactions.commit(&Transaction {
            records: &records,
            progress: &progress,
            membership: first.tenure.membership(),
            still_ours: &|| {
                sabotage::is_missing(Guard::Tenure)
                    || advances.iter().all(|it| it.tenure.is_current())
            },
        });
        match &outcome {
            Ok(()) => self.metrics.produce.observe(began.elapsed()),
            Err(_) => bundle.give_back(records, &counts),
        }
        outcome
    }

    /// Finds out what became of a transaction whose end was not heard. Nothing is written before that is known, since
    /// it would be written twice.
    ///
    /// # Errors
    /// What no further attempt can change.
    fn was_committed(&mut self, bundle: &mut Bundle) -> anyhow::Result<bool> {
        while bundle.keep_ours() && !self.is_closed() && !sabotage::is_missing(Guard::Question) {
            match self.transactions.renew() {
                Ok(()) => {}
                Err(error @ TransactionError::Fatal(_)) => {
                    return Err(anyhow::Error::new(error).context("results cannot be committed"));
                }
                Err(error) => {
                    debug!(%error, "the transactional producer cannot start over yet");
                    thread::sleep(PAUSE);
                    continue;
                }
            }
            let advances = bundle.advances();
            let Some(first) = advances.first() else {
                return Ok(false);
            };
            match first
                .tenure
                .membership()
                .committed(first.tenure.partition(), PROGRESS_DEADLINE)
            {
                Ok(committed) => return Ok(committed.is_some_and(|it| it >= first.next)),
                Err(error) => {
                    debug!(%error, "the group's progress cannot be read yet");
                    thread::sleep(PAUSE);
                }
            }
        }
        Ok(false)
    }
}

/// Says now and then that transactions do not succeed.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn say(&mut self, error: &TransactionError, results: usize) {
        if self.0.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            warn!(%error, results, "a transaction did not succeed; it is tried again");
            self.0 = Some(Instant::now());
        }
    }
}
