//! `millrace models labels`: names for versions, and which version each stands for.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use millrace_wire::avro::{ControlChange, ModelDescriptor, ModelState};
use serde::Serialize;

use crate::board::{self, Board};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Line, Output};
use crate::when;

use super::change::{self, Asked, Patience};

/// The longest label, in bytes; with this it fits a header and a path.
const MAX_LABEL_BYTES: usize = 150;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the labels, and which version each stands for
    List(ListArgs),
    /// Let a label stand for a version
    ///
    /// The label "stable" is what requests get that name neither version nor
    /// label. The version is loaded beside the others if it is not served yet.
    Set(SetArgs),
    /// Take a label away
    Remove(RemoveArgs),
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Of this model only
    model: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct SetArgs {
    /// The model
    model: String,
    /// The label, such as stable or canary
    #[arg(value_parser = label)]
    label: String,
    /// The version it shall stand for
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    version: i64,
    /// The version may be one that no replica knows yet
    #[arg(long)]
    ahead: bool,
    #[command(flatten)]
    patience: Patience,
}

#[derive(clap::Args)]
pub(crate) struct RemoveArgs {
    /// The model
    model: String,
    /// The label
    #[arg(value_parser = label)]
    label: String,
    #[command(flatten)]
    patience: Patience,
}

/// A label as the replicas that live show it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Label {
    model: String,
    label: String,
    version: i64,
    state: &'static str,
    /// Replicas that show it, of all that know the model.
    replicas: usize,
    of_replicas: usize,
    /// Its share, if it is the canary.
    canary_percent: i32,
}

impl Line for Label {
    const HEADINGS: &'static [&'static str] =
        &["MODEL", "LABEL", "VERSION", "STATE", "REPLICAS", "NOTES"];

    fn cells(&self) -> Vec<String> {
        let notes = match (self.label.as_str(), self.canary_percent) {
            ("stable", 0) => "what requests get that name no version".to_owned(),
            (_, 0) => String::new(),
            (_, percent) => format!("gets {percent} % of the requests that name no version"),
        };
        vec![
            self.model.clone(),
            self.label.clone(),
            self.version.to_string(),
            self.state.to_owned(),
            format!("{} of {}", self.replicas, self.of_replicas),
            notes,
        ]
    }
}

/// Reads a label: what fits a header and a path.
pub(super) fn label(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let only_dots = text.bytes().all(|byte| byte == b'.');
    if only_dots || text.len() > MAX_LABEL_BYTES || !text.bytes().all(allowed) {
        return Err("a label is letters, digits, '.', '-' and '_', such as stable".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn run(
    command: &Command,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args, connection, output),
        Command::Set(args) => set(args, connection, output),
        Command::Remove(args) => remove(args, connection, output),
    }
}

fn list(args: &ListArgs, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let (board, now) = (Board::read(connection)?, when::now_unix_ms());
    let mut labels = labels(&board, now);
    if let Some(model) = &args.model {
        labels.retain(|it| it.model == *model);
        if labels.is_empty() && board.alive_of(model, now).is_empty() {
            return Err(Exit::Missing.error(board.nobody_knows(model)));
        }
    }
    let nothing =
        "no version has a label; set one: millrace models labels set MODEL stable VERSION";
    output::print(output, &labels, nothing)
}

fn labels(board: &Board, now: i64) -> Vec<Label> {
    let entries = board.entries();
    let alive = entries.iter().filter(|it| board::is_alive(it, now));
    let mut replicas: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut labels: BTreeMap<(&str, &str, i64), Label> = BTreeMap::new();
    for it in alive {
        replicas.entry(&it.model).or_default().insert(&it.replica);
        for label in &it.labels {
            let key = (it.model.as_str(), label.as_str(), it.version);
            let known = labels.entry(key).or_insert_with(|| Label {
                model: it.model.clone(),
                label: label.clone(),
                version: it.version,
                state: board::name(it.state),
                replicas: 0,
                of_replicas: 0,
                canary_percent: 0,
            });
            known.replicas += 1;
            known.canary_percent = known.canary_percent.max(it.canary_percent);
            known.state = board::better(known.state, board::name(it.state));
        }
    }
    let mut labels: Vec<Label> = labels.into_values().collect();
    for label in &mut labels {
        label.of_replicas = replicas[label.model.as_str()].len();
    }
    labels
}

fn set(args: &SetArgs, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let asked = Asked {
        model: &args.model,
        change: ControlChange::SetLabel {
            label: args.label.clone(),
            version: args.version,
        },
        outcome: format!("label {} is version {}", args.label, args.version),
    };
    change::run(
        (connection, output),
        &asked,
        &args.patience,
        |said| match args.ahead {
            true => Ok(()),
            false => has_version(said, &args.model, args.version),
        },
    )
}

fn has_version(said: &[&ModelDescriptor], model: &str, version: i64) -> anyhow::Result<()> {
    let mut states: BTreeMap<i64, &'static str> = BTreeMap::new();
    for it in said {
        let state = states.entry(it.version).or_insert("GONE");
        *state = board::better(state, board::name(it.state));
    }
    match states.get(&version) {
        None => {
            let known = states
                .iter()
                .map(|(version, state)| format!("{version} ({state})"));
            let known: Vec<String> = known.collect();
            Err(Exit::Missing.error(format!(
                "no replica knows version {version} of model {model}; there are: {}; --ahead sets \
                 it all the same",
                known.join(", ")
            )))
        }
        Some(state) if *state == board::name(ModelState::Failed) => {
            let reasons = said.iter().filter(|it| it.version == version);
            let reason = reasons
                .map(|it| it.reason.as_str())
                .find(|it| !it.is_empty());
            Err(Exit::No.error(format!(
                "version {version} of model {model} failed to load: {}; mend it, then: millrace \
                 models load {model}",
                reason.unwrap_or("no replica says why")
            )))
        }
        Some(_) => Ok(()),
    }
}

fn remove(args: &RemoveArgs, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let (model, label) = (&args.model, &args.label);
    let asked = Asked {
        model,
        change: ControlChange::RemoveLabel {
            label: label.clone(),
        },
        outcome: format!("label {label} is gone"),
    };
    // A label that was set ahead stands nowhere but in what was asked for.
    let wanted = change::wanted(connection)?;
    let wanted = wanted.get(model);
    let ahead = wanted.is_some_and(|it| it.labels.get(label).is_some_and(Option::is_some));
    change::run(
        (connection, output),
        &asked,
        &args.patience,
        |said| match ahead {
            true => Ok(()),
            false => has_label(said, model, label),
        },
    )
}

/// # Errors
/// No replica shows the label; the sentence lists those that are there.
pub(super) fn has_label(said: &[&ModelDescriptor], model: &str, label: &str) -> anyhow::Result<()> {
    let labels: BTreeSet<&str> = said
        .iter()
        .flat_map(|it| it.labels.iter().map(String::as_str))
        .collect();
    if labels.contains(label) {
        return Ok(());
    }
    let known: Vec<&str> = labels.into_iter().collect();
    Err(Exit::Missing.error(match known.as_slice() {
        [] => format!(
            "model {model} has no label {label}; set it: millrace models labels set {model} \
             {label} VERSION"
        ),
        known => format!(
            "model {model} has no label {label}; its labels are: {}",
            known.join(", ")
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{board, descriptor};

    fn of(replica: &str, version: i64, labels: &[&str]) -> ModelDescriptor {
        ModelDescriptor {
            version,
            labels: labels.iter().map(|&it| it.to_owned()).collect(),
            ..descriptor("digits", replica, ModelState::Available)
        }
    }

    #[test]
    fn while_replicas_disagree_both_versions_of_a_label_are_listed() {
        let mut canary = of("b", 3, &["canary"]);
        canary.canary_percent = 5;
        let said = [of("a", 1, &["stable"]), of("b", 2, &["stable"]), canary];
        let labels = labels(&board(&said), 0);
        let told: Vec<String> = labels.iter().map(|it| it.cells().join(" ")).collect();
        assert_eq!(
            told,
            [
                "digits canary 3 AVAILABLE 1 of 2 gets 5 % of the requests that name no version",
                "digits stable 1 AVAILABLE 1 of 2 what requests get that name no version",
                "digits stable 2 AVAILABLE 1 of 2 what requests get that name no version",
            ]
        );
        assert!(super::labels(&board(&said), i64::MAX).is_empty());
    }

    #[test]
    fn a_version_that_nobody_knows_is_refused_with_those_that_there_are() {
        let mut failed = of("a", 3, &[]);
        failed.state = ModelState::Failed;
        failed.reason = "no such operator".to_owned();
        let mut ended = of("a", 1, &[]);
        ended.state = ModelState::End;
        let served = of("a", 2, &[]);
        let said = [&ended, &served, &failed];
        assert!(has_version(&said, "digits", 2).is_ok());
        assert!(has_version(&said, "digits", 1).is_ok());
        let unknown = has_version(&said, "digits", 7).unwrap_err().to_string();
        assert!(
            unknown.contains("1 (END), 2 (AVAILABLE), 3 (FAILED)"),
            "{unknown}"
        );
        let failed = has_version(&said, "digits", 3).unwrap_err().to_string();
        assert!(failed.contains("no such operator"), "{failed}");
    }

    #[test]
    fn a_label_that_is_not_there_is_refused_with_those_that_are() {
        let (labelled, bare) = (of("a", 2, &["stable"]), of("a", 1, &[]));
        assert!(has_label(&[&labelled], "digits", "stable").is_ok());
        let unknown = has_label(&[&labelled], "digits", "canary").unwrap_err();
        assert!(unknown.to_string().contains("labels are: stable"));
        let none = has_label(&[&bare], "digits", "canary").unwrap_err();
        assert!(none.to_string().contains("labels set digits canary"));
    }

    #[test]
    fn a_label_fits_a_header_and_a_path() {
        assert_eq!(label("stable-2.0_x"), Ok("stable-2.0_x".to_owned()));
        for wrong in ["", "..", "a b", "a/b", "ä", &"x".repeat(151)] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }
}
