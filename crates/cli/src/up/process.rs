//! One process of the line: started in a group of its own, so that Ctrl-C reaches only us; its log
//! on our standard error, each line under its name; stopped by SIGTERM.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::output;

use super::guard::Guard;
use super::ready;

/// A service finishes what it took within its own deadline, which is shorter.
const STOP: Duration = Duration::from_secs(45);
const GLANCE: Duration = Duration::from_millis(20);
/// Last words that are kept.
const KEPT_LINES: usize = 15;

/// What to start.
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) arguments: Vec<String>,
    /// Where it writes its address; `None` if readiness is not asked for over HTTP.
    pub(super) port_file: Option<PathBuf>,
    /// Smaller stops earlier.
    pub(super) stop_order: usize,
    /// Whether its log is shown.
    pub(super) is_shown: bool,
}

pub(super) struct Process {
    pub(super) name: &'static str,
    pub(super) stop_order: usize,
    child: Child,
    port_file: Option<PathBuf>,
    last_words: Arc<Mutex<VecDeque<String>>>,
    logs: Vec<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(program: &Path, service: &Service, guard: &Guard) -> anyhow::Result<Self> {
        if let Some(file) = &service.port_file {
            // That of the last time would be taken for ours.
            let _ = std::fs::remove_file(file);
        }
        let mut command = Command::new(program);
        command
            .args(&service.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let mut logs = Vec::new();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child
                .stdout
                .take()
                .map(|it| Box::new(it) as Box<dyn Read + Send>),
            child
                .stderr
                .take()
                .map(|it| Box::new(it) as Box<dyn Read + Send>),
        ];
        for stream in streams.into_iter().flatten() {
            let (name, is_shown) = (service.name, service.is_shown);
            let last_words = Arc::clone(&last_words);
            logs.push(thread::spawn(move || {
                copy(stream, (name, is_shown), &last_words)
            }));
        }
        let mut process = Self {
            name: service.name,
            stop_order: service.stop_order,
            child,
            port_file: service.port_file.clone(),
            last_words,
            logs,
        };
        if let Err(error) = guard.watch(process.child.id()) {
            process.end();
            return Err(error);
        }
        Ok(process)
    }

    /// # Errors
    /// It has ended; with its last words.
    pub(super) fn check_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        // What it said last may still be on its way.
        for log in self.logs.drain(..) {
            let _ = log.join();
        }
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        anyhow::bail!(
            "{} ended with {status}; its last words:\n{}",
            self.name,
            words.join("\n")
        )
    }

    /// The HTTP address once it is ready; the inner `None` if it has none.
    pub(super) fn ready_address(&self) -> Option<Option<String>> {
        let Some(file) = &self.port_file else {
            return Some(None);
        };
        let address = std::fs::read_to_string(file).ok()?.trim().to_owned();
        ready::is_ready(&address).then_some(Some(address))
    }

    /// Asks it to stop, waits, and ends it if it does not.
    pub(super) fn stop(mut self, guard: &Guard) {
        let pid = self.child.id();
        let is_running = matches!(self.child.try_wait(), Ok(None));
        if is_running {
            say(self.name, "stopping");
            // `kill` is a part of every shell; std can only kill without a warning.
            let script = format!("kill -TERM {pid}");
            let _ = Command::new("/bin/sh").args(["-c", &script]).status();
            let until = Instant::now() + STOP;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
                thread::sleep(GLANCE);
            }
        }
        self.end();
        guard.forget(pid);
    }

    /// It is gone afterwards.
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            say(self.name, "does not stop and is ended");
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        for log in self.logs.drain(..) {
            let _ = log.join();
        }
    }
}

/// A line of ours among those of the processes.
pub(super) fn say(name: &str, line: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{name:<6} | {line}");
}

fn copy(
    stream: Box<dyn Read + Send>,
    (name, is_shown): (&str, bool),
    last_words: &Mutex<VecDeque<String>>,
) {
    let mut lines = BufReader::new(stream);
    let mut bytes = Vec::new();
    while matches!(lines.read_until(b'\n', &mut bytes), Ok(1..)) {
        let line = output::plain(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
        if is_shown {
            say(name, &line);
        }
        let mut kept = last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, guard: &Guard) -> Process {
        let service = Service {
            name: "infer",
            arguments: vec!["-c".to_owned(), script.to_owned()],
            port_file: None,
            stop_order: 0,
            is_shown: false,
        };
        Process::start(Path::new("/bin/sh"), &service, guard).unwrap()
    }

    #[test]
    fn the_last_words_of_a_process_that_ended_are_told() {
        let mut guard = Guard::start().unwrap();
        let mut process = start("seq 1 100; echo the port is taken >&2; exit 3", &guard);
        let until = Instant::now() + Duration::from_secs(60);
        let error = loop {
            match process.check_running() {
                Err(error) => break error.to_string(),
                Ok(()) => assert!(Instant::now() < until),
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(error.contains("infer ended with exit status: 3"), "{error}");
        assert!(error.contains("the port is taken"), "{error}");
        assert!(error.lines().count() <= KEPT_LINES + 1, "{error}");
        process.stop(&guard);
        guard.dismiss();
    }

    #[test]
    fn a_process_is_asked_to_stop() {
        let mut guard = Guard::start().unwrap();
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("said");
        let script = format!(
            "trap 'echo asked >{0}; exit 0' TERM; echo up >{0}; while :; do sleep 0.01; done",
            file.display()
        );
        let process = start(&script, &guard);
        let until = Instant::now() + Duration::from_secs(60);
        while !file.exists() {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(5));
        }
        process.stop(&guard);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "asked\n");
        guard.dismiss();
    }
}
