//! A service as its users start it: a real process of the built binary, its log in a file, ended at the latest on drop.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::wait_for;

/// How long a process may take to bind its port, and to stop after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process is started from.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// Its binary, for example `millrace-infer`.
    pub binary: &'a str,
    /// The setting that names the file for its address.
    pub port_file_key: &'a str,
    /// The guard that it is to work without, for tests of the tests: the binary is then the one that `make faults`
    /// builds for them.
    pub without: Option<&'a str>,
}

/// A running service.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    address: SocketAddr,
}

impl Process {
    /// Starts `binary` (for example `millrace-infer`) with a settings file of this TOML text and waits until it has
    /// written the address it listens on into the file that the setting `port_file_key` names.
    ///
    /// # Panics
    /// When the binary is not built, or does not come up.
    pub fn start(binary: &str, port_file_key: &str, dir: &Path, settings: &str) -> Self {
        let program = Program {
            binary,
            port_file_key,
            without: None,
        };
        Self::start_program(program, dir, settings)
    }

    /// The same for any program.
    ///
    /// # Panics
    /// When the binary is not built, or does not come up.
    pub fn start_program(program: Program<'_>, dir: &Path, settings: &str) -> Self {
        let mut process = Self::launch(program, dir, settings);
        let port_file = process.log.with_extension("port");
        process.address = wait_for(PATIENCE, &format!("{} to listen", process.name), || {
            process.check_running();
            fs::read_to_string(&port_file).ok()?.trim().parse().ok()
        });
        process
    }

    /// The same without waiting for anything: it may end at once, and has no address.
    ///
    /// # Panics
    /// When the binary is not built.
    pub fn launch(program: Program<'_>, dir: &Path, settings: &str) -> Self {
        let Program {
            binary,
            port_file_key,
            without,
        } = program;
        let number = fs::read_dir(dir)
            .expect("the test's folder is readable")
            .count();
        let name = format!("{binary}-{number}");
        let log = dir.join(format!("{name}.log"));
        let port_file = dir.join(format!("{name}.port"));
        let settings_file = dir.join(format!("{name}.toml"));
        fs::write(&settings_file, settings).expect("the test's folder is writable");
        let stderr = File::create(&log).expect("the test's folder is writable");
        let stdout = stderr.try_clone().expect("a file handle can be cloned");
        let mut command = match without {
            None => Command::new(binary_path(binary)),
            Some(guard) => sabotaged(binary, guard),
        };
        let child = command
            .arg("--config")
            .arg(&settings_file)
            .arg("--set")
            .arg(format!("{port_file_key}={}", port_file.display()))
            // It would go before the file, and a test may have a broker of its own.
            .env_remove("MILLRACE_KAFKA__BROKERS")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} does not start: {error}"));
        Self {
            name,
            child,
            log,
            address: ([127, 0, 0, 1], 0).into(),
        }
    }

    /// The address it answers HTTP on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until `/ready` answers 200.
    pub fn wait_ready(&mut self) -> &mut Self {
        let url = self.url("/ready");
        wait_for(PATIENCE, &format!("{} to be ready", self.name), || {
            self.check_running();
            let answer = reqwest::blocking::get(&url).ok()?;
            answer.status().is_success().then_some(())
        });
        self
    }

    /// The value of a metric, summed over its labels; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = reqwest::blocking::get(self.url("/metrics"))
            .and_then(reqwest::blocking::Response::text)
            .unwrap_or_default();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Its memory that is not swapped out.
    ///
    /// # Panics
    /// When the kernel does not say.
    pub fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = fs::read_to_string(path).expect("our own child is there");
        let pages = text
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse::<usize>().ok());
        4096 * pages.expect("the kernel says how many pages")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as the kernel's out-of-memory killer would: no warning, no clean-up.
    pub fn kill_9(mut self) {
        self.child.kill().expect("the process is ours to kill");
        self.child.wait().expect("a killed process ends");
    }

    /// Stops it where it is (SIGSTOP): it holds what it holds and hears nothing until [`go_on`](Self::go_on).
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Asks it to stop, and does not wait.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// Waits until it ends by itself, and gives back how.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_end(&mut self) -> ExitStatus {
        wait_for(PATIENCE, &format!("{} to end", self.name), || {
            self.child
                .try_wait()
                .expect("our own child can be waited for")
        })
    }

    /// Lets it go on after a pause (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Asks it to stop (SIGTERM) and gives back how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait_end()
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    fn check_running(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("{} ended with {status}", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the end of the log of {}", self.name);
            tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn sabotaged(binary: &str, guard: &str) -> Command {
    let mut command = Command::new(binary_path(&format!("{binary}-sabotaged")));
    command.env("SABOTAGE", guard);
    command
}

/// Sends a signal to a process of ours.
///
/// # Panics
/// When there is no such process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    let status = status.expect("kill(1) runs");
    assert!(
        status.success(),
        "process {pid} could not be sent SIG{name}"
    );
}

/// What `millrace` prints for these arguments.
///
/// # Panics
/// When it fails.
pub fn tool(args: &[&str]) -> String {
    let output = Command::new(binary_path("millrace")).args(args).output();
    let output = output.expect("the millrace tool runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "millrace {args:?}: {complaint}");
    String::from_utf8(output.stdout).expect("the tool prints text")
}

/// A binary of this workspace, beside the folder of the running test binary.
///
/// # Panics
/// When it is not built.
pub fn binary_path(binary: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its own path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("test binaries lie in target/<profile>/deps");
    let path = folder.join(binary);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` or `make test`",
        path.display()
    );
    path
}
