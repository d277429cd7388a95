//! Where the figures come from: the machine and the versions of everything involved.

use std::fs;
use std::process::Command;

use millrace_kafka::{Admin, Cluster};
use serde::Serialize;

use crate::options::Options;

/// The machine and the versions.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// As the kernel names it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Kernel release.
    pub kernel: String,
    /// Commit of the working tree, with `+` if it has been changed.
    pub commit: String,
    /// The broker.
    pub kafka: String,
    /// The client library, as the services use it.
    pub librdkafka: String,
    /// The library that computes.
    pub onnx_runtime: String,
    /// When the run began, UTC.
    pub date: String,
}

impl Machine {
    /// Looks everything up; what is not known says so.
    #[must_use]
    pub fn look(options: &Options) -> Self {
        let described =
            Admin::connect(&Cluster::at(&options.brokers)).and_then(|admin| admin.describe());
        Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            kafka: options.kafka_version.clone(),
            librdkafka: described.map_or_else(
                |error| format!("unknown: {error}"),
                |found| found.librdkafka,
            ),
            onnx_runtime: onnx_runtime(options),
            date: output("date", &["-u", "+%Y-%m-%d %H:%M"]),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| output.stdout);
    text.map_or_else(
        || "unknown".to_owned(),
        |text| String::from_utf8_lossy(&text).trim().to_owned(),
    )
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let is_clean = output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    if is_clean { commit } else { commit + "+" }
}

/// The file that `scripts/setup` leaves beside the library.
fn onnx_runtime(options: &Options) -> String {
    let text = fs::read_to_string(options.library.with_file_name("VERSION")).unwrap_or_default();
    text.trim()
        .rsplit('=')
        .next()
        .filter(|version| !version.is_empty())
        .unwrap_or("unknown")
        .to_owned()
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn memory_gib(meminfo: &str) -> f64 {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: f64 = total
        .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default();
    kib / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_memory_are_read_from_proc() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nmodel\t\t: 2\n"),
            "AMD EPYC"
        );
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(
            memory_gib("MemTotal:        2097152 kB\nMemFree: 1 kB\n"),
            2.0
        );
    }
}
