//! The processes under measurement, each with its output in a file, ended at the latest on drop.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};

/// How long a process may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// A running process. Its standard input stays open until it is stopped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with these arguments; its output goes to `<dir>/<name>.log`.
    ///
    /// # Errors
    /// When the program does not exist or the log cannot be written.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output =
            File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("{} does not start; is it built?", program.display()))?;
        let name = program
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails if it has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended with {status}"))),
        }
    }

    /// Waits until `probe` gives a value, as long as the process runs.
    ///
    /// # Errors
    /// When the process ends, or nothing comes for a minute.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = probe() {
                return Ok(value);
            }
            self.check_running()?;
            if Instant::now() >= until {
                return Err(self.failure(&format!(
                    "has not come to {what} in {} s",
                    PATIENCE.as_secs()
                )));
            }
            sleep(PAUSE);
        }
    }

    /// Ends it without warning.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Closes its standard input, asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.child.stdin.take();
        let pid = self.pid().to_string();
        let signalled = Command::new("kill")
            .args(["-TERM", &pid])
            .stderr(Stdio::null())
            .status()?;
        ensure!(
            signalled.success() || self.child.try_wait()?.is_some(),
            "{} cannot be signalled",
            self.name
        );
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= until {
                bail!(self.failure(&format!("does not stop within {} s", PATIENCE.as_secs())));
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let output = self.output();
        let mut lines: Vec<&str> = output.lines().rev().take(20).collect();
        lines.reverse();
        anyhow!(
            "{} {what}; the end of {}:\n{}",
            self.name,
            self.log.display(),
            lines.join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> (tempfile::TempDir, anyhow::Result<Process>) {
        let dir = tempfile::TempDir::new().unwrap();
        let process = Process::start(
            Path::new("/bin/sh"),
            &["-c", script],
            &dir.path().join("sh.log"),
        );
        (dir, process)
    }

    #[test]
    fn a_process_that_ends_by_itself_is_reported_with_its_last_words() {
        let (_dir, process) = start("echo the port is taken; exit 3");
        let error = process
            .unwrap()
            .wait_for("readiness", || None::<()>)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the port is taken") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn a_stopped_process_is_gone() {
        let (_dir, process) = start("echo up; cat >/dev/null");
        let mut process = process.unwrap();
        let log = process.log.clone();
        process
            .wait_for("output", || {
                fs::read_to_string(&log)
                    .ok()
                    .filter(|text| text.contains("up"))
            })
            .unwrap();
        let pid = process.pid();
        process.stop().unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_program_that_is_not_built_is_named() {
        let nothing: [&str; 0] = [];
        let dir = tempfile::TempDir::new().unwrap();
        let error = Process::start(
            Path::new("/no/such/program"),
            &nothing,
            &dir.path().join("log"),
        )
        .err()
        .unwrap();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }
}
