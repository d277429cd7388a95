//! The line under fault: nine partitions on a cluster of three nodes, records in, results out, and what is asked of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use e2e::{Cluster, Feed, Infer, Line, Process, Tap, wait_for};
use millrace_wire::{DType, Tensor, encode_tensors};

use crate::ledger::Ledger;

/// As many as there are in the transactions test of Apache Kafka itself.
const PARTITIONS: u32 = 9;
/// The model answers what it is given, and what it is given begins with the record's number.
const MODEL: &str = "echo";
/// Between ten records and the next ten.
const PACE: Duration = Duration::from_millis(5);
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
    records: usize,
    sent: AtomicUsize,
    cluster: Arc<Cluster>,
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    pub(crate) fn new(delivery: Delivery) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let cluster = cluster();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.start_again();
        let line = Line::on(cluster.brokers(), &[MODEL], PARTITIONS);
        Self {
            results: Tap::open(&line, &format!("results.{MODEL}")),
            line,
            delivery,
            records: records(),
            sent: AtomicUsize::new(0),
            cluster,
            _turn: turn,
        }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// An infer process that serves single rows, so that the run is long enough to be disturbed.
    pub(crate) fn infer(&self, name: &str) -> Process {
        self.infer_through(self.cluster().brokers(), name)
    }

    /// The same behind the proxy.
    pub(crate) fn proxied_infer(&self, name: &str) -> Process {
        self.infer_through(&self.cluster().proxy().brokers(), name)
    }

    fn infer_through(&self, brokers: &str, name: &str) -> Process {
        let delivery = match self.delivery {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::ExactlyOnce => "exactly_once",
        };
        let settings = format!("delivery = {delivery:?}\nreplica = {name:?}");
        let mut infer = self.line.infer(Infer {
            models: "tests/models",
            names: &[MODEL],
            max_rows: 4,
            engines: 2,
            brokers: Some(brokers),
            settings: &settings,
        });
        infer.wait_ready();
        infer
    }

    /// Sends records at a pace, and calls `disturb` once some are answered; records flow until it is done.
    pub(crate) fn run(&self, disturb: impl FnOnce(&Self)) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.feed(&over));
            // Also when the disturbance panics, so that the scope can end.
            let _over = SetOnDrop(&over);
            self.wait_for_progress();
            disturb(self);
        });
    }

    /// Waits until so many more results can be read.
    pub(crate) fn wait_for_progress(&self) {
        let now = self.results.records().len();
        self.results.wait_within(RECOVERY, now + self.records / 20);
    }

    /// Waits for an answer to every record and compares all that can be read with what was sent.
    pub(crate) fn settle(self) -> Ledger {
        let began = Instant::now();
        let sent = self.sent.load(Ordering::Relaxed);
        let topic = self.line.topic(&format!("requests.{MODEL}"));
        let ledger = wait_for(RECOVERY, "an answer to every record", || {
            let ledger = Ledger::read(&self.results.records(), &topic);
            (ledger.answered() >= sent).then_some(ledger)
        });
        ledger.check_values(sent);
        ledger.check_order();
        // Who begins to read now sees what those saw who read while it happened.
        let late = Tap::open(&self.line, &format!("results.{MODEL}"));
        let again = Ledger::read(&late.wait_within(RECOVERY, ledger.results()), &topic);
        assert_eq!(again, ledger, "the final reader against the concurrent one");
        if self.delivery == Delivery::ExactlyOnce {
            assert_eq!(ledger.duplicates(), 0, "exactly once");
        }
        println!(
            "{:?}: {} records, {} answered twice, all answered {:.1} s after the last was sent",
            self.delivery,
            sent,
            ledger.duplicates(),
            began.elapsed().as_secs_f64()
        );
        ledger
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

/// At least how many records go through one fault.
fn records() -> usize {
    let asked = std::env::var("MILLRACE_FAULT_RECORDS").ok();
    asked.map_or(5_000, |asked| {
        asked.parse().expect("MILLRACE_FAULT_RECORDS is a number")
    })
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

/// Whole numbers below 2^24 are exact in 32-bit floats.
fn request(number: usize) -> Vec<u8> {
    let first = number_as_f32(number);
    let tensor = Tensor::fixed(
        "x",
        DType::Float32,
        vec![1, 4],
        Buffer::from_vec(vec![first, 1.0, 2.0, 3.0]),
    );
    encode_tensors(&[tensor.expect("four values a row")]).expect("a tensor encodes")
}

pub(crate) fn number_as_f32(number: usize) -> f32 {
    let high = u16::try_from(number / 4096).expect("below 2^24");
    let low = u16::try_from(number % 4096).expect("below 4096");
    f32::from(high) * 4096.0 + f32::from(low)
}
