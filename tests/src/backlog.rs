//! Memory of infer under a backlog that is many times what it may hold: large records, a model that is slower than the
//! broker.

use std::thread;
use std::time::{Duration, Instant};

use arrow::buffer::Buffer;
use millrace_wire::{DType, Tensor, encode_tensors};

use crate::line::{Infer, Line};
use crate::process::Process;
use crate::tap::Feed;

const MIB: usize = 1 << 20;
/// Rows of four numbers: 1 MiB.
const ROWS: usize = 65_536;
/// What infer may hold of requests, and of results that wait for the broker.
const SETTINGS: &str = "[producer]\nmax_queue_bytes = 8388608\nmax_record_bytes = 4194304";
const IN_FLIGHT_BYTES: usize = 16 * MIB;
const QUEUE_BYTES: usize = 8 * MIB;
/// What librdkafka has fetched and nobody has polled, and an answer that is on its way.
const FETCHED_BYTES: usize = 32 * MIB;
/// How long a backlog may take to be answered.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was measured.
#[derive(Debug)]
pub struct Held {
    /// Resident memory before there was a backlog.
    pub before: usize,
    /// The most while it was answered.
    pub peak: usize,
    /// What infer may hold beyond `before`.
    pub budget: usize,
    /// How often reading paused.
    pub pauses: f64,
    /// From the first record of the backlog to its last answer.
    pub took: Duration,
}

#[allow(clippy::print_stdout, reason = "what was measured is worth seeing")]
fn say(records: usize, held: &Held) {
    println!("{records} MiB: {held:?}");
}

/// Lets infer answer so many records of 1 MiB that are there all at once. The line has the topics of the model `slow`.
///
/// # Panics
/// When they are not answered, or infer holds more than its budget and a fifth of it.
pub fn check_memory(line: &Line, records: usize) -> Held {
    let settings = line.infer_settings(Infer {
        models: "tests/models",
        names: &["slow"],
        max_rows: ROWS,
        settings: SETTINGS,
        ..Infer::default()
    });
    let consumer = format!("[consumer]\nmax_in_flight_bytes = {IN_FLIGHT_BYTES}\n");
    let settings = settings.replace("[consumer]\n", &consumer);
    let mut infer = Process::start("millrace-infer", "admin.port_file", line.dir(), &settings);
    infer.wait_ready();
    // What the first records make it set up is not held for others.
    send(line, 4);
    wait_answered(&infer, 4, |_| ());
    let mut held = Held {
        before: infer.resident_bytes(),
        peak: 0,
        budget: IN_FLIGHT_BYTES + QUEUE_BYTES + FETCHED_BYTES,
        pauses: 0.0,
        took: Duration::ZERO,
    };
    let pauses = infer.metric("millrace_kafka_pauses_total");
    let begun = Instant::now();
    send(line, records);
    wait_answered(&infer, records + 4, |infer| {
        held.peak = held.peak.max(infer.resident_bytes());
    });
    held.took = begun.elapsed();
    held.pauses = infer.metric("millrace_kafka_pauses_total") - pauses;
    say(records, &held);
    let more = held.peak.saturating_sub(held.before);
    assert!(more <= held.budget + held.budget / 5, "{held:?}");
    assert!(held.pauses <= held.took.as_secs_f64() + 1.0, "{held:?}");
    held
}

fn send(line: &Line, records: usize) {
    let feed = Feed::new(line, "requests.slow");
    let tensor = Tensor::fixed("x", DType::Float32, vec![ROWS, 4], noise(4 * ROWS));
    let record = encode_tensors(&[tensor.expect("rows of four")]).expect("a tensor encodes");
    for _ in 0..records {
        feed.send(None, Some(record.clone()), &[]);
    }
    feed.flush();
}

/// Numbers that do not compress. librdkafka unpacks all that it has fetched at once, so of values that compress a
/// hundredfold it holds a hundred times what it fetches.
fn noise(values: usize) -> Buffer {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // A number between 1 and 2 whose digits are the state's.
        f32::from_bits(0x3f80_0000 | (state >> 9))
    };
    Buffer::from_vec(
        std::iter::repeat_with(next)
            .take(values)
            .collect::<Vec<_>>(),
    )
}

fn wait_answered(infer: &Process, records: usize, mut look: impl FnMut(&Process)) {
    let until = Instant::now() + PATIENCE;
    let mut answered = 0.0;
    while answered < f64::from(u32::try_from(records).expect("a test has few records")) {
        assert!(Instant::now() < until, "{answered} of {records} answered");
        look(infer);
        thread::sleep(Duration::from_millis(50));
        answered = infer.metric("millrace_infer_results_total");
    }
}
