//! Asks for a change of what is wanted of a model, and waits until all its replicas show it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use millrace_kafka::{RewriteError, Rewriter};
use millrace_wire::avro::{AvroError, ControlChange, ModelControl, ModelDescriptor, Progress};
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::followed::Followed;
use crate::output::{self, Output};
use crate::seconds::seconds;
use crate::{when, whole_topic};

/// How long the broker may take for the record itself.
const WRITING: Duration = Duration::from_secs(30);
/// Leases run out without a record; so often it is looked at.
const TICK: Duration = Duration::from_millis(500);

/// How long to wait for the replicas.
#[derive(clap::Args)]
pub(super) struct Patience {
    /// Do not wait until the replicas have done it
    #[arg(long)]
    no_wait: bool,
    /// Seconds that the replicas may take
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    timeout: Duration,
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) model: &'a str,
    pub(super) change: ControlChange,
    /// What will be true, as in "label stable is version 2".
    pub(super) outcome: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    outcome: &'a str,
    /// Whether all replicas show it; `null` if nobody waited.
    done: Option<bool>,
    control_offset: i64,
    replicas: Vec<String>,
}

/// Asks for it once `check` has found nothing that stands in its way.
///
/// # Errors
/// Nobody alive knows the model, `check` refuses, it cannot be written, it cannot be done.
pub(super) fn run(
    (connection, output): (&Connection, Output),
    asked: &Asked<'_>,
    patience: &Patience,
    check: impl FnOnce(&[&ModelDescriptor]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let followed = Followed::start(connection)?;
    followed.look(|board| {
        let said = board.alive_of(asked.model, when::now_unix_ms());
        if said.is_empty() {
            return Err(Exit::Missing.error(board.nobody_knows(asked.model)));
        }
        check(&said)
    })?;
    let control_offset = write(connection, asked)?;
    let waited = match patience.no_wait {
        true => Ok(None),
        false => wait(&followed, asked, control_offset, patience.timeout).map(Some),
    };
    let replicas = followed.look(|board| {
        let said = board.alive_of(asked.model, when::now_unix_ms());
        let names: BTreeSet<String> = said.iter().map(|it| it.replica.clone()).collect();
        names.into_iter().collect()
    });
    followed.stop()?;
    let done = waited?;
    let answer = Answer {
        model: asked.model,
        outcome: &asked.outcome,
        done,
        control_offset,
        replicas,
    };
    match output {
        Output::Json => output::json(&answer),
        Output::Text => output::write(text(&answer).as_bytes()),
    }
}

fn text(answer: &Answer<'_>) -> String {
    let (model, outcome) = (answer.model, answer.outcome);
    let count = answer.replicas.len();
    let replicas = match count {
        1 => "1 replica".to_owned(),
        _ => format!("{count} replicas"),
    };
    match answer.done {
        Some(_) => format!("{model}: {outcome}, on {replicas}\n"),
        None => format!(
            "{model}: {outcome} is asked for; {replicas} will follow: millrace models show {model}\n"
        ),
    }
}

/// Writes what is wanted from now on; answers where it stands.
fn write(connection: &Connection, asked: &Asked<'_>) -> anyhow::Result<i64> {
    let rewriter = Rewriter {
        cluster: connection.cluster.clone(),
        topic: connection.topic("control"),
    };
    let until = Instant::now() + WRITING;
    let key = asked.model.as_bytes();
    let written = rewriter.change(key, until, |newest| changed(asked, newest));
    written.map_err(|error| match error {
        RewriteError::Refused(error) => anyhow::Error::new(error).context(format!(
            "what is wanted of model {} cannot be read; is this tool older than the line?",
            asked.model
        )),
        RewriteError::Reading(error) => error.into(),
        RewriteError::Writing(error) => error.into(),
    })
}

fn changed(asked: &Asked<'_>, newest: Option<&[u8]>) -> Result<Vec<u8>, AvroError> {
    let mut control = match newest {
        Some(message) => ModelControl::decode(message)?,
        None => ModelControl::of(asked.model),
    };
    asked.change.apply(&mut control);
    control.changed_at_unix_ms = when::now_unix_ms();
    "millrace".clone_into(&mut control.changed_by);
    control.encode()
}

/// Waits until it is done; what it waits for goes to standard error.
fn wait(
    followed: &Followed,
    asked: &Asked<'_>,
    offset: i64,
    timeout: Duration,
) -> anyhow::Result<bool> {
    let until = Instant::now() + timeout;
    let mut told = String::new();
    loop {
        let progress = followed.look(|board| {
            let said = board.alive_of(asked.model, when::now_unix_ms());
            asked.change.progress(offset, &said)
        });
        let sentence = match progress {
            Progress::Done => return Ok(true),
            Progress::Failed(why) => {
                return Err(Exit::Failed.error(format!(
                    "{}: {} is asked for and cannot be done: {why}",
                    asked.model, asked.outcome
                )));
            }
            Progress::Waiting(sentence) => sentence,
        };
        if Instant::now() >= until {
            return Err(Exit::Failed.error(format!(
                "{}: {} is asked for, and was not done within {} s: {sentence}; the replicas go \
                 on: millrace models show {}",
                asked.model,
                asked.outcome,
                timeout.as_secs(),
                asked.model
            )));
        }
        if sentence != told {
            // Standard error may be closed; the waiting goes on.
            let _ = writeln!(io::stderr(), "waiting: {}", output::plain(&sentence));
            told = sentence;
        }
        followed.wait_for_news(TICK.min(until.saturating_duration_since(Instant::now())));
    }
}

/// What is wanted of every model that anything was asked for.
pub(super) fn wanted(connection: &Connection) -> anyhow::Result<BTreeMap<String, ModelControl>> {
    let mut wanted = BTreeMap::new();
    let topic = connection.topic("control");
    if connection.admin.partition_count(&topic)?.is_none() {
        return Ok(wanted);
    }
    whole_topic::read(connection, &topic, |record| {
        let key = record.key.unwrap_or_default();
        let model = String::from_utf8_lossy(&key).into_owned();
        match record.value.as_deref().map(ModelControl::decode) {
            Some(Ok(control)) => wanted.insert(model, control),
            Some(Err(_)) | None => wanted.remove(&model),
        };
    })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use millrace_wire::avro::Canary;

    use super::*;

    #[test]
    fn a_change_keeps_what_was_asked_for_before() {
        let asked = |change| Asked {
            model: "m",
            change,
            outcome: String::new(),
        };
        let label = asked(ControlChange::SetLabel {
            label: "stable".to_owned(),
            version: 2,
        });
        let first = changed(&label, None).unwrap();
        let canary = Canary {
            label: "canary".to_owned(),
            percent: 5,
        };
        let second = changed(&asked(ControlChange::Canary(canary.clone())), Some(&first)).unwrap();
        let control = ModelControl::decode(&second).unwrap();
        assert_eq!(control.labels["stable"], Some(2));
        assert_eq!(control.canary, Some(canary));
        assert!(control.changed_at_unix_ms > 0);
        assert!(changed(&label, Some(b"damaged")).is_err());
    }

    #[test]
    fn the_answer_says_whether_it_is_done() {
        let answer = |done| Answer {
            model: "m",
            outcome: "label stable is version 2",
            done,
            control_offset: 3,
            replicas: vec!["a".to_owned()],
        };
        let done = text(&answer(Some(true)));
        assert_eq!(done, "m: label stable is version 2, on 1 replica\n");
        let asked = text(&answer(None));
        assert!(
            asked.contains("asked for; 1 replica will follow"),
            "{asked}"
        );
    }
}
