//! How a command ends: its exit code, and its error as a sentence or as JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use millrace_boot::SettingsError;
use millrace_kafka::{Error as KafkaError, Failure};
use serde::Serialize;

use crate::output::Output;

/// What the exit code says; `docs/command-line.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exit {
    /// The answer is no: something must be mended, differs, was refused or called off.
    No = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// A settings file, a variable or `--set` is wrong.
    Settings = 3,
    /// No Kafka broker, or no ingest, answers.
    Unreachable = 4,
    /// What was named is not there.
    Missing = 5,
    /// It was begun and could not be finished.
    Failed = 6,
    /// It was finished, and some rows have an error instead of outputs.
    Partly = 7,
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Told {
    exit: Exit,
    sentence: String,
}

impl Exit {
    /// An error that ends the command with this code; the sentence says what to do next.
    pub(crate) fn error(self, sentence: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Told {
            exit: self,
            sentence: sentence.into(),
        })
    }

    /// The code of an error: its own, or what its cause says.
    fn of(error: &anyhow::Error) -> Self {
        if let Some(told) = error.downcast_ref::<Told>() {
            return told.exit;
        }
        if error.downcast_ref::<SettingsError>().is_some() {
            return Self::Settings;
        }
        let kafka = error.chain().find_map(|cause| cause.downcast_ref());
        kafka.map_or(Self::Failed, Self::of_kafka)
    }

    fn of_kafka(error: &KafkaError) -> Self {
        match error {
            KafkaError::NoTopic { .. } => Self::Missing,
            KafkaError::OptionRefused { .. }
            | KafkaError::OptionFile { .. }
            | KafkaError::Settings { .. }
            | KafkaError::BadSetting { .. } => Self::Settings,
            other if other.failure() == Failure::Transient => Self::Unreachable,
            _ => Self::Failed,
        }
    }
}

/// Tells the error, if there is one, and answers the exit code.
pub(crate) fn report(outcome: anyhow::Result<()>, output: Output) -> ExitCode {
    let error = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) => error,
    };
    // `millrace … | head` has got what it wanted.
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    let exit = Exit::of(&error);
    let text = match output {
        Output::Text => format!("error: {error:#}"),
        Output::Json => {
            serde_json::json!({"error": format!("{error:#}"), "exit": exit}).to_string()
        }
    };
    // If nobody can be told, the exit code still says it.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(exit as u8)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_code_under_more_words() {
        let told: anyhow::Result<()> = Err(Exit::Missing.error("there is no model digits"));
        let told = told.context("cannot show it").unwrap_err();
        assert_eq!(Exit::of(&told), Exit::Missing);
        assert_eq!(
            format!("{told:#}"),
            "cannot show it: there is no model digits"
        );
    }

    #[test]
    fn what_kafka_says_decides_the_exit_code() {
        let topic = "mill.models".to_owned();
        let missing: anyhow::Error = KafkaError::NoTopic { topic }.into();
        assert_eq!(Exit::of(&missing.context("reading")), Exit::Missing);
        let late = KafkaError::TimedOut {
            what: "waiting for a broker".to_owned(),
            waited: std::time::Duration::from_secs(1),
        };
        assert_eq!(Exit::of(&late.into()), Exit::Unreachable);
        assert_eq!(Exit::of(&anyhow::anyhow!("the disk is full")), Exit::Failed);
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(
            &anyhow::Error::from(closed).context("printing")
        ));
        assert!(!is_closed_pipe(&anyhow::anyhow!("printing")));
    }
}
