//! The table for people and the ledger for machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::machine::Machine;
use crate::options::Plan;
use crate::predict;
use crate::ratio::Ratio;
use crate::samples::Run;
use crate::stream;

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
        Ok(text)
    }

    fn write_stream(&self, text: &mut String, report: &stream::Report) -> anyhow::Result<()> {
        let (records, pairs, bytes) = (self.plan.records, report.infer.len(), report.record_bytes);
        writeln!(text, "## Kafka to Kafka\n")?;
        writeln!(
            text,
            "{records} records of {bytes} bytes wait; medians of {pairs} pairs, lowest and highest.\n"
        )?;
        writeln!(
            text,
            "| {:<25} | {:>9} | {:>14} | {:>17} |",
            "", "rows/s", "CPU µs per row", "Kafka µs per row"
        )?;
        writeln!(text, "|:{0:-<25}-|-{0:->9}:|-{0:->14}:|-{0:->17}:|", "")?;
        write_runs(text, "plain loop", &report.plain)?;
        write_runs(text, "infer", &report.infer)?;
        let onnx = format!("{:.2}", report.onnx_cpu_us_per_row);
        writeln!(
            text,
            "| {:<25} | {:>9} | {onnx:>14} | {:>17} |\n",
            "ONNX Runtime in process", "", ""
        )?;
        writeln!(
            text,
            "- infer by plain loop, rows/s: {}",
            spread(report.rate)
        )?;
        writeln!(
            text,
            "- infer by plain loop, CPU per row: {}",
            spread(report.cpu)
        )?;
        writeln!(
            text,
            "- plain loop by plain loop, rows/s (self-check): {}\n",
            spread(report.self_check)
        )?;
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

fn write_runs(text: &mut String, name: &str, runs: &[Run]) -> anyhow::Result<()> {
    let median = |value: fn(&Run) -> f64| {
        Ratio::summary(runs.iter().map(value).collect()).map_or(f64::NAN, |r| r.median)
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
    format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
}
