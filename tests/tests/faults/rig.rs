//! The line under fault: nine partitions on a cluster of three nodes, records in, results out, and what is asked of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Cluster, Feed, Line, Tap, wait_for};

use crate::ledger::Ledger;
use crate::records::{PACE, records, request};
use crate::report::{Figures, Report};
use crate::silence::Silence;

/// As many as there are in the transactions test of Apache Kafka itself.
const PARTITIONS: u32 = 9;
/// The model answers what it is given, and what it is given begins with the record's number.
pub(crate) const MODEL: &str = "echo";
/// How long a run may take after its fault is over.
const RECOVERY: Duration = Duration::from_secs(180);

/// What infer is asked to promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// One run: its own topics on the shared cluster. Runs follow each other, since faults of nodes concern all.
pub(crate) struct Rig {
    line: Line,
    results: Tap,
    delivery: Delivery,
    /// The guard that infer is to work without.
    without: Option<&'static str>,
    records: usize,
    recovery: Duration,
    sent: AtomicUsize,
    silence: Silence,
    report: Report,
    cluster: Arc<Cluster>,
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self::begin(delivery, None)
    }

    /// A run that is expected to fail, because infer works without a guard.
    pub(crate) fn without(guard: &'static str, delivery: Delivery) -> Self {
        Self {
            recovery: Duration::from_secs(60),
            ..Self::begin(delivery, Some(guard))
        }
    }

    /// For faults that take longer to get over.
    pub(crate) fn patient(self, recovery: Duration) -> Self {
        Self { recovery, ..self }
    }

    fn begin(delivery: Delivery, without: Option<&'static str>) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let cluster = cluster();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.start_again();
        cluster.wait_in_sync();
        let line = Line::on(cluster.brokers(), &[MODEL], PARTITIONS);
        Self {
            results: Tap::open(&line, &format!("results.{MODEL}")),
            line,
            delivery,
            without,
            records: records(),
            recovery: RECOVERY,
            sent: AtomicUsize::new(0),
            silence: Silence::default(),
            report: Report::begin(delivery, without),
            cluster,
            _turn: turn,
        }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.delivery
    }

    pub(crate) fn guard(&self) -> Option<&'static str> {
        self.without
    }

    /// Sends records at a pace, and calls `disturb` once some are answered; records flow until it is done.
    pub(crate) fn run(&self, disturb: impl FnOnce(&Self)) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.feed(&over));
            scope.spawn(|| self.silence.watch(&over, || self.results.count()));
            // Also when the disturbance panics, so that the scope can end.
            let _over = SetOnDrop(&over);
            self.wait_for_progress();
            self.silence.begin();
            disturb(self);
        });
    }

    /// How many results can be read.
    pub(crate) fn results(&self) -> usize {
        self.results.count()
    }

    /// So many results more are progress.
    pub(crate) fn step(&self) -> usize {
        self.records / 20
    }

    /// Waits until so many more results can be read.
    pub(crate) fn wait_for_progress(&self) {
        let goal = self.results() + self.step();
        wait_for(
            self.recovery,
            &format!("result {goal} after a fault"),
            || (self.results() >= goal).then_some(()),
        );
    }

    /// Whether every record that was sent is answered; after [`run`](Self::run).
    pub(crate) fn is_answered(&self) -> bool {
        self.answers().is_some()
    }

    fn answers(&self) -> Option<Ledger> {
        let sent = self.sent.load(Ordering::Relaxed);
        // Reading all of them is work, which fewer cannot be worth.
        if self.results() < sent {
            return None;
        }
        let ledger = Ledger::read(&self.results.records(), &self.requests());
        (ledger.answered() >= sent).then_some(ledger)
    }

    /// Waits for an answer to every record and compares all that can be read with what was sent.
    pub(crate) fn settle(self) -> Ledger {
        self.settle_with(|_| {})
    }

    /// The same, and what else has to hold of so many results.
    pub(crate) fn settle_with(mut self, check: impl FnOnce(usize)) -> Ledger {
        let began = Instant::now();
        let sent = self.sent.load(Ordering::Relaxed);
        let what = "an answer to every record";
        let ledger = wait_for(self.recovery, what, || self.answers());
        self.report.measured(Figures {
            records: sent,
            twice: ledger.duplicates(),
            silence: self.silence.longest(),
            rest: began.elapsed(),
        });
        ledger.check_values(sent);
        ledger.check_order();
        // Who begins to read now sees what those saw who read while it happened.
        let late = Tap::open(&self.line, &format!("results.{MODEL}"));
        let late = late.wait_within(self.recovery, ledger.results());
        let again = Ledger::read(&late, &self.requests());
        assert_eq!(again, ledger, "the final reader against the concurrent one");
        if self.delivery == Delivery::ExactlyOnce {
            let repeated = ledger.repeated();
            assert_eq!(ledger.duplicates(), 0, "exactly once: {repeated:?}");
        }
        check(ledger.results());
        self.report.passed();
        ledger
    }

    /// Ends a run of another kind, of which everything was looked at.
    pub(crate) fn pass(mut self, figures: Figures) {
        self.report.measured(figures);
        self.report.passed();
    }

    fn requests(&self) -> String {
        self.line.topic(&format!("requests.{MODEL}"))
    }

    fn feed(&self, over: &AtomicBool) {
        let feed = Feed::new(&self.line, &format!("requests.{MODEL}"));
        let mut number = 0;
        while number < self.records || !over.load(Ordering::Relaxed) {
            feed.send(
                None,
                Some(request(number)),
                &[("mr-id", &number.to_string())],
            );
            number += 1;
            if number.is_multiple_of(10) {
                thread::sleep(PACE);
            }
        }
        feed.flush();
        self.sent.store(number, Ordering::Relaxed);
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The cluster of all runs: it ends with the last one that holds it. Those that wait for their turn hold it too.
fn cluster() -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut known = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start());
        *known = Arc::downgrade(&cluster);
        cluster
    })
}
