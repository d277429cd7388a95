//! What `exactly_once` costs beside `at_least_once`, over the same backlog, and how soon results come after a kill.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use millrace_kafka::{
    Headers, Metrics, OutRecord, ProducerSettings, TransactionSettings, Transactions,
};
use serde::Serialize;

use crate::check::{Expected, check};
use crate::cpu;
use crate::line::{Line, Serving};
use crate::options::{Options, Plan};
use crate::ratio::Ratio;
use crate::reference::Reference;
use crate::samples::Run;
use crate::say;
use crate::stream::{fill, sample};

/// Transactions that are timed one by one.
const TRANSACTIONS: usize = 300;

/// The runs of a round, each over a backlog of its own.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// The default.
    pub at_least_once: Run,
    /// Committed every 100 ms.
    pub exactly_once: Run,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One after another.
    pub rounds: Vec<Round>,
    /// A transaction of one small record, in ms.
    pub transaction_ms: Ratio,
    /// From the start of the process that follows a killed one to its first committed result, in s.
    pub restart_s: Ratio,
}

impl Report {
    /// Rows per second of exactly once by those of at least once.
    ///
    /// # Errors
    /// Without any round.
    pub fn ratio(&self) -> anyhow::Result<Ratio> {
        let pairs = self.rounds.iter();
        Ratio::of(pairs.map(|it| (it.exactly_once.rows_per_s, it.at_least_once.rows_per_s)))
            .context("no round was measured")
    }

    /// The table in Markdown.
    ///
    /// # Errors
    /// Without any round.
    pub fn write(&self, text: &mut String) -> anyhow::Result<()> {
        let rows = |of: fn(&Round) -> f64| Ratio::summary(self.rounds.iter().map(of).collect());
        let rate = self.ratio()?;
        writeln!(text, "## Exactly once beside at least once\n")?;
        writeln!(
            text,
            "One broker, one replica, commits every 100 ms. Medians; in brackets lowest and highest.\n"
        )?;
        writeln!(text, "| {:<38} | {:>24} |", "", "")?;
        writeln!(text, "|:{0:-<38}-|-{0:->24}:|", "")?;
        for (name, figure) in [
            (
                "at least once, rows/s",
                rows(|it| it.at_least_once.rows_per_s),
            ),
            (
                "exactly once, rows/s",
                rows(|it| it.exactly_once.rows_per_s),
            ),
            ("exactly : at least once (paired)", Some(rate)),
            ("transaction of one record, ms", Some(self.transaction_ms)),
            ("kill -9, start, first result, s", Some(self.restart_s)),
        ] {
            let Ratio { median, min, max } = figure.context("no round was measured")?;
            let figure = match median {
                100.0.. => format!("{median:.0} ({min:.0}-{max:.0})"),
                _ => format!("{median:.2} ({min:.2}-{max:.2})"),
            };
            writeln!(text, "| {name:<38} | {figure:>24} |")?;
        }
        writeln!(text)?;
        Ok(())
    }
}

/// Measures everything.
///
/// # Errors
/// When a process fails, an answer is wrong, or there is nothing to measure.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let plan = options.plan();
    let expected = Expected::Answers(Arc::new(reference.answers(plan.records)?.answers));
    let bench = Bench {
        options,
        plan,
        expected,
        dir,
    };
    bench.run("delivery-warm-up", Serving::default())?;
    let mut rounds = Vec::new();
    for number in 1..=bench.plan.rounds {
        let round = bench.round(number)?;
        say(&format!(
            "delivery: round {number} of {}: rows/s at least once {:.0}, exactly once {:.0}",
            bench.plan.rounds, round.at_least_once.rows_per_s, round.exactly_once.rows_per_s
        ));
        rounds.push(round);
    }
    let restarts: anyhow::Result<Vec<f64>> = (1..=bench.plan.rounds)
        .map(|it| bench.restart(it))
        .collect();
    Ok(Report {
        rounds,
        transaction_ms: bench.transactions()?,
        restart_s: Ratio::summary(restarts?).context("no round was measured")?,
    })
}

struct Bench<'a> {
    options: &'a Options,
    plan: Plan,
    expected: Expected,
    dir: &'a Path,
}

impl Bench<'_> {
    /// The order changes, so that what a run leaves behind does not always meet the same one.
    fn round(&self, number: usize) -> anyhow::Result<Round> {
        let plain = || self.run(&format!("alo-{number}"), Serving::default());
        let exact = || self.run(&format!("eos-{number}"), exactly_once());
        let (at_least_once, exactly_once) = if number.is_multiple_of(2) {
            let first = exact()?;
            (plain()?, first)
        } else {
            (plain()?, exact()?)
        };
        Ok(Round {
            at_least_once,
            exactly_once,
        })
    }

    fn run(&self, name: &str, serving: Serving) -> anyhow::Result<Run> {
        let line = Line::new(self.options, name, self.dir)?;
        fill(&line, &self.plan)?;
        let mut process = line.start_infer_as(serving)?;
        let broker = cpu::broker_pid(&self.options.brokers);
        // Markers of transactions have offsets too, so the group's own progress tells.
        let samples = sample(&mut process, broker, || {
            Ok(done(&line)? >= self.plan.records)
        })?;
        let usage = cpu::usage(process.pid())?;
        process.stop()?;
        let expected = self.expected.clone();
        let arrivals = check(&line, &line.results(), self.plan.records, expected)?;
        Ok(samples.run(arrivals, usage))
    }

    /// Seconds until a process that takes a killed one's place has committed something.
    fn restart(&self, number: usize) -> anyhow::Result<f64> {
        let line = Line::new(self.options, &format!("restart-{number}"), self.dir)?;
        fill(&line, &self.plan)?;
        let mut killed = line.start_infer_as(exactly_once())?;
        killed.wait_for("a first commit", || (done(&line).ok()? > 0).then_some(()))?;
        killed.kill()?;
        let before = done(&line)?;
        let begun = Instant::now();
        let mut next = line.start_infer_as(exactly_once())?;
        next.wait_for("a commit after the restart", || {
            (done(&line).ok()? > before).then_some(())
        })?;
        let took = begun.elapsed().as_secs_f64();
        next.stop()?;
        Ok(took)
    }

    fn transactions(&self) -> anyhow::Result<Ratio> {
        let line = Line::new(self.options, "transactions", self.dir)?;
        let topic: Arc<str> = line.results().into();
        let settings = TransactionSettings {
            producer: ProducerSettings {
                cluster: line.cluster.clone(),
                ..ProducerSettings::default()
            },
            transactional_id: topic.to_string(),
            timeout: Duration::from_secs(15),
        };
        let mut transactions = Transactions::open(&settings, &Metrics::default())?;
        transactions.prepare()?;
        let mut times = Vec::with_capacity(TRANSACTIONS);
        for _ in 0..TRANSACTIONS {
            let record = OutRecord {
                topic: Arc::clone(&topic),
                partition: Some(0),
                key: None,
                value: Some(b"one".to_vec()),
                headers: Headers::new(),
            };
            let begun = Instant::now();
            transactions.write(&[record])?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ratio::summary(times).context("no transaction was timed")
    }
}

/// Under a name that it keeps, so that a successor need not wait for the group to miss it.
fn exactly_once() -> Serving {
    Serving {
        exactly_once: true,
        ..Serving::default()
    }
}

/// Requests that the group has done with.
fn done(line: &Line) -> anyhow::Result<u64> {
    let committed = line.admin.committed(&line.group(), &line.requests())?;
    Ok(u64::try_from(committed.values().sum::<i64>())?)
}
