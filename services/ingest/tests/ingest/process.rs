//! An ingest in a process of its own, so that its memory and descriptors are nobody else's.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace_ingest::Settings;
use tempfile::TempDir;

use crate::client::get;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `millrace-ingest`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) grpc: SocketAddr,
    _folder: TempDir,
}

impl Process {
    /// Starts it with these settings and waits until it listens.
    pub(crate) fn start(mut settings: Settings) -> Self {
        let folder = TempDir::new().unwrap();
        let port_file = folder.path().join("port");
        settings.http.port_file = Some(port_file.clone());
        let grpc_port_file = folder.path().join("grpc-port");
        settings.grpc.port_file = Some(grpc_port_file.clone());
        let config = folder.path().join("ingest.toml");
        fs::write(&config, toml::to_string(&settings).unwrap()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_millrace-ingest"))
            .arg("--config")
            .arg(config)
            // What is freed goes back at once, so that what is resident is what is held.
            .env("MALLOC_ARENA_MAX", "1")
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = address_in(&port_file);
        let grpc = address_in(&grpc_port_file);
        Self {
            child,
            address,
            grpc,
            _folder: folder,
        }
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Refusals so far, by reason.
    pub(crate) fn rejected(&self) -> BTreeMap<String, u64> {
        const NAME: &str = "millrace_ingest_rejected_total{reason=\"";
        let text = get(self.address, "/metrics").text();
        let counts = text.lines().filter_map(|line| {
            let (reason, count) = line.strip_prefix(NAME)?.split_once("\"} ")?;
            Some((reason.to_owned(), count.parse().ok()?))
        });
        counts.collect()
    }

    /// Memory that it occupies, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() << 10
    }

    /// Open files and connections.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(path).unwrap().count()
    }
}

/// The address that a process writes when it listens.
fn address_in(file: &Path) -> SocketAddr {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(file).ok();
        if let Some(address) = text.and_then(|text| text.trim().parse().ok()) {
            return address;
        }
        assert!(Instant::now() < until, "ingest does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
