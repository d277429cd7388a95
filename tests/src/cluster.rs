//! Three real nodes that can be killed one by one, and a proxy before them.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use millrace_kafka::Admin;
use tempfile::TempDir;

use crate::line::project_path;
use crate::process::signal;
use crate::proxy::Proxy;
use crate::wait::wait_for;

/// How long a node may take to start, and to catch up, beside busy processes.
const START: Duration = Duration::from_secs(120);

/// A cluster of its own: every topic has three replicas, of which two must be in sync.
pub struct Cluster {
    dir: TempDir,
    brokers: String,
    proxy: Proxy,
}

impl Cluster {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let brokers = script(&dir, &["start"]);
        let pairs: Vec<(u16, u16)> = script(&dir, &["proxied"])
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(from, to)| (port(from), port(to)))
            .collect();
        let proxy = Proxy::start(&pairs);
        Self {
            dir,
            brokers,
            proxy,
        }
    }

    /// Where the nodes listen, as `kafka.brokers`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What stands before them.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Ends node 1, 2 or 3 as a power failure of its process would. Waits until its port is free, which on a busy machine
    /// takes a Java process with all its threads a while: before that it cannot be started again.
    pub fn kill(&self, node: usize) {
        signal(self.pid(node), "KILL");
        let address = self.brokers.split(',').nth(node - 1);
        let address = address.expect("there are three nodes");
        wait_for(START, "the port of a killed node to be free", || {
            TcpStream::connect(address).is_err().then_some(())
        });
    }

    /// Stops node 1, 2 or 3 where it is.
    pub fn pause(&self, node: usize) {
        signal(self.pid(node), "STOP");
    }

    /// Lets a node go on after a pause.
    pub fn go_on(&self, node: usize) {
        signal(self.pid(node), "CONT");
    }

    /// Starts the nodes that do not run, and waits until they answer.
    pub fn start_again(&self) {
        script(&self.dir, &["start"]);
    }

    /// Waits until every copy of every partition is up to date, in the eyes of each node: what an operator waits for
    /// before the next node may be stopped.
    pub fn wait_in_sync(&self) {
        for address in self.brokers.split(',') {
            let admin = Admin::connect(&millrace_kafka::Cluster::at(address));
            let admin = admin.expect("the settings are good");
            wait_for(START, "every copy to be up to date", || {
                (admin.replicas_behind().ok()? == 0).then_some(())
            });
        }
    }

    fn pid(&self, node: usize) -> u32 {
        let pid = script(&self.dir, &["node", &node.to_string()]);
        pid.parse().expect("a node has a number")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 1..=3 {
            // Nothing of it is needed any more, and a clean stop takes seconds. It may be dead already.
            let pid = std::fs::read_to_string(self.dir.path().join(format!("{node}/broker.pid")));
            if let Ok(pid) = pid {
                let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
            }
        }
    }
}

fn script(dir: &TempDir, arguments: &[&str]) -> String {
    let output = Command::new(project_path("scripts/cluster"))
        .args(arguments)
        .arg("--dir")
        .arg(dir.path())
        .env("BROKER_WAIT_S", START.as_secs().to_string())
        .output()
        .expect("scripts/cluster runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "scripts/cluster {arguments:?}: {complaint}"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn port(text: &str) -> u16 {
    text.parse().expect("scripts/cluster prints ports")
}
