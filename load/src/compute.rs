//! Kafka to infer to Kafka with models that compute a lot, beside the same library in this process with as many threads:
//! how much of its throughput is left, and whether infer chooses its batches well.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use millrace_kafka::{Headers, Metrics, OutRecord, Producer, ProducerSettings};
use ort::environment::Environment;
use serde::Serialize;

use crate::check::{Expected, check};
use crate::cpu;
use crate::line::{Line, Serving};
use crate::networks::{Library, NETWORKS, Network, Outputs};
use crate::options::{Options, Plan};
use crate::ratio::Ratio;
use crate::samples::Run;
use crate::say;
use crate::stream::sample;

/// How long the producer may wait for room.
const PATIENCE: Duration = Duration::from_secs(300);

/// All networks.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One after another.
    pub networks: Vec<NetworkReport>,
}

/// What was measured of one network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkReport {
    /// The model's name.
    pub model: String,
    /// What its rows are.
    pub unit: String,
    /// Threads of the engine, here and there.
    pub threads: usize,
    /// Bytes of a request's value.
    pub record_bytes: usize,
    /// Records of each run.
    pub records: u64,
    /// What is asked of infer by the library in process.
    pub aim: f64,
    /// One after another.
    pub rounds: Vec<Round>,
}

/// Runs that are compared with each other.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// The library in this process: batch size and rows per second.
    pub library: Vec<(usize, f64)>,
    /// Infer with the batch that it chose.
    pub chosen: Run,
    /// What it chose.
    pub chosen_rows: usize,
    /// Infer with batches of fixed sizes.
    pub fixed: Vec<(usize, Run)>,
}

impl Round {
    fn best_of_library(&self) -> f64 {
        self.library.iter().map(|at| at.1).fold(0.0, f64::max)
    }

    fn best_fixed(&self) -> f64 {
        let rates = self.fixed.iter().map(|at| at.1.rows_per_s);
        rates.fold(0.0, f64::max)
    }
}

/// Measures every network.
///
/// # Errors
/// When a process fails, an answer is wrong, or a model is not there.
pub fn measure(options: &Options, environment: &Environment, dir: &Path) -> anyhow::Result<Report> {
    let mut networks = Vec::new();
    for network in NETWORKS {
        let mut bench = Bench::new(options, Library::load(network, environment, options)?, dir)?;
        networks.push(bench.measure()?);
    }
    Ok(Report { networks })
}

struct Bench<'a> {
    options: &'a Options,
    plan: Plan,
    network: Network,
    library: Library,
    records: Vec<Vec<u8>>,
    outputs: Arc<Outputs>,
    dir: &'a Path,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, mut library: Library, dir: &'a Path) -> anyhow::Result<Self> {
        Ok(Self {
            options,
            plan: options.plan(),
            network: library.network(),
            records: library.records()?,
            outputs: Arc::new(library.outputs()?),
            library,
            dir,
        })
    }

    fn measure(&mut self) -> anyhow::Result<NetworkReport> {
        let network = self.network;
        ensure!(
            self.plan.rounds > 0,
            "no rounds: there is nothing to measure"
        );
        let mut rounds = Vec::new();
        for number in 1..=self.plan.rounds {
            let round = self.round(number)?;
            say(&format!(
                "compute: {}, round {number} of {}: {}/s in process {:.1}, through Kafka {:.1} in batches of {}, best of \
                 fixed batches {:.1}",
                network.model,
                self.plan.rounds,
                network.unit,
                round.best_of_library(),
                round.chosen.rows_per_s,
                round.chosen_rows,
                round.best_fixed()
            ));
            rounds.push(round);
        }
        Ok(NetworkReport {
            model: network.model.to_owned(),
            unit: network.unit.to_owned(),
            threads: network.engine_threads(),
            record_bytes: self.records.first().map_or(0, Vec::len),
            records: self.count(),
            aim: network.aim,
            rounds,
        })
    }

    fn round(&mut self, number: usize) -> anyhow::Result<Round> {
        let (chosen, output) = self.infer(&format!("{number}-chosen"), None)?;
        let mut library = Vec::new();
        let mut fixed = Vec::new();
        for &size in self.sizes() {
            let time = self.plan.search_step;
            library.push((size, self.library.rows_per_s(size, time)?));
            let (run, _) = self.infer(&format!("{number}-{size}"), Some(size))?;
            fixed.push((size, run));
        }
        Ok(Round {
            library,
            chosen,
            chosen_rows: chosen_rows(&output).context("infer did not say what it chose")?,
            fixed,
        })
    }

    /// One run of infer over a backlog of its own, and what it logged.
    fn infer(&self, name: &str, max_rows: Option<usize>) -> anyhow::Result<(Run, String)> {
        let name = format!("{}-{name}", self.network.model);
        let line = Line::of_model(self.options, (&name, self.network.model), self.dir)?;
        self.fill(&line)?;
        let serving = Serving {
            threads: Some(self.network.engine_threads()),
            max_rows,
            ..Serving::default()
        };
        let mut process = line.start_infer_as(serving)?;
        let broker = cpu::broker_pid(&self.options.brokers);
        let results = line.results();
        let samples = sample(&mut process, broker, || {
            let written: i64 = line.admin.end_offsets(&results)?.values().sum();
            Ok(u64::try_from(written)? >= self.count())
        })?;
        let usage = cpu::usage(process.pid())?;
        let output = process.output();
        process.stop()?;
        let expected = Expected::Outputs(Arc::clone(&self.outputs));
        let arrivals = check(&line, &results, self.count(), expected)?;
        Ok((samples.run(arrivals, usage), output))
    }

    fn fill(&self, line: &Line) -> anyhow::Result<()> {
        let settings = ProducerSettings {
            cluster: line.cluster.clone(),
            linger: Duration::from_millis(5),
            ..ProducerSettings::default()
        };
        let producer = Producer::start(&settings, &Metrics::default())?;
        let topic: Arc<str> = line.requests().into();
        let partitions = u64::from(self.plan.partitions.unsigned_abs());
        for id in 0..self.count() {
            let value = &self.records[usize::try_from(id % self.network.distinct)?];
            let record = OutRecord {
                topic: Arc::clone(&topic),
                partition: Some(i32::try_from(id % partitions)?),
                key: Some(id.to_string().into_bytes()),
                value: Some(value.clone()),
                headers: Headers::new(),
            };
            // A record that is not delivered is missed when the answers are checked.
            producer
                .send_blocking(record, |_| (), PATIENCE)
                .map_err(|not_sent| not_sent.reason)?;
        }
        Ok(producer.stop(PATIENCE)?)
    }

    fn count(&self) -> u64 {
        let (whole, short) = self.network.records;
        if self.options.short { short } else { whole }
    }

    fn sizes(&self) -> &'static [usize] {
        let (whole, short) = self.network.sizes;
        if self.options.short { short } else { whole }
    }
}

/// The rows that infer logged when it had timed batches, whatever the format of its log.
fn chosen_rows(output: &str) -> Option<usize> {
    let line = output
        .lines()
        .find(|line| line.contains("batch size by measured cost"))?;
    let (_, after) = line.split_once(" rows=").or(line.split_once("\"rows\":"))?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Report {
    /// A table for each network, not wider than 80 columns.
    ///
    /// # Errors
    /// Never.
    pub fn write(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "## Kafka to Kafka beside the library in process\n")?;
        writeln!(
            text,
            "One row a record, the whole backlog waits; medians of the rounds, in brackets\nlowest and highest.\n"
        )?;
        for network in &self.networks {
            network.write(text)?;
        }
        Ok(())
    }
}

impl NetworkReport {
    fn write(&self, text: &mut String) -> anyhow::Result<()> {
        let Self {
            model,
            unit,
            threads,
            record_bytes,
            records,
            ..
        } = self;
        writeln!(
            text,
            "{model}: {records} records of {record_bytes} bytes, {threads} threads of the engine.\n"
        )?;
        writeln!(
            text,
            "| Rows a batch | {:>20} | {:>20} |",
            format!("in process, {unit}/s"),
            format!("infer, {unit}/s")
        )?;
        writeln!(text, "|-------------:|{0:-<21}:|{0:-<21}:|", "")?;
        let sizes = self.rounds.first().map(|round| round.fixed.len());
        for index in 0..sizes.unwrap_or(0) {
            let size = self.rounds[0].fixed[index].0;
            let library = self.median(|round| round.library[index].1)?;
            let infer = self.median(|round| round.fixed[index].1.rows_per_s)?;
            writeln!(text, "| {size:>12} | {library:>20.1} | {infer:>20.1} |")?;
        }
        let chosen = self.median(|round| round.chosen.rows_per_s)?;
        let rows: Vec<String> = self
            .rounds
            .iter()
            .map(|round| round.chosen_rows.to_string())
            .collect();
        writeln!(
            text,
            "| {:>12} | {:>20} | {chosen:>20.1} |\n",
            format!("measured: {}", rows.join(" ")),
            ""
        )?;
        let kept = self.ratio(|round| (round.chosen.rows_per_s, round.best_of_library()))?;
        let choice = self.ratio(|round| (round.chosen.rows_per_s, round.best_fixed()))?;
        writeln!(
            text,
            "- infer by the library's best: {kept}, asked for {:.2}\n- infer by its own best fixed batch: {choice}, asked \
             for 0.95\n",
            self.aim
        )?;
        Ok(())
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> anyhow::Result<f64> {
        let values = self.rounds.iter().map(of).collect();
        Ok(Ratio::summary(values).context("no rounds")?.median)
    }

    fn ratio(&self, of: impl Fn(&Round) -> (f64, f64)) -> anyhow::Result<String> {
        let ratio = Ratio::of(self.rounds.iter().map(of)).context("no rounds")?;
        let Ratio { median, min, max } = ratio;
        Ok(format!("{median:.2} ({min:.2}-{max:.2})"))
    }
}

#[cfg(test)]
mod tests {
    use super::chosen_rows;

    #[test]
    fn what_infer_chose_is_read_from_its_log() {
        let text = "x INFO model=mlp rows=1\nINFO batch size by measured cost model=\"mlp\" version=1 rows=16 curve=1: 9";
        assert_eq!(chosen_rows(text), Some(16));
        let json =
            r#"{"message":"batch size by measured cost","model":"mlp","rows":16,"curve":"1: 9"}"#;
        assert_eq!(chosen_rows(json), Some(16));
        assert_eq!(chosen_rows("nothing"), None);
    }
}
