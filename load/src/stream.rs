//! Kafka to infer to Kafka, one row per record, beside a plain consume-and-produce loop over the same records.
//!
//! Both are processes that find the whole backlog waiting. The first and the last answer are timed by the broker, so
//! that nothing else has to run meanwhile; processor time is taken between these two moments.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use millrace_kafka::{Headers, Metrics, OutRecord, Producer, ProducerSettings};
use serde::Serialize;

use crate::check::{Expected, check};
use crate::cpu;
use crate::line::Line;
use crate::options::{Options, Plan};
use crate::process::Process;
use crate::ratio::Ratio;
use crate::reference::Reference;
use crate::samples::{Run, Samples, microseconds_per_row};
use crate::{rows, say};

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two samples of processor time.
const SAMPLE: Duration = Duration::from_millis(20);

/// Samples between two questions to the broker whether all answers are there.
const SAMPLES_PER_QUESTION: usize = 5;

/// The runs on one backlog, in this order.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// The plain loop, which writes what it reads.
    pub plain: Run,
    /// The plain loop writing only so many bytes of each value as an answer has.
    pub plain_small: Run,
    /// Infer.
    pub infer: Run,
    /// The plain loop once more.
    pub plain_again: Run,
}

/// All runs, and how they compare.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of a request's value.
    pub record_bytes: usize,
    /// Bytes of an answer's value.
    pub answer_bytes: usize,
    /// ONNX Runtime alone, in this process, in batches: processor time per row.
    pub onnx_cpu_us_per_row: f64,
    /// One after another.
    pub rounds: Vec<Round>,
}

impl Report {
    /// Figures of two runs of each round, the first by the second.
    ///
    /// # Errors
    /// Without any round.
    pub fn ratio(&self, of: fn(&Round) -> (f64, f64)) -> anyhow::Result<Ratio> {
        Ratio::of(self.rounds.iter().map(of)).context("no round was measured")
    }
}

/// Measures everything.
///
/// # Errors
/// When a process fails, an answer is wrong, or there is nothing to measure.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let plan = options.plan();
    ensure!(
        plan.rounds > 0 && plan.records > 1,
        "no rounds, or less than two records: there is nothing to measure"
    );
    let answers = reference.answers(plan.records)?;
    let onnx_cpu_us_per_row = microseconds_per_row(answers.cpu, plan.records);
    let expected = Expected::Answers(Arc::new(answers.answers));
    let bench = Bench {
        options,
        plan,
        expected,
        dir,
    };
    say("stream: warming up the broker");
    bench.round("warm-up")?;
    let mut rounds = Vec::new();
    for number in 1..=bench.plan.rounds {
        let round = bench.round(&format!("round-{number}"))?;
        say(&format!(
            "stream: round {number} of {}: rows/s of the plain loop {:.0}, with small values {:.0}, of infer {:.0}",
            bench.plan.rounds,
            round.plain.rows_per_s,
            round.plain_small.rows_per_s,
            round.infer.rows_per_s
        ));
        rounds.push(round);
    }
    let record_bytes = rows::record(0)?.len();
    Ok(Report {
        record_bytes,
        answer_bytes: rows::answer_bytes()?,
        onnx_cpu_us_per_row,
        rounds,
    })
}

struct Bench<'a> {
    options: &'a Options,
    plan: Plan,
    expected: Expected,
    dir: &'a Path,
}

impl Bench<'_> {
    fn round(&self, name: &str) -> anyhow::Result<Round> {
        let line = Line::new(self.options, name, self.dir)?;
        fill(&line, &self.plan)?;
        let whole = usize::MAX;
        Ok(Round {
            plain: self.plain(&line, "whole", whole)?,
            plain_small: self.plain(&line, "small", rows::answer_bytes()?)?,
            infer: self.timed(
                line.start_infer()?,
                &line,
                (&line.results(), self.expected.clone()),
            )?,
            plain_again: self.plain(&line, "again", whole)?,
        })
    }

    fn plain(&self, line: &Line, name: &str, bytes: usize) -> anyhow::Result<Run> {
        let topic = line.echo_topic(name)?;
        let process = line.start_echo(&topic, (self.plan.records, bytes))?;
        self.timed(process, line, (&topic, Expected::Requests(bytes)))
    }

    fn timed(
        &self,
        mut process: Process,
        line: &Line,
        (topic, expected): (&str, Expected),
    ) -> anyhow::Result<Run> {
        let broker = cpu::broker_pid(&self.options.brokers);
        let samples = sample(&mut process, broker, || {
            let written: i64 = line.admin.end_offsets(topic)?.values().sum();
            Ok(u64::try_from(written)? >= self.plan.records)
        })?;
        let usage = cpu::usage(process.pid())?;
        process.stop()?;
        let arrivals = check(line, topic, self.plan.records, expected)?;
        Ok(samples.run(arrivals, usage))
    }
}

/// Writes the backlog: ids from 0, spread evenly over the partitions.
pub(crate) fn fill(line: &Line, plan: &Plan) -> anyhow::Result<()> {
    let linger = Duration::from_millis(5);
    let settings = ProducerSettings {
        cluster: line.cluster.clone(),
        linger,
        ..ProducerSettings::default()
    };
    let producer = Producer::start(&settings, &Metrics::default())?;
    let topic: Arc<str> = line.requests().into();
    for id in 0..plan.records {
        let partition = i32::try_from(id % u64::from(plan.partitions.unsigned_abs()))?;
        let record = OutRecord {
            topic: Arc::clone(&topic),
            partition: Some(partition),
            key: Some(id.to_string().into_bytes()),
            value: Some(rows::record(id)?),
            headers: Headers::new(),
        };
        // A record that is not delivered is missed when the answers are checked.
        producer
            .send_blocking(record, |_| (), PATIENCE)
            .map_err(|not_sent| not_sent.reason)?;
    }
    Ok(producer.stop(PATIENCE)?)
}

pub(crate) fn sample(
    process: &mut Process,
    broker: Option<u32>,
    mut is_done: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Samples> {
    let until = Instant::now() + PATIENCE;
    let mut samples = Samples::default();
    loop {
        for _ in 0..SAMPLES_PER_QUESTION {
            process.check_running()?;
            samples.take(process.pid(), broker)?;
            sleep(SAMPLE);
        }
        if is_done()? {
            samples.take(process.pid(), broker)?;
            return Ok(samples);
        }
        ensure!(
            Instant::now() < until,
            "not all answers are there after {} s",
            PATIENCE.as_secs()
        );
    }
}
