//! The table for people and the ledger for machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::compute;
use crate::delivery;
use crate::machine::Machine;
use crate::options::Plan;
use crate::predict;
use crate::ratio::Ratio;
use crate::samples::Run;
use crate::stream::{self, Round};
use crate::swap;
use crate::telemetry;

/// Everything that was measured and under which circumstances.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// The machine and the versions.
    pub machine: Machine,
    /// How much was done.
    pub plan: Plan,
    /// Settings of infer beyond addresses and paths, as TOML.
    pub infer_settings: String,
    /// Kafka to Kafka.
    pub stream: Option<stream::Report>,
    /// HTTP.
    pub predict: Option<predict::Report>,
    /// Models that compute a lot.
    pub compute: Option<compute::Report>,
    /// HTTP while new versions take over.
    pub swap: Option<swap::Report>,
    /// Exactly once beside at least once.
    pub delivery: Option<delivery::Report>,
    /// Metrics and traces, and without.
    pub telemetry: Option<telemetry::Report>,
}

impl Ledger {
    /// Writes `latest.md` and `latest.json` and gives back the table.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<String> {
        let table = self.table()?;
        let json = serde_json::to_string_pretty(self)?;
        let problem = || format!("{} cannot be written", folder.display());
        fs::create_dir_all(folder).with_context(problem)?;
        fs::write(folder.join("latest.md"), &table).with_context(problem)?;
        fs::write(folder.join("latest.json"), json).with_context(problem)?;
        Ok(table)
    }

    /// The tables in Markdown, not wider than 80 columns.
    ///
    /// # Errors
    /// Never.
    pub fn table(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let Machine {
            cpu,
            cores,
            memory_gib,
            kernel,
            commit,
            kafka,
            librdkafka,
            onnx_runtime,
            date,
        } = &self.machine;
        writeln!(text, "# Benchmark of {date} UTC\n")?;
        writeln!(
            text,
            "{cores} cores of {cpu}, {memory_gib:.0} GiB, Linux {kernel}. Broker, services and callers"
        )?;
        writeln!(
            text,
            "share them. Commit {commit}, Kafka {kafka}, librdkafka {librdkafka},"
        )?;
        writeln!(
            text,
            "ONNX Runtime {onnx_runtime}. Model: 784-32-32-32-10, one row a record or request.\n"
        )?;
        if let Some(stream) = &self.stream {
            self.write_stream(&mut text, stream)?;
        }
        if let Some(predict) = &self.predict {
            self.write_predict(&mut text, predict)?;
        }
        if let Some(compute) = &self.compute {
            compute.write(&mut text)?;
        }
        if let Some(swap) = &self.swap {
            swap.write(&mut text)?;
        }
        if let Some(delivery) = &self.delivery {
            delivery.write(&mut text)?;
        }
        if let Some(telemetry) = &self.telemetry {
            telemetry.write(&mut text)?;
        }
        Ok(text)
    }

    fn write_stream(&self, text: &mut String, report: &stream::Report) -> anyhow::Result<()> {
        let (records, rounds) = (self.plan.records, report.rounds.len());
        let (record_bytes, answer_bytes) = (report.record_bytes, report.answer_bytes);
        writeln!(text, "## Kafka to Kafka\n")?;
        writeln!(
            text,
            "{records} records of {record_bytes} bytes wait. The plain loop writes what it reads, or as little as"
        )?;
        writeln!(
            text,
            "an answer has ({answer_bytes} bytes). Medians of {rounds} rounds; in brackets lowest and highest.\n"
        )?;
        writeln!(
            text,
            "| {:<25} | {:>9} | {:>14} | {:>17} |",
            "", "rows/s", "CPU µs per row", "Kafka µs per row"
        )?;
        writeln!(text, "|:{0:-<25}-|-{0:->9}:|-{0:->14}:|-{0:->17}:|", "")?;
        write_run(text, report, ("plain loop", |round| round.plain))?;
        write_run(
            text,
            report,
            ("plain loop, small values", |round| round.plain_small),
        )?;
        write_run(text, report, ("infer", |round| round.infer))?;
        let onnx = format!("{:.2}", report.onnx_cpu_us_per_row);
        writeln!(
            text,
            "| {:<25} | {:>9} | {onnx:>14} | {:>17} |\n",
            "ONNX Runtime in process", "", ""
        )?;
        let rate = report.ratio(|round| (round.infer.rows_per_s, round.plain.rows_per_s))?;
        let small = report.ratio(|round| (round.infer.rows_per_s, round.plain_small.rows_per_s))?;
        let cpu = report.ratio(|round| (round.infer.cpu_us_per_row, round.plain.cpu_us_per_row))?;
        let cpu_small =
            report.ratio(|round| (round.infer.cpu_us_per_row, round.plain_small.cpu_us_per_row))?;
        let same = report.ratio(|round| (round.plain_again.rows_per_s, round.plain.rows_per_s))?;
        let same_cpu =
            report.ratio(|round| (round.plain_again.cpu_us_per_row, round.plain.cpu_us_per_row))?;
        writeln!(
            text,
            "| {:<32} | {:<18} | {:<18} |",
            "Ratio (paired)", "rows/s", "CPU per row"
        )?;
        writeln!(text, "|:{0:-<32}-|:{0:-<18}-|:{0:-<18}-|", "")?;
        for (name, rate, cpu) in [
            ("infer : plain loop", rate, cpu),
            ("infer : plain loop, small values", small, cpu_small),
            ("plain loop : itself (self-check)", same, same_cpu),
        ] {
            writeln!(
                text,
                "| {name:<32} | {:<18} | {:<18} |",
                spread(rate),
                spread(cpu)
            )?;
        }
        writeln!(text)?;
        Ok(())
    }

    fn write_predict(&self, text: &mut String, report: &predict::Report) -> anyhow::Result<()> {
        writeln!(text, "## POST /v1/models/ffnn:predict\n")?;
        writeln!(
            text,
            "{} bytes of JSON a request; open loop, {} s after {} s of warm-up; latency in ms from",
            report.body_bytes,
            self.plan.measured.as_secs(),
            self.plan.warm_up.as_secs()
        )?;
        writeln!(text, "the intended send time.\n")?;
        writeln!(
            text,
            "| Callers | Offered/s | Achieved/s |   p50 |   p90 |   p99 |    max | Errors |"
        )?;
        writeln!(
            text,
            "|--------:|----------:|-----------:|------:|------:|------:|-------:|-------:|"
        )?;
        let onnx = &report.onnx;
        let offered = self.plan.loads.first().map_or(0, |load| load.1);
        writeln!(
            text,
            "| in proc. | {offered:>8} | {:>10} | {:>5.2} | {:>5.2} | {:>5.2} | {:>6.1} | {:>6} |",
            "", onnx.p50_ms, onnx.p90_ms, onnx.p99_ms, onnx.max_ms, 0
        )?;
        for outcome in report.points.iter().map(|point| &point.outcome) {
            let (latency, mark) = (&outcome.latency, if outcome.saturated { "!" } else { "" });
            writeln!(
                text,
                "| {:>7} | {:>9} | {:>10} | {:>5.2} | {:>5.2} | {:>5.1} | {:>6.1} | {:>6} |",
                outcome.callers,
                outcome.offered_per_s,
                format!("{mark}{:.0}", outcome.achieved_per_s),
                latency.p50_ms,
                latency.p90_ms,
                latency.p99_ms,
                latency.max_ms,
                outcome.errors + outcome.unsent
            )?;
        }
        writeln!(
            text,
            "\n`!`: saturated, the system or the generator fell behind. `in proc.`: ONNX Runtime alone.\n"
        )?;
        self.write_predict_notes(text, report)
    }

    fn write_predict_notes(
        &self,
        text: &mut String,
        report: &predict::Report,
    ) -> anyhow::Result<()> {
        if let Some(added) = report.added_p50_ms() {
            writeln!(text, "- added at the median, one caller: {added:.2} ms")?;
        }
        let (callers, limit) = (self.plan.search_callers, self.plan.search_p99.as_millis());
        let highest = report
            .highest_per_s
            .map_or_else(|| "none".to_owned(), |rate| format!("{rate} requests/s"));
        writeln!(
            text,
            "- highest rate with p99 <= {limit} ms, {callers} callers: {highest}"
        )?;
        for point in &report.points {
            let parts: Vec<_> = point
                .cpu_us_per_request
                .iter()
                .map(|(name, us)| format!("{name} {us:.0}"))
                .collect();
            writeln!(
                text,
                "- CPU µs per request, {} callers: {}",
                point.outcome.callers,
                parts.join(", ")
            )?;
        }
        let errors = report
            .points
            .iter()
            .find_map(|point| point.outcome.first_error.as_ref());
        if let Some(error) = errors {
            writeln!(text, "- first error: {error}")?;
        }
        Ok(())
    }
}

fn write_run(
    text: &mut String,
    report: &stream::Report,
    (name, of): (&str, fn(&Round) -> Run),
) -> anyhow::Result<()> {
    let runs: Vec<Run> = report.rounds.iter().map(of).collect();
    let median = |value: fn(&Run) -> f64| {
        Ratio::summary(runs.iter().map(value).collect()).map_or(f64::NAN, |summary| summary.median)
    };
    let rate = median(|run| run.rows_per_s);
    let cpu = median(|run| run.cpu_us_per_row);
    let broker = median(|run| run.broker_cpu_us_per_row.unwrap_or(f64::NAN));
    writeln!(
        text,
        "| {name:<25} | {rate:>9.0} | {cpu:>14.2} | {broker:>17.2} |"
    )?;
    Ok(())
}

fn spread(ratio: Ratio) -> String {
    format!("{:.2} ({:.2}-{:.2})", ratio.median, ratio.min, ratio.max)
}
