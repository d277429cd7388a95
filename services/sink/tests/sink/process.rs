//! A sink as a process: its signals and its admin pages.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use crate::rig::{Rig, wait_until};

/// A running `millrace-sink`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    port_file: PathBuf,
    config: PathBuf,
}

impl Process {
    pub(crate) fn new(child: Child, port_file: PathBuf, config: PathBuf) -> Self {
        Self {
            child,
            port_file,
            config,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with the settings of the process.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let mut ended = None;
        wait_until("the sink ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// The answer of an admin path.
    pub(crate) fn get(&self, path: &str) -> String {
        let Ok(address) = fs::read_to_string(&self.port_file) else {
            return String::new();
        };
        let Ok(mut stream) = TcpStream::connect(address.trim()) else {
            return String::new();
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let sent = stream.write_all(request.as_bytes());
        let _ = sent.and_then(|()| stream.read_to_string(&mut answer));
        answer
    }

    /// The value of the metric whose line starts so; 0 if there is none yet.
    pub(crate) fn metric(&self, name_and_labels: &str) -> u64 {
        let metrics = self.get("/metrics");
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name_and_labels));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Records that this process has read and not written, by pipeline.
    pub(crate) fn waiting(&self, rig: &Rig, pipeline: &str) -> u64 {
        let group = format!("{}.sink.{pipeline}", rig.prefix);
        self.metric(&format!(
            "millrace_kafka_in_flight_records{{group=\"{group}\"}}"
        ))
    }

    pub(crate) fn wait_ready(&self) {
        wait_until("the sink is ready", || {
            self.get("/ready").contains("{\"ready\":true}")
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
