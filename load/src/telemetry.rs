//! Kafka to infer to Kafka with telemetry beside the same without: metrics scraped every second and sent over OTLP, and
//! one trace in a hundred recorded. Pairs, in turns which of the two goes first.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use millrace_openloop::{Connection, Request};
use serde::Serialize;

use crate::check::{Expected, check};
use crate::cpu;
use crate::line::{Line, Service};
use crate::options::Options;
use crate::ratio::Ratio;
use crate::reference::Reference;
use crate::samples::Run;
use crate::say;
use crate::stream::{fill, sample};

/// Share of the traces that are recorded.
const TRACE_RATIO: f64 = 0.01;

/// Between two scrapes; Prometheus asks less often.
const SCRAPES: Duration = Duration::from_secs(1);

/// One backlog without, one with.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// No collector, and nobody scrapes.
    pub without: Run,
    /// Everything.
    pub with: Run,
}

/// All pairs.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One after another.
    pub pairs: Vec<Pair>,
    /// Messages that the collector took.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
}

impl Report {
    /// The table in Markdown.
    ///
    /// # Errors
    /// Without any pair.
    pub fn write(&self, text: &mut String) -> anyhow::Result<()> {
        let ratio = |of: fn(&Run) -> f64| {
            let pairs = self.pairs.iter();
            Ratio::of(pairs.map(|pair| (of(&pair.with), of(&pair.without))))
                .context("no pair was measured")
        };
        let (rate, cpu) = (
            ratio(|run| run.rows_per_s)?,
            ratio(|run| run.cpu_us_per_row)?,
        );
        let percent = TRACE_RATIO * 100.0;
        writeln!(text, "## Telemetry, {percent} % of the traces\n")?;
        writeln!(
            text,
            "{} pairs; the collector took {} messages, {} bytes.\n",
            self.pairs.len(),
            self.messages,
            self.message_bytes
        )?;
        writeln!(text, "| {:<22} | {:<20} |", "With : without (paired)", "")?;
        writeln!(text, "|:{0:-<22}-|:{0:-<20}-|", "")?;
        for (name, ratio) in [("rows/s", rate), ("CPU per row of infer", cpu)] {
            let Ratio { median, min, max } = ratio;
            let figures = format!("{median:.3} [{min:.3}, {max:.3}]");
            writeln!(text, "| {name:<22} | {figures:<20} |")?;
        }
        writeln!(text)?;
        Ok(())
    }
}

/// Measures everything.
///
/// # Errors
/// When a process fails or an answer is wrong.
pub fn measure(options: &Options, reference: &mut Reference, dir: &Path) -> anyhow::Result<Report> {
    let plan = options.plan();
    let answers = reference.answers(plan.records)?;
    let expected = Expected::Answers(Arc::new(answers.answers));
    let collector = Collector::start()?;
    let with = Options {
        infer_settings: format!("{}\n{}", options.infer_settings, collector.settings()),
        ..options.clone()
    };
    let run = |name: &str, options: &Options, is_scraped: bool| {
        let bench = Bench {
            options,
            dir,
            expected: expected.clone(),
            is_scraped,
        };
        bench.run(name)
    };
    say("telemetry: warming up the broker");
    run("telemetry-warm-up", options, false)?;
    let mut pairs = Vec::new();
    for number in 1..=plan.rounds {
        let off = || run(&format!("telemetry-off-{number}"), options, false);
        let on = || run(&format!("telemetry-on-{number}"), &with, true);
        let (without, with) = if number % 2 == 0 {
            let with = on()?;
            (off()?, with)
        } else {
            let without = off()?;
            (without, on()?)
        };
        say(&format!(
            "telemetry: pair {number} of {}: rows/s without {:.0}, with {:.0}",
            plan.rounds, without.rows_per_s, with.rows_per_s
        ));
        pairs.push(Pair { without, with });
    }
    Ok(Report {
        pairs,
        messages: collector.taken.messages.load(Ordering::Relaxed),
        message_bytes: collector.taken.bytes.load(Ordering::Relaxed),
    })
}

struct Bench<'a> {
    options: &'a Options,
    dir: &'a Path,
    expected: Expected,
    is_scraped: bool,
}

impl Bench<'_> {
    /// A backlog on a line of its own, answered.
    fn run(&self, name: &str) -> anyhow::Result<Run> {
        let line = Line::new(self.options, name, self.dir)?;
        let plan = self.options.plan();
        fill(&line, &plan)?;
        let broker = cpu::broker_pid(&self.options.brokers);
        let Service {
            mut process,
            address,
        } = line.start_infer_service()?;
        let is_over = AtomicBool::new(false);
        let samples = thread::scope(|scope| {
            if self.is_scraped {
                scope.spawn(|| scrape(address, &is_over));
            }
            let samples = sample(&mut process, broker, || {
                let written: i64 = line.admin.end_offsets(&line.results())?.values().sum();
                Ok(u64::try_from(written)? >= plan.records)
            });
            is_over.store(true, Ordering::Relaxed);
            samples
        })?;
        let usage = cpu::usage(process.pid())?;
        process.stop()?;
        let arrivals = check(&line, &line.results(), plan.records, self.expected.clone())?;
        Ok(samples.run(arrivals, usage))
    }
}

/// As Prometheus does, only more often.
fn scrape(address: SocketAddr, is_over: &AtomicBool) {
    let mut connection = Connection::new(address);
    let question = Request::get("/metrics");
    while !is_over.load(Ordering::Relaxed) {
        // A scrape that fails is one that costs nothing; the report's figures are of infer's answers.
        let _ = connection.send(&question);
        thread::sleep(SCRAPES);
    }
}

/// Takes what comes, and counts it.
struct Collector {
    address: SocketAddr,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Collector {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let taken = Arc::<Taken>::default();
        let count = Arc::clone(&taken);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                // It ends with the connection.
                thread::spawn(move || serve(&connection, &count));
            }
        });
        Ok(Self { address, taken })
    }

    fn settings(&self) -> String {
        format!(
            "[telemetry]\notlp_endpoint = \"http://{}\"\ntrace_ratio = {TRACE_RATIO}\nmetrics_interval = \"5s\"\n",
            self.address
        )
    }
}

/// Answers the messages of one connection until it is closed.
fn serve(connection: &TcpStream, count: &Taken) -> Option<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let (mut size_bytes, mut line) = (0, String::new());
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).ok()?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                size_bytes = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; size_bytes];
        reader.read_exact(&mut body).ok()?;
        count.messages.fetch_add(1, Ordering::Relaxed);
        count.bytes.fetch_add(size_bytes as u64, Ordering::Relaxed);
        let mut writer = connection;
        writer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}
