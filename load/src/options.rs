//! What is measured, for how long, and with which files.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

/// Measures Millrace: Kafka to Kafka beside a plain loop, and /predict beside ONNX Runtime in process.
///
/// `scripts/bench` builds everything, starts a broker and calls this.
#[derive(Debug, Clone, Parser)]
#[command(name = "millrace-load", version)]
pub struct Options {
    /// The broker, `host:port`.
    #[arg(long)]
    pub brokers: String,
    /// Folder of the programs to measure (millrace, millrace-infer, millrace-ingest, examples/echo).
    #[arg(long, default_value = "target/release")]
    pub programs: PathBuf,
    /// Folder that holds the model as `ffnn/1/model.onnx`.
    #[arg(long, default_value = "load/models")]
    pub models: PathBuf,
    /// libonnxruntime.so.
    #[arg(long, default_value = ".native/onnxruntime/libonnxruntime.so")]
    pub library: PathBuf,
    /// Where latest.md and latest.json are written.
    #[arg(long, default_value = "load/reports")]
    pub reports: PathBuf,
    /// The broker's version, for the report; Kafka does not tell its clients.
    #[arg(long, default_value = "unknown")]
    pub kafka_version: String,
    /// Two minutes instead of eight: fewer rounds, fewer records, shorter loads.
    #[arg(long)]
    pub short: bool,
    /// Only one of the scenarios.
    #[arg(long, value_enum)]
    pub only: Option<Scenario>,
    /// Rounds of plain loops and infer, instead of the plan's.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Records in the backlog, instead of the plan's.
    #[arg(long)]
    pub records: Option<u64>,
    /// Further TOML for the settings of infer, for trying things out; it is written into the ledger.
    #[arg(long, default_value = "")]
    pub infer_settings: String,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Kafka to infer to Kafka.
    Stream,
    /// HTTP.
    Predict,
    /// Kafka to Kafka with models that compute a lot.
    Compute,
    /// HTTP while new versions of the model take over.
    Swap,
    /// Exactly once beside at least once.
    Delivery,
    /// Kafka to Kafka with metrics and traces, and without.
    Telemetry,
}

/// How much is done, spelt out for the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Records in the backlog of each run.
    pub records: u64,
    /// Rounds of plain loops and infer.
    pub rounds: usize,
    /// Partitions of requests and results.
    pub partitions: i32,
    /// Callers and requests per second.
    pub loads: Vec<(usize, u32)>,
    /// Sent before anything is measured.
    pub warm_up: Duration,
    /// Measured, at each load.
    pub measured: Duration,
    /// Callers in the search for the highest rate.
    pub search_callers: usize,
    /// Measured at each step of the search, after a second of warm-up.
    pub search_step: Duration,
    /// The search looks for the highest rate that keeps this 99th percentile.
    pub search_p99: Duration,
}

impl Options {
    /// Whether a scenario is wanted.
    #[must_use]
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_none_or(|only| only == scenario)
    }

    /// How much is done.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let (records, rounds, warm_up_s, measured_s, step_s) = if self.short {
            (60_000, 3, 3, 12, 3)
        } else {
            (200_000, 5, 15, 60, 5)
        };
        Plan {
            records: self.records.unwrap_or(records),
            rounds: self.rounds.unwrap_or(rounds),
            partitions: 4,
            loads: vec![(1, 50), (16, 800), (64, 2000)],
            warm_up: Duration::from_secs(warm_up_s),
            measured: Duration::from_secs(measured_s),
            search_callers: 64,
            search_step: Duration::from_secs(step_s),
            search_p99: Duration::from_millis(50),
        }
    }
}
