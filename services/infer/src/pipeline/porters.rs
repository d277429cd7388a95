//! Porters fetch the values that are not in their records, and put those into the store that are too large for them:
//! threads of a model's own, since they wait for the store, which may be down for hours. The poll thread never waits for
//! them; engine threads wait while too many results are on their way into the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_claims::{ClaimError, Object, Store, Unclaimed};
use millrace_kafka::Record;
use millrace_wire::Status;
use millrace_wire::headers::Claim;
use tracing::debug;

use super::outcome::{Answered, Outcome, Refusal, Settled, Stage as FailedStage, Verdict};
use super::reception::Reception;
use super::request::Arrival;
use super::results::Results;
use super::slot::Station;
use crate::images::Stage;

/// What waits for the store of large values.
#[derive(Debug)]
pub(crate) struct Porters {
    store: Arc<Store>,
    fetches: Arc<Stage<Fetch>>,
    keeps: Arc<Stage<Outcome>>,
    /// Results that are on their way into the store.
    room: Arc<Room>,
    ended: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
}

/// A record that was routed, without its value.
#[derive(Debug)]
struct Fetch {
    station: Arc<Station>,
    arrival: Arrival,
}

/// Where the value of a record lies that has none itself.
///
/// # Errors
/// The refusal of a record whose value cannot be had.
pub(super) fn claim_of(
    record: &Record,
    porters: Option<&Porters>,
) -> Result<Option<Object>, Refusal> {
    if record.value.as_ref().is_some_and(|value| !value.is_empty()) {
        return Ok(None);
    }
    let claim = Claim::parse(record.headers.iter()).map_err(|error| {
        Refusal::new(
            Status::InvalidArgument,
            FailedStage::Headers,
            error.to_string(),
        )
    })?;
    let Some(claim) = claim else {
        return Ok(None);
    };
    let Some(porters) = porters else {
        let sentence = "the record's value is in a store of large values (header mr-claim), and infer has none: set claims.url";
        return Err(Refusal::new(
            Status::FailedPrecondition,
            FailedStage::Claim,
            sentence,
        ));
    };
    porters
        .store
        .check_length(claim.length)
        .map_err(|error| refusal(&error))?;
    Ok(Some(Object {
        path: claim.path,
        length: claim.length,
        sha256: claim.sha256,
    }))
}

fn refusal(error: &ClaimError) -> Refusal {
    let status = match error {
        ClaimError::Missing { .. } | ClaimError::Wrong { .. } => Status::DataLoss,
        ClaimError::TooLarge { .. } => Status::OutOfRange,
        ClaimError::Down(_) => Status::Unavailable,
    };
    Refusal::new(status, FailedStage::Claim, error.to_string())
}

impl Porters {
    /// `bulk_weight`: percent of the threads' time for the bulk lane while both lanes have values to be carried.
    pub(super) fn new(store: Arc<Store>, bulk_weight: u8) -> Self {
        let parallel = store.settings().parallel;
        Self {
            store,
            fetches: Arc::new(Stage::new(usize::MAX, bulk_weight)),
            keeps: Arc::new(Stage::new(usize::MAX, bulk_weight)),
            room: Arc::new(Room::of(parallel)),
            ended: Arc::default(),
            running: Arc::default(),
        }
    }

    /// Starts the threads. A panic in one of them stops the process.
    pub(super) fn start(
        &self,
        results: &Arc<Results>,
        max_value_bytes: usize,
    ) -> anyhow::Result<()> {
        for index in 0..self.store.settings().parallel {
            let work = self.work(results);
            let mut reception = Reception::new(max_value_bytes, Arc::clone(results));
            self.spawn(results, format!("fetch {index}"), move || {
                while let Some((turn, fetch)) = work.fetches.take() {
                    let start = Instant::now();
                    work.fetch(&mut reception, fetch);
                    work.fetches.finish(turn, start.elapsed());
                }
            })?;
            let work = self.work(results);
            self.spawn(results, format!("keep {index}"), move || {
                while let Some((turn, outcome)) = work.keeps.take() {
                    let start = Instant::now();
                    work.keep(outcome);
                    work.keeps.finish(turn, start.elapsed());
                    work.room.give_back();
                }
            })?;
        }
        Ok(())
    }

    fn work(&self, results: &Arc<Results>) -> Work {
        Work {
            store: Arc::clone(&self.store),
            fetches: Arc::clone(&self.fetches),
            keeps: Arc::clone(&self.keeps),
            room: Arc::clone(&self.room),
            ended: Arc::clone(&self.ended),
            results: Arc::clone(results),
        }
    }

    fn spawn(
        &self,
        results: &Arc<Results>,
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let (fatal, thread_name) = (results.fatal().clone(), name.clone());
        let running = Arc::clone(&self.running);
        running.fetch_add(1, Ordering::SeqCst);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                fatal.report(anyhow::anyhow!("thread {thread_name} panicked"));
            }
            running.fetch_sub(1, Ordering::SeqCst);
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(run);
        thread.with_context(|| format!("cannot start thread {name}"))?;
        Ok(())
    }

    /// Leaves a record to the threads, which admit it once they have its value. Never waits.
    pub(super) fn fetch(&self, station: &Arc<Station>, arrival: Arrival) {
        station.expect_one();
        let priority = arrival.priority;
        let fetch = Fetch {
            station: Arc::clone(station),
            arrival,
        };
        self.fetches.push(priority, fetch);
    }

    /// Whether a result of this length goes into the store, and not into a record of a topic that takes `topic_bytes`.
    pub(super) fn takes(&self, length: usize, topic_bytes: usize) -> bool {
        self.store.takes(length, topic_bytes)
    }

    /// Leaves an answer to the threads, which send it in its turn once it is in the store. Waits while too many are.
    pub(super) fn keep(&self, outcome: Outcome) {
        self.room.take();
        self.keeps.push(outcome.request.priority, outcome);
    }

    /// Lets the threads end; what waits is dropped with its tickets, so that offsets stay.
    pub(super) fn end(&self, until: Instant) {
        self.ended.store(true, Ordering::SeqCst);
        self.fetches.end();
        self.keeps.end();
        self.room.open();
        while self.running.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What one thread knows.
struct Work {
    store: Arc<Store>,
    fetches: Arc<Stage<Fetch>>,
    keeps: Arc<Stage<Outcome>>,
    room: Arc<Room>,
    ended: Arc<AtomicBool>,
    results: Arc<Results>,
}

impl Work {
    fn fetch(&self, reception: &mut Reception, fetch: Fetch) {
        let Fetch {
            station,
            mut arrival,
        } = fetch;
        match self.value_of(&arrival) {
            Ok(value) => {
                arrival.record.value = Some(value);
                reception.admit(&station, arrival);
            }
            Err(Unclaimed::Refused(error)) => reception.turn_away(arrival, refusal(&error)),
            Err(Unclaimed::Unwanted) if !arrival.ticket.is_current() => {
                self.results.metrics().skipped.inc();
            }
            Err(Unclaimed::Unwanted) if arrival.is_late() => {
                reception.turn_away(arrival, Refusal::too_late());
            }
            // The process stops; the record is read again by the next one.
            Err(Unclaimed::Unwanted) => {}
        }
        station.has_come();
    }

    fn value_of(&self, arrival: &Arrival) -> Result<Vec<u8>, Unclaimed> {
        let is_wanted = || arrival.ticket.is_current() && !arrival.is_late() && !self.has_ended();
        match &arrival.claim {
            Some(object) if is_wanted() => self.store.get_in_time(object, &is_wanted),
            _ => Err(Unclaimed::Unwanted),
        }
    }

    fn keep(&self, outcome: Outcome) {
        let Outcome { request, verdict } = outcome;
        let Verdict::Answer(answered) = verdict else {
            return;
        };
        let is_wanted = || request.is_current() && !self.has_ended();
        let verdict = match self.store.put_in_time(&answered.value, &is_wanted) {
            Ok(object) => Verdict::Answer(Answered {
                value: Vec::new(),
                claim: Some(Claim {
                    path: object.path,
                    length: object.length,
                    sha256: object.sha256,
                }),
            }),
            Err(Unclaimed::Refused(error)) => Verdict::Refusal(Refusal {
                stage: FailedStage::Result,
                ..refusal(&error)
            }),
            Err(Unclaimed::Unwanted) => {
                debug!(source = %request.source(), "a result is not kept: its partition is not ours, or the process stops");
                return;
            }
        };
        drop(answered.value);
        self.results
            .settle(Settled::InTurn(Outcome { request, verdict }));
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// How many results may be on their way into the store.
#[derive(Debug)]
struct Room {
    left: Mutex<usize>,
    changed: Condvar,
}

impl Room {
    fn of(most: usize) -> Self {
        Self {
            left: Mutex::new(most),
            changed: Condvar::new(),
        }
    }

    fn take(&self) {
        let left = self
            .changed
            .wait_while(self.lock(), |left| *left == 0)
            .unwrap_or_else(PoisonError::into_inner);
        let mut left = left;
        *left -= 1;
    }

    fn give_back(&self) {
        let mut left = self.lock();
        *left = left.saturating_add(1);
        self.changed.notify_one();
    }

    /// Nobody waits any more.
    fn open(&self) {
        *self.lock() = usize::MAX / 2;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
