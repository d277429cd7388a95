//! The queue between the poll thread and the engine threads. It is work-conserving: an engine that is free takes what
//! is there, oldest first, and waits for more only when `max_delay` says so, and no record's deadline is sooner.
//!
//! Each lane waits by itself, and a batch is of one lane: what waits for no answer never makes another batch longer.
//!
//! The queue itself has no limit: everything in it holds a ticket of the consumer, and the consumer pauses its
//! partitions when the tickets add up to its limit in bytes or records.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::priority::{Priority, Share, Turn};

/// The dimensions of one row in every input, inputs one after another. Pieces of different shapes never share a batch.
/// Empty for a model whose signature fixes them, so that nothing is compared for it.
pub(crate) type RowShape = Arc<[usize]>;

/// When a batch is full, and how long an engine waits for it to become so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) max_rows: usize,
    pub(crate) max_bytes: usize,
    pub(crate) max_delay: Duration,
}

/// Consecutive rows of one record, at most a batch of them.
#[derive(Debug)]
pub(crate) struct Piece<T> {
    pub(crate) priority: Priority,
    pub(crate) shape: RowShape,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// When nobody waits for the answer any more.
    pub(crate) deadline: Option<Instant>,
    pub(crate) work: T,
}

/// Why a batch was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// It holds as many rows as a batch may.
    Rows,
    /// It holds as many bytes as a batch may.
    Bytes,
    /// An engine was free and nothing more was there.
    Idle,
    /// `max_delay` has passed since its first piece arrived.
    Delay,
    /// By waiting for `max_delay` one of its pieces would have missed its deadline.
    Deadline,
    /// The queue is being emptied.
    Drain,
}

impl Release {
    pub(crate) const ALL: [Self; 6] = [
        Self::Rows,
        Self::Bytes,
        Self::Idle,
        Self::Delay,
        Self::Deadline,
        Self::Drain,
    ];

    /// For metrics and traces.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Idle => "idle",
            Self::Delay => "delay",
            Self::Deadline => "deadline",
            Self::Drain => "drain",
        }
    }
}

/// What one engine thread does next; all pieces are of one row shape.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) pieces: Vec<T>,
    /// When each of them was pushed.
    pub(crate) since: Vec<Instant>,
    pub(crate) rows: usize,
    pub(crate) release: Release,
    /// To be charged for when it has run.
    pub(crate) turn: Turn,
}

/// Rows, bytes and pieces that wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// Shared by the poll thread, which pushes and never waits, and the engine threads, which take whole batches.
#[derive(Debug)]
pub(crate) struct BatchQueue<T> {
    limits: BatchLimits,
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// By [`Priority::index`].
    lanes: [Waiting<T>; 2],
    share: Share,
    arrivals: u64,
    waiting_engines: usize,
    hurry: bool,
    closed: bool,
}

/// What waits in one lane.
#[derive(Debug)]
struct Waiting<T> {
    groups: HashMap<RowShape, Group<T>>,
    /// The group of each oldest piece, by arrival.
    heads: BTreeMap<u64, RowShape>,
    depth: Depth,
}

#[derive(Debug)]
struct Group<T> {
    entries: VecDeque<Entry<T>>,
    depth: Depth,
    /// The earliest deadline of its entries; kept only where engines wait for `max_delay`.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Entry<T> {
    arrival: u64,
    since: Instant,
    rows: usize,
    bytes: usize,
    deadline: Option<Instant>,
    work: T,
}

impl<T> BatchQueue<T> {
    /// `bulk_weight`: percent of the engines' time for the bulk lane while both lanes have work.
    pub(crate) fn new(limits: BatchLimits, bulk_weight: u8) -> Self {
        let state = State {
            lanes: [Waiting::new(), Waiting::new()],
            share: Share::new(bulk_weight),
            arrivals: 0,
            waiting_engines: 0,
            hurry: false,
            closed: false,
        };
        Self {
            limits,
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }
    }

    /// Adds rows to run. Never waits. Whether the queue is open: of a closed one nobody may take them.
    pub(crate) fn push(&self, piece: Piece<T>) -> bool {
        let mut state = self.lock();
        state.push(piece);
        if state.waiting_engines > 0 {
            self.arrived.notify_one();
        }
        !state.closed
    }

    /// The next batch, as soon as there is one; `None` when the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Batch<T>> {
        let mut state = self.lock();
        loop {
            let now = if self.limits.max_delay.is_zero() {
                None
            } else {
                Some(Instant::now())
            };
            let wait = match state.next(&self.limits, now) {
                Next::Batch(batch) => return Some(batch),
                Next::Wait(_) if state.closed => return None,
                Next::Wait(wait) => wait,
            };
            state.waiting_engines += 1;
            state = match wait {
                None => self
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.arrived
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            state.waiting_engines -= 1;
        }
    }

    /// A batch that is left in a closed queue; never waits.
    pub(crate) fn take_rest(&self) -> Option<Batch<T>> {
        let mut state = self.lock();
        if !state.closed {
            return None;
        }
        match state.next(&self.limits, None) {
            Next::Batch(batch) => Some(batch),
            Next::Wait(_) => None,
        }
    }

    /// Releases what is there without waiting for `max_delay`, until the queue is empty once.
    pub(crate) fn hurry(&self) {
        let mut state = self.lock();
        state.hurry = !state.is_empty();
        self.arrived.notify_all();
    }

    /// Lets [`take`](Self::take) answer `None` once the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Takes back a [`close`](Self::close), for new engines.
    pub(crate) fn reopen(&self) {
        self.lock().closed = false;
    }

    /// A batch has run for so long.
    pub(crate) fn charge(&self, turn: Turn, took: Duration) {
        let mut state = self.lock();
        let has_bulk = state.has(Priority::Bulk);
        state.share.charge(turn, took, has_bulk);
    }

    pub(crate) fn depth(&self) -> Depth {
        let state = self.lock();
        let [interactive, bulk] = [&state.lanes[0].depth, &state.lanes[1].depth];
        Depth {
            rows: interactive.rows + bulk.rows,
            bytes: interactive.bytes + bulk.bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of ours that can panic runs under this lock, so a poisoned one still guards a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next<T> {
    Batch(Batch<T>),
    Wait(Option<Duration>),
}

impl<T> State<T> {
    fn has(&self, priority: Priority) -> bool {
        !self.lanes[priority.index()].heads.is_empty()
    }

    fn is_empty(&self) -> bool {
        !Priority::ALL.into_iter().any(|lane| self.has(lane))
    }

    fn push(&mut self, piece: Piece<T>) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.lanes[piece.priority.index()].push(piece, arrival);
    }

    /// `now` is given when engines wait for `max_delay`.
    fn next(&mut self, limits: &BatchLimits, now: Option<Instant>) -> Next<T> {
        let interactive = self.has(Priority::Interactive);
        let Some(turn) = self.share.turn(interactive, self.has(Priority::Bulk)) else {
            return Next::Wait(None);
        };
        let is_drained = self.closed || self.hurry;
        let lane = &mut self.lanes[turn.priority.index()];
        let (shape, release) = match lane.choose(limits, now, is_drained) {
            Choice::Release(shape, reason) => (shape, reason),
            Choice::Wait(wait) => return Next::Wait(wait),
        };
        let batch = Batch {
            pieces: Vec::new(),
            since: Vec::new(),
            rows: 0,
            release,
            turn,
        };
        let batch = lane.fill(batch, &shape, limits);
        self.hurry = self.hurry && !self.is_empty();
        Next::Batch(batch)
    }
}

impl<T> Waiting<T> {
    fn new() -> Self {
        Self {
            groups: HashMap::new(),
            heads: BTreeMap::new(),
            depth: Depth::default(),
        }
    }

    fn push(&mut self, piece: Piece<T>, arrival: u64) {
        self.depth.rows += piece.rows;
        self.depth.bytes += piece.bytes;
        let entry = Entry {
            arrival,
            since: Instant::now(),
            rows: piece.rows,
            bytes: piece.bytes,
            deadline: piece.deadline,
            work: piece.work,
        };
        let group = self
            .groups
            .entry(Arc::clone(&piece.shape))
            .or_insert_with(|| Group::new());
        if group.entries.is_empty() {
            self.heads.insert(arrival, piece.shape);
        }
        group.depth.rows += piece.rows;
        group.depth.bytes += piece.bytes;
        group.deadline = earlier(group.deadline, piece.deadline);
        group.entries.push_back(entry);
    }

    fn choose(&self, limits: &BatchLimits, now: Option<Instant>, is_drained: bool) -> Choice {
        let Some(oldest) = self.heads.values().next() else {
            return Choice::Wait(None);
        };
        if is_drained {
            return Choice::Release(Arc::clone(oldest), Release::Drain);
        }
        let Some(now) = now else {
            return Choice::Release(Arc::clone(oldest), Release::Idle);
        };
        let left = self
            .groups
            .get(oldest)
            .map_or(Duration::ZERO, |group| group.delay_left(limits, now));
        if left.is_zero() {
            return Choice::Release(Arc::clone(oldest), Release::Delay);
        }
        for shape in self.heads.values() {
            let group = self.groups.get(shape);
            if let Some(reason) = group.and_then(|group| group.why_now(limits, now)) {
                return Choice::Release(Arc::clone(shape), reason);
            }
        }
        Choice::Wait(Some(left))
    }

    /// Takes the oldest pieces of a group that together keep within the limits; the first is taken whatever its size.
    fn fill(&mut self, mut batch: Batch<T>, shape: &RowShape, limits: &BatchLimits) -> Batch<T> {
        let Some(group) = self.groups.get_mut(shape) else {
            return batch;
        };
        let mut bytes = 0;
        if let Some(first) = group.entries.front() {
            self.heads.remove(&first.arrival);
        }
        while let Some(entry) = group.entries.front() {
            if !batch.pieces.is_empty() {
                if batch.rows + entry.rows > limits.max_rows {
                    batch.release = Release::Rows;
                    break;
                }
                if bytes + entry.bytes > limits.max_bytes {
                    batch.release = Release::Bytes;
                    break;
                }
            }
            let Some(entry) = group.entries.pop_front() else {
                break;
            };
            batch.rows += entry.rows;
            bytes += entry.bytes;
            batch.pieces.push(entry.work);
            batch.since.push(entry.since);
        }
        if batch.rows >= limits.max_rows {
            batch.release = Release::Rows;
        }
        group.depth.rows -= batch.rows;
        group.depth.bytes -= bytes;
        self.depth.rows -= batch.rows;
        self.depth.bytes -= bytes;
        if group.deadline.is_some() && !limits.max_delay.is_zero() {
            group.deadline = group
                .entries
                .iter()
                .filter_map(|entry| entry.deadline)
                .min();
        }
        match group.entries.front() {
            Some(next) => {
                self.heads.insert(next.arrival, Arc::clone(shape));
            }
            // The group of fixed shapes is kept: it will be needed again at once.
            None if shape.is_empty() => {}
            None => {
                self.groups.remove(shape);
            }
        }
        batch
    }
}

enum Choice {
    Release(RowShape, Release),
    Wait(Option<Duration>),
}

impl<T> Group<T> {
    fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            depth: Depth::default(),
            deadline: None,
        }
    }

    /// How long its oldest piece may still wait for company.
    fn delay_left(&self, limits: &BatchLimits, now: Instant) -> Duration {
        let oldest = self.entries.front();
        oldest.map_or(Duration::ZERO, |entry| {
            limits
                .max_delay
                .saturating_sub(now.duration_since(entry.since))
        })
    }

    /// Why waiting any longer gains nothing, or would cost somebody the answer.
    fn why_now(&self, limits: &BatchLimits, now: Instant) -> Option<Release> {
        if self.depth.rows >= limits.max_rows {
            return Some(Release::Rows);
        }
        if self.depth.bytes >= limits.max_bytes {
            return Some(Release::Bytes);
        }
        let due = now + self.delay_left(limits, now);
        let is_missed = self.deadline.is_some_and(|deadline| deadline <= due);
        is_missed.then_some(Release::Deadline)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
