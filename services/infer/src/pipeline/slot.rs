//! The place of one version in its model's pipeline. It is there before its engines are and while they are away; what
//! comes for it then waits.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace_wire::{Record, TensorSpec};

use super::Queue;
use super::decoding::Decoding;
use super::load::EngineLoad;
use super::outcome::Refusal;
use super::request::{Arrival, Part};
use crate::batch::{Batch, Depth, Piece, Split, Splitter, Turn};
use crate::images::Decoded;
use crate::metrics::VersionMetrics;
use crate::models::LoadedModel;
use crate::settings::ImageSettings;

use super::Served;

/// One version that records can be routed to.
#[derive(Debug)]
pub(crate) struct Slot {
    version: i64,
    /// Set once, when its engines are there for the first time.
    station: OnceLock<Arc<Station>>,
    door: Mutex<Door>,
}

/// What happens to a record that comes before there is a station.
#[derive(Debug)]
enum Door {
    /// It waits, with those before it.
    Shut(Vec<Arrival>),
    /// There is a station by now.
    Open,
    /// There will be none.
    Barred(Refusal),
}

/// What became of a record that was to wait.
#[derive(Debug)]
pub(crate) enum Parked {
    Waits,
    /// The station opened meanwhile.
    TooLate(Arrival, Arc<Station>),
    Refused(Arrival, Refusal),
}

impl Slot {
    pub(crate) fn new(version: i64) -> Self {
        Self {
            version,
            station: OnceLock::new(),
            door: Mutex::new(Door::Shut(Vec::new())),
        }
    }

    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Where its records go; `None` before its engines were there for the first time.
    pub(crate) fn station(&self) -> Option<&Arc<Station>> {
        self.station.get()
    }

    /// Lets a record wait until the slot opens or is barred.
    pub(crate) fn park(&self, arrival: Arrival) -> Parked {
        let mut door = self.door();
        match (&mut *door, self.station.get()) {
            (Door::Shut(waiting), _) => {
                waiting.push(arrival);
                Parked::Waits
            }
            (Door::Barred(refusal), _) => Parked::Refused(arrival, refusal.clone()),
            (Door::Open, Some(station)) => Parked::TooLate(arrival, Arc::clone(station)),
            (Door::Open, None) => unreachable!("a door opens after its station is set"),
        }
    }

    /// Sets the station; answers the records that waited for it, in the order in which they came. The first station
    /// stays.
    pub(crate) fn open(&self, station: Station) -> (Arc<Station>, Vec<Arrival>) {
        let station = Arc::clone(self.station.get_or_init(|| Arc::new(station)));
        (station, self.turn(Door::Open))
    }

    /// There will be no station; answers the records that waited for it.
    pub(crate) fn bar(&self, refusal: Refusal) -> Vec<Arrival> {
        self.turn(Door::Barred(refusal))
    }

    fn turn(&self, to: Door) -> Vec<Arrival> {
        match std::mem::replace(&mut *self.door(), to) {
            Door::Shut(waiting) => waiting,
            Door::Open | Door::Barred(_) => Vec::new(),
        }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called when a record comes whose engines are away.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// Where the records of one version are checked, cut and queued, and the engine threads that take them.
pub(crate) struct Station {
    pub(crate) served: Arc<Served>,
    /// Inputs as the engine takes them.
    pub(crate) inputs: Vec<TensorSpec>,
    /// For a version that takes encoded images.
    pub(crate) decoding: Option<Decoding>,
    queue: Queue,
    /// Records that are on their way to it without their values.
    arriving: AtomicUsize,
    /// The queue is to be closed once nothing is being decoded for it any more.
    closing: Mutex<bool>,
    pub(crate) metrics: VersionMetrics,
    splitter: Splitter,
    bell: Bell,
    /// The bell was rung and nobody has come yet.
    is_called: AtomicBool,
    engines: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) load: EngineLoad,
    /// Milliseconds since the process began.
    last_run: AtomicU64,
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("version", &self.served.version)
            .field("queue", &self.queue.depth())
            .finish_non_exhaustive()
    }
}

impl Station {
    pub(crate) fn new(
        model: &LoadedModel,
        metrics: VersionMetrics,
        bell: Bell,
        (images, bulk_weight): (&ImageSettings, u8),
    ) -> Self {
        let max_rows = i64::try_from(model.batch.max_rows).unwrap_or(i64::MAX);
        metrics.max_batch_rows.set(max_rows);
        Self {
            served: Arc::new(Served::of(model)),
            inputs: model.inputs.clone(),
            decoding: model
                .images
                .as_ref()
                .map(|plan| Decoding::new(Arc::clone(plan), images, bulk_weight)),
            queue: Queue::new(model.batch, bulk_weight),
            arriving: AtomicUsize::new(0),
            closing: Mutex::default(),
            metrics,
            splitter: Splitter::new(model.batch, &model.inputs),
            bell,
            is_called: AtomicBool::new(false),
            engines: Mutex::default(),
            load: EngineLoad::new(Instant::now()),
            last_run: AtomicU64::new(now_ms()),
        }
    }

    /// The pieces of a record that fits the signature.
    pub(crate) fn split(&self, record: &Record, images: Option<&Decoded>) -> Vec<Split> {
        self.splitter.split(record, images)
    }

    /// The next batch, for an engine thread.
    pub(crate) fn take(&self) -> Option<Batch<Part>> {
        self.queue.take()
    }

    /// A batch has run for so long.
    pub(crate) fn charge(&self, turn: Turn, took: Duration) {
        self.queue.charge(turn, took);
    }

    /// A batch that is left in a closed queue; never waits.
    pub(crate) fn take_rest(&self) -> Option<Batch<Part>> {
        self.queue.take_rest()
    }

    /// Whether its engines are gone, and nothing is on its way to them.
    pub(crate) fn is_left(&self) -> bool {
        self.has_ended() && self.is_quiet()
    }

    /// Whether nothing is on its way to the queue.
    fn is_quiet(&self) -> bool {
        self.arriving.load(Ordering::SeqCst) == 0
            && self.decoding.as_ref().is_none_or(Decoding::is_idle)
    }

    /// A record will come once its value is fetched.
    pub(super) fn expect_one(&self) {
        self.arriving.fetch_add(1, Ordering::SeqCst);
    }

    /// A record that was expected came, or will not come.
    pub(super) fn has_come(&self) {
        self.arriving.fetch_sub(1, Ordering::SeqCst);
        self.close_when_decoded();
    }

    /// Releases what is there without waiting for more.
    pub(crate) fn hurry(&self) {
        self.queue.hurry();
    }

    /// Lets the engine threads end once nothing waits for them any more, undecoded images included.
    pub(crate) fn close(&self) {
        *self.closing() = true;
        self.close_when_decoded();
    }

    /// Takes back a [`close`](Self::close), for new engines.
    pub(crate) fn reopen(&self) {
        let mut closing = self.closing();
        *closing = false;
        self.mark_run();
        self.queue.reopen();
        self.is_called.store(false, Ordering::Release);
    }

    /// Does what [`close`](Self::close) asked for, if nothing is being decoded.
    pub(super) fn close_when_decoded(&self) {
        let mut closing = self.closing();
        if *closing && self.is_quiet() {
            *closing = false;
            self.queue.close();
        }
    }

    /// What waits for an engine; a record whose value is not fetched or whose images are not decoded counts as one row.
    pub(crate) fn depth(&self) -> Depth {
        let mut depth = self.queue.depth();
        depth.rows += self.decoding.as_ref().map_or(0, Decoding::records);
        depth.rows += self.arriving.load(Ordering::Relaxed);
        depth
    }

    fn closing(&self) -> MutexGuard<'_, bool> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues rows; if no engine is there, somebody is told.
    pub(crate) fn push(&self, piece: Piece<Part>) {
        let is_taken = self.queue.push(piece);
        self.ring_unless(is_taken);
    }

    /// Rings once, until the engines are back.
    fn ring_unless(&self, is_taken: bool) {
        if !is_taken && !self.is_called.swap(true, Ordering::AcqRel) {
            (self.bell)();
        }
    }

    /// The engine threads that take from the queue from now on.
    pub(crate) fn man(&self, threads: Vec<JoinHandle<()>>) {
        self.engines().extend(threads);
    }

    /// Whether all engine threads have ended, which they do once the queue is closed and empty; the memory of their
    /// engines is free then.
    pub(crate) fn has_ended(&self) -> bool {
        self.engines().retain(|thread| !thread.is_finished());
        self.engines().is_empty()
    }

    /// Says in the metrics how busy the engines were lately.
    pub(crate) fn report_load(&self, now: Instant) {
        let engines = self.engines().len();
        self.metrics
            .engines
            .set(i64::try_from(engines).unwrap_or(i64::MAX));
        if let Some(ratio) = self.load.ratio(engines, now) {
            self.metrics.busy_ratio.set(ratio);
        }
    }

    /// A batch begins to run.
    pub(crate) fn mark_run(&self) {
        self.last_run.store(now_ms(), Ordering::Relaxed);
    }

    /// When a batch began to run for the last time, as milliseconds of [`now_ms`].
    pub(crate) fn last_run_ms(&self) -> u64 {
        self.last_run.load(Ordering::Relaxed)
    }

    fn engines(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds of a clock that begins with the process.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since: Duration = START.elapsed();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
