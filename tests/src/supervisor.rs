//! What starts a service again when it has ended, as a container's restart policy does.

use std::path::{Path, PathBuf};

use crate::line::PATIENCE;
use crate::process::{Process, Program};
use crate::wait::wait_for;

/// An infer process that is started again whenever it has ended.
pub struct Supervisor {
    dir: PathBuf,
    settings: String,
    process: Process,
    /// How often it was started.
    pub starts: usize,
}

impl Supervisor {
    /// Starts infer with these settings for the first time.
    pub fn start(dir: &Path, settings: String) -> Self {
        Self {
            process: launch(dir, &settings),
            dir: dir.to_owned(),
            settings,
            starts: 1,
        }
    }

    /// Asks `probe` again and again until it gives a value, and starts infer again whenever it has ended.
    ///
    /// # Panics
    /// When the deadline passes.
    pub fn wait_for<T>(&mut self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        wait_for(PATIENCE, what, || {
            if !self.process.is_running() {
                self.process = launch(&self.dir, &self.settings);
                self.starts += 1;
            }
            probe()
        })
    }

    /// Ends the process without warning; the next wait starts it again.
    pub fn kill_9(self) -> Self {
        let Self {
            dir,
            settings,
            process,
            starts,
        } = self;
        process.kill_9();
        Self {
            process: launch(&dir, &settings),
            dir,
            settings,
            starts: starts + 1,
        }
    }

    /// The process that runs now.
    pub fn into_process(self) -> Process {
        self.process
    }
}

fn launch(dir: &Path, settings: &str) -> Process {
    let program = Program {
        binary: "millrace-infer",
        port_file_key: "admin.port_file",
        without: None,
    };
    Process::launch(program, dir, settings)
}
