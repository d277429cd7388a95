//! Trying a load or a record in a process of its own, which may die of it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use millrace_wire::{Record, Tensor, encode_tensors};

use super::TimeLimits;
use crate::engine::EngineError;

mod child;
mod frame;

pub(crate) use child::serve;
use frame::Kind;

/// A child that has closed its output ends soon.
const REAP: Duration = Duration::from_secs(5);

/// How the child is started.
#[derive(Debug, Clone)]
pub(crate) struct TrialCommand {
    /// The program and its arguments, to which those of the subcommand are added.
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) limits: TimeLimits,
    /// Memory that the child may take for data.
    pub(crate) memory_bytes: Option<u64>,
}

/// How a trial ended badly; completes "it …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Died {
    /// The child ended by itself.
    Ended(ExitStatus),
    /// It took too long.
    TimedOut(Duration),
    /// It did not come so far as to be tried.
    NotLoaded(String),
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Died::Ended(status) => match status.signal() {
                Some(signal) => write!(f, "it was ended by signal {signal}{}", name_of(signal)),
                None => write!(f, "it ended with {status}"),
            },
            Died::TimedOut(limit) => {
                write!(
                    f,
                    "it had not come to an end after {} s",
                    limit.as_secs_f64()
                )
            }
            Died::NotLoaded(reason) => write!(f, "it could not be loaded ({reason})"),
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        _ => "",
    }
}

/// One model version, tried apart. The child is started when it is needed, and ends with this.
#[derive(Debug)]
pub(crate) struct Trial {
    command: TrialCommand,
    model: String,
    version: i64,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    inputs: ChildStdin,
    answers: Receiver<io::Result<(Kind, Vec<u8>)>>,
}

impl Trial {
    pub(crate) fn new(command: TrialCommand, model: &str, version: i64) -> Self {
        Self {
            command,
            model: model.to_owned(),
            version,
            running: None,
        }
    }

    /// Loads the model version in the child.
    ///
    /// # Errors
    /// How it went wrong.
    pub(crate) fn load(&mut self) -> Result<(), Died> {
        if self.running.is_some() {
            return Ok(());
        }
        let mut running = self
            .spawn()
            .map_err(|error| Died::NotLoaded(error.to_string()))?;
        match running.answer(self.command.limits.load)? {
            (Kind::Loaded, _) => {
                self.running = Some(running);
                Ok(())
            }
            (_, sentence) => Err(Died::NotLoaded(text(sentence))),
        }
    }

    /// Runs `inputs` in the child, as an engine would. What ends it is tried in a second one, since somebody may have
    /// ended the first.
    ///
    /// # Errors
    /// The engine's own, or [`EngineError::Died`].
    pub(crate) fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| EngineError::Failed(error);
        let payload = encode_tensors(inputs).map_err(|error| failed(error.into()))?;
        let answer = match self.ask(&payload) {
            Err(Died::Ended(_) | Died::NotLoaded(_)) => self.ask(&payload),
            answer => answer,
        };
        let (kind, bytes) = answer.map_err(|died| EngineError::Died(died.to_string()))?;
        match kind {
            Kind::Outputs => tensors(bytes),
            Kind::Refused => Err(EngineError::Refused(text(bytes).into())),
            _ => Err(EngineError::Failed(text(bytes).into())),
        }
    }

    fn ask(&mut self, payload: &[u8]) -> Result<(Kind, Vec<u8>), Died> {
        self.load()?;
        let Some(mut running) = self.running.take() else {
            return Err(Died::NotLoaded("it is gone".to_owned()));
        };
        // If the child has ended, its answer says so.
        let _ = frame::write(&mut running.inputs, Kind::Inputs, payload);
        let answer = running.answer(self.command.limits.run)?;
        self.running = Some(running);
        Ok(answer)
    }

    fn spawn(&self) -> io::Result<Running> {
        let memory = self.command.memory_bytes.unwrap_or_else(default_memory);
        let mut child = Command::new(&self.command.program)
            .args(&self.command.arguments)
            .args(["try-model", "--model", &self.model])
            .args(["--version", &self.version.to_string()])
            .args(["--memory-bytes", &memory.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal from the terminal is not a death.
            .process_group(0)
            .spawn()?;
        let gone = || io::Error::other("the child has no pipes");
        let inputs = child.stdin.take().ok_or_else(gone)?;
        let mut output = child.stdout.take().ok_or_else(gone)?;
        let (sender, answers) = sync_channel(1);
        let read = move || {
            while let Some(answer) = frame::read(&mut output).transpose() {
                if sender.send(answer).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("trial".to_owned())
            .spawn(read)?;
        Ok(Running {
            child,
            inputs,
            answers,
        })
    }
}

impl Running {
    /// The next frame. After an error the child is gone.
    fn answer(&mut self, limit: Duration) -> Result<(Kind, Vec<u8>), Died> {
        match self.answers.recv_timeout(limit) {
            Ok(Ok(answer)) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(Died::TimedOut(limit)),
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(self.how_it_ended()),
        }
    }

    fn how_it_ended(&mut self) -> Died {
        let until = Instant::now() + REAP;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) => return Died::Ended(status),
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Err(error) => return Died::NotLoaded(error.to_string()),
            }
        }
        Died::TimedOut(REAP)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tensors(bytes: Vec<u8>) -> Result<Vec<Tensor>, EngineError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| EngineError::Failed(error);
    let record = Record::decode(bytes, &child::limits()).map_err(|error| failed(error.into()))?;
    let mut tensors = Vec::with_capacity(record.columns().len());
    for column in 0..record.columns().len() {
        let tensor = record.tensor(column);
        tensors.push(tensor.map_err(|error| failed(error.into()))?);
    }
    Ok(tensors)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Three quarters of the machine's memory, or of the container's. Where memory is short the child goes first in any case.
fn default_memory() -> u64 {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = machine
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| number(rest.trim().trim_end_matches("kB")))
        .map_or(8 << 30, |kib| kib * 1024);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    machine.min(number(&container).unwrap_or(u64::MAX)) / 4 * 3
}

#[cfg(test)]
mod tests {
    use arrow::buffer::Buffer;
    use millrace_wire::DType;

    use super::*;

    /// A child that is a shell with this script; `loaded` in it says that the model is loaded.
    fn trial(script: &str, run: Duration) -> Trial {
        let loaded = r"printf '\000\000\000\000\000\000\000\000\000'";
        let script = script.replace("loaded", loaded);
        let command = TrialCommand {
            program: "/bin/sh".into(),
            arguments: ["-c", &script].map(OsString::from).to_vec(),
            limits: TimeLimits {
                run,
                load: Duration::from_secs(60),
                end: Duration::from_secs(60),
            },
            memory_bytes: None,
        };
        Trial::new(command, "m", 1)
    }

    fn patient(script: &str) -> Trial {
        trial(script, Duration::from_secs(60))
    }

    fn input() -> Vec<Tensor> {
        let data = Buffer::from_vec(vec![1f32, 2.0]);
        vec![Tensor::fixed("x", DType::Float32, vec![1, 2], data).unwrap()]
    }

    fn sentence(result: Result<Vec<Tensor>, EngineError>) -> String {
        let error = result.unwrap_err();
        assert!(matches!(error, EngineError::Died(_)), "{error:?}");
        error.to_string()
    }

    #[test]
    fn an_answer_comes_back_as_the_engines_own() {
        // Kind 2 are the inputs; sent back as kind 3 they are outputs.
        let echo = r"loaded; head -c 1 >/dev/null; printf '\003'; cat";
        let outputs = patient(echo).run(&input()).unwrap();
        assert_eq!(outputs[0].typed::<f32>().unwrap(), [1.0, 2.0]);
        let refuse = r"loaded; printf '\004\003\000\000\000\000\000\000\000bad'; cat >/dev/null";
        let refused = patient(refuse).run(&input()).unwrap_err();
        assert!(matches!(&refused, EngineError::Refused(_)), "{refused:?}");
        assert!(refused.to_string().ends_with("bad"), "{refused}");
    }

    #[test]
    fn what_ends_the_child_by_a_signal_is_said() {
        let crash = sentence(patient("loaded; head -c 1 >/dev/null; kill -SEGV $$").run(&input()));
        assert!(crash.contains("signal 11 (SIGSEGV)"), "{crash}");
    }

    #[test]
    fn a_child_that_somebody_ended_gets_a_second_chance() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let script = format!(
            r"loaded; if mkdir {} 2>/dev/null; then kill -KILL $$; fi; head -c 1 >/dev/null; printf '\003'; cat",
            mark.display()
        );
        assert!(patient(&script).run(&input()).is_ok());
        assert!(mark.exists());
    }

    #[test]
    fn a_child_that_hangs_is_ended_at_its_limit() {
        let start = Instant::now();
        let hang =
            sentence(trial("loaded; exec sleep 600", Duration::from_millis(200)).run(&input()));
        assert!(hang.contains("0.2 s"), "{hang}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_model_that_does_not_load_says_why() {
        let refuse = patient(r"printf '\001\004\000\000\000\000\000\000\000rust'").load();
        assert_eq!(refuse, Err(Died::NotLoaded("rust".to_owned())));
        let crash = patient("kill -ABRT $$").load().unwrap_err();
        assert!(crash.to_string().contains("signal 6 (SIGABRT)"), "{crash}");
        let missing = TrialCommand {
            program: "/no/such/program".into(),
            ..patient("").command
        };
        assert!(matches!(
            Trial::new(missing, "m", 1).load(),
            Err(Died::NotLoaded(_))
        ));
    }

    #[test]
    fn bytes_that_are_no_answer_are_a_death() {
        let noise = sentence(patient("loaded; head -c 1 >/dev/null; echo noise").run(&input()));
        assert!(noise.contains("exit status: 0"), "{noise}");
    }
}
