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

/// All runs, and how they compare.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of a request's value.
    pub record_bytes: usize,
    /// The plain loop: one run before each run of infer and one after the last.
    pub plain: Vec<Run>,
    /// Infer.
    pub infer: Vec<Run>,
    /// Rate of infer by that of the plain loop before it.
    pub rate: Ratio,
    /// Processor time per row of infer by that of the plain loop before it.
    pub cpu: Ratio,
    /// Rate of a plain loop by that of the one before it: the error of the method.
    pub self_check: Ratio,
    /// ONNX Runtime alone, in this process, in batches: processor time per row.
    pub onnx_cpu_us_per_row: f64,
}

/// Measures everything.
///
/// # Errors
/// When a process fails, an answer is wrong, or no pair was asked for.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let plan = options.plan();
    ensure!(
        plan.pairs > 0 && plan.records > 1,
        "there is nothing to measure: no pairs, or less than two records"
    );
    let answers = reference.answers(plan.records)?;
    let onnx_cpu_us_per_row = microseconds_per_row(answers.cpu, plan.records);
    let bench = Bench {
        options,
        plan,
        answers: Expected::Answers(Arc::new(answers.answers)),
        dir,
    };
    say("stream: warming up the broker");
    bench.round("warm-up", 0)?;
    let (mut plain, mut infer) = (Vec::new(), Vec::new());
    for pair in 1..=bench.plan.pairs {
        let (before, measured, after) = bench.round(
            &format!("pair-{pair}"),
            usize::from(pair == bench.plan.pairs),
        )?;
        say(&format!(
            "stream: pair {pair} of {}: plain loop {:.0} rows/s, infer {:.0} rows/s",
            bench.plan.pairs, before.rows_per_s, measured.rows_per_s
        ));
        plain.push(before);
        plain.extend(after);
        infer.push(measured);
    }
    let pairs = || infer.iter().zip(&plain);
    let enough = "at least one pair was measured";
    Ok(Report {
        record_bytes: rows::record(0)?.len(),
        rate: Ratio::of(pairs().map(|(infer, plain)| (infer.rows_per_s, plain.rows_per_s)))
            .context(enough)?,
        cpu: Ratio::of(pairs().map(|(infer, plain)| (infer.cpu_us_per_row, plain.cpu_us_per_row)))
            .context(enough)?,
        self_check: Ratio::of(
            plain
                .windows(2)
                .map(|two| (two[1].rows_per_s, two[0].rows_per_s)),
        )
        .context(enough)?,
        onnx_cpu_us_per_row,
        plain,
        infer,
    })
}

struct Bench<'a> {
    options: &'a Options,
    plan: Plan,
    answers: Expected,
    dir: &'a Path,
}

impl Bench<'_> {
    /// The plain loop, infer, and the plain loop again if asked, on one backlog.
    fn round(&self, name: &str, echoes_after: usize) -> anyhow::Result<(Run, Run, Option<Run>)> {
        let line = Line::new(self.options, name, self.dir)?;
        fill(&line, &self.plan)?;
        let before = self.plain(&line, 0)?;
        let infer = self.timed(
            line.start_infer()?,
            &line,
            (&line.results(), self.answers.clone()),
        )?;
        let after = (1..=echoes_after)
            .map(|number| self.plain(&line, number))
            .next()
            .transpose()?;
        Ok((before, infer, after))
    }

    fn plain(&self, line: &Line, number: usize) -> anyhow::Result<Run> {
        let topic = line.echo_topic(number)?;
        self.timed(
            line.start_echo(&topic, self.plan.records)?,
            line,
            (&topic, Expected::Requests),
        )
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
fn fill(line: &Line, plan: &Plan) -> anyhow::Result<()> {
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

fn sample(
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
