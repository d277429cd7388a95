//! The process in which a suspect is tried: this program, started with a subcommand that nobody else needs to know.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context as _;
use millrace_wire::{Limits, Record, encode_tensors};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::frame::{self, Kind};
use crate::engine::{Engine, EngineError};

/// Loads a model with `load`, then answers inputs from standard input on standard output until there are no more.
///
/// # Errors
/// When the process that started this one has ended.
pub(crate) fn serve(
    memory_bytes: u64,
    load: impl FnOnce() -> anyhow::Result<Box<dyn Engine>>,
) -> anyhow::Result<()> {
    let mut answers = BufWriter::new(own_output().context("standard output")?);
    confine(memory_bytes).context("the limits of this process")?;
    let mut engine = match load() {
        Ok(engine) => engine,
        Err(error) => {
            let sentence = format!("{error:#}");
            return Ok(frame::write(
                &mut answers,
                Kind::NotLoaded,
                sentence.as_bytes(),
            )?);
        }
    };
    frame::write(&mut answers, Kind::Loaded, &[])?;
    let mut inputs = io::stdin().lock();
    while let Some((_, payload)) = frame::read(&mut inputs)? {
        let (kind, bytes) = answer(engine.as_mut(), payload);
        frame::write(&mut answers, kind, &bytes)?;
        answers.flush()?;
    }
    Ok(())
}

/// Standard output for answers alone: whatever a library prints goes to standard error.
fn own_output() -> io::Result<File> {
    let output = rustix::io::dup(io::stdout())?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(File::from(output))
}

/// It ends with its parent, is the first to go where memory is short, takes no more memory than it may, and leaves no
/// core dump.
fn confine(memory_bytes: u64) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Not everywhere allowed, and not needed.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let at_most = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::Data, at_most(memory_bytes))?;
    Ok(())
}

fn answer(engine: &mut dyn Engine, payload: Vec<u8>) -> (Kind, Vec<u8>) {
    let run = || -> Result<Vec<u8>, EngineError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| EngineError::Failed(error);
        let record = Record::decode(payload, &limits()).map_err(|error| failed(error.into()))?;
        let mut inputs = Vec::with_capacity(record.columns().len());
        for column in 0..record.columns().len() {
            let input = record.tensor(column);
            inputs.push(input.map_err(|error| failed(error.into()))?);
        }
        let outputs = engine.run(inputs)?;
        encode_tensors(&outputs).map_err(|error| failed(error.into()))
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outputs)) => (Kind::Outputs, outputs),
        Ok(Err(EngineError::Refused(error))) => (Kind::Refused, error.to_string().into_bytes()),
        Ok(Err(error)) => (Kind::Failed, error.to_string().into_bytes()),
        Err(_) => (Kind::Failed, b"the engine panicked".to_vec()),
    }
}

/// The record comes from our own program, and what it holds was within limits there.
pub(super) fn limits() -> Limits {
    Limits {
        max_record_bytes: usize::MAX / 4,
        max_metadata_bytes: 64 << 20,
        max_rows: 1 << 30,
        max_columns: 1 << 16,
        max_rank: Limits::MAX_RANK,
        max_elements: usize::MAX / 64,
        max_dense_bytes: usize::MAX / 4,
    }
}
