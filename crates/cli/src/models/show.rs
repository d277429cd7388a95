//! `millrace models show`: one version of a model, its signature and who serves it.

use millrace_wire::avro::{ModelDescriptor, TensorDescription};
use serde::Serialize;

use crate::board::{self, Board, Version};
use crate::exit::Exit;
use crate::output::{self, Line, Output};
use crate::when;

use super::list;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The model
    model: String,
    /// Its version [default: the stable one, or else the newest one that is served]
    #[arg(long, value_name = "NUMBER")]
    version: Option<i64>,
}

#[derive(Serialize)]
struct Shown<'a> {
    model: &'a str,
    version: i64,
    state: &'static str,
    labels: &'a [String],
    canary_percent: i32,
    engine: &'a str,
    weights_sha256: &'a str,
    max_batch_rows: i64,
    /// `at_least_once` or `exactly_once`; empty where nobody reads its records.
    delivery: &'a str,
    lanes: &'a [String],
    inputs: Vec<Tensor<'a>>,
    outputs: Vec<Tensor<'a>>,
    replicas: Vec<Replica<'a>>,
    /// All versions of the model, this one too.
    versions: &'a [Version],
}

/// An input or an output; dimension 0 is rows, -1 is open.
#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: &'a [i64],
}

#[derive(Serialize)]
struct Replica<'a> {
    replica: &'a str,
    state: &'static str,
    /// Negative once the lease has run out.
    lease_left_ms: i64,
    backlog_records: i64,
    weights_sha256: &'a str,
    reason: &'a str,
}

/// A version among the others of its model.
#[derive(Serialize)]
struct Beside<'a>(&'a Version);

impl Line for Beside<'_> {
    const HEADINGS: &'static [&'static str] = &[
        "  VERSION",
        "STATE",
        "REPLICAS",
        "LABELS",
        "WEIGHTS",
        "NOTES",
    ];

    fn cells(&self) -> Vec<String> {
        let Self(version) = self;
        let weights: String = version.weights_sha256.chars().take(12).collect();
        vec![
            format!("  {}", version.version),
            version.state.to_owned(),
            version.replicas.to_string(),
            list::labels(version),
            weights,
            list::notes(version),
        ]
    }
}

impl Line for Tensor<'_> {
    const HEADINGS: &'static [&'static str] = &["  NAME", "TYPE", "SHAPE"];

    fn cells(&self) -> Vec<String> {
        let size = |&size: &i64| match size {
            -1 => "any".to_owned(),
            size => size.to_string(),
        };
        let shape: Vec<String> = self.shape.iter().skip(1).map(size).collect();
        vec![
            format!("  {}", self.name),
            self.dtype.to_owned(),
            match shape.is_empty() {
                true => "one value per row".to_owned(),
                false => format!("[{}] per row", shape.join(", ")),
            },
        ]
    }
}

impl Line for Replica<'_> {
    const HEADINGS: &'static [&'static str] = &["  REPLICA", "STATE", "LEASE", "WAITING", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            format!("  {}", self.replica),
            self.state.to_owned(),
            board::lease(self.lease_left_ms),
            self.backlog_records.to_string(),
            self.reason.to_owned(),
        ]
    }
}

pub(super) fn run(args: &Args, board: &Board, output: Output) -> anyhow::Result<()> {
    let now = when::now_unix_ms();
    let mut versions = board.versions(now);
    versions.retain(|version| version.model == args.model);
    let chosen = choose(args, &versions)?;
    let entries = board.entries().into_iter();
    let replicas: Vec<&ModelDescriptor> = entries
        .filter(|entry| (&entry.model, entry.version) == (&args.model, chosen.version))
        .collect();
    // A replica that is loading or has failed does not know the signature.
    let knows_most = |entry: &&&ModelDescriptor| entry.inputs.len() + entry.outputs.len();
    let Some(known) = replicas.iter().max_by_key(knows_most) else {
        return Err(Exit::Missing.error(board.nobody_knows(&args.model)));
    };
    let shown = shown(known, (chosen, &versions), &replicas, now);
    match output {
        Output::Json => output::json(&shown),
        Output::Text => output::write(text(&shown).as_bytes()),
    }
}

fn choose<'v>(args: &Args, versions: &'v [Version]) -> anyhow::Result<&'v Version> {
    let is_stable = |it: &Version| it.labels.iter().any(|label| label == "stable");
    let chosen = match args.version {
        Some(number) => versions.iter().find(|version| version.version == number),
        None => versions
            .iter()
            .max_by_key(|it| (it.state == "AVAILABLE", is_stable(it), it.version)),
    };
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    let model = &args.model;
    let known: Vec<String> = versions.iter().map(|it| it.version.to_string()).collect();
    Err(Exit::Missing.error(match known.as_slice() {
        [] => format!("nobody serves model {model}; millrace models list shows what is served"),
        known => format!(
            "model {model} has no such version; there are: {}",
            known.join(", ")
        ),
    }))
}

fn shown<'a>(
    known: &'a ModelDescriptor,
    (chosen, versions): (&'a Version, &'a [Version]),
    replicas: &[&'a ModelDescriptor],
    now: i64,
) -> Shown<'a> {
    let replica = |it: &&'a ModelDescriptor| Replica {
        replica: &it.replica,
        state: board::name(it.state),
        lease_left_ms: it.lease_until_unix_ms.saturating_sub(now),
        backlog_records: it.backlog_records,
        weights_sha256: &it.weights_sha256,
        reason: &it.reason,
    };
    Shown {
        model: &known.model,
        version: known.version,
        state: chosen.state,
        labels: &chosen.labels,
        canary_percent: chosen.canary_percent,
        engine: &known.engine,
        weights_sha256: &known.weights_sha256,
        max_batch_rows: known.max_batch_rows,
        delivery: &known.delivery,
        lanes: &known.lanes,
        inputs: known.inputs.iter().map(tensor).collect(),
        outputs: known.outputs.iter().map(tensor).collect(),
        replicas: replicas.iter().map(replica).collect(),
        versions,
    }
}

fn tensor(description: &TensorDescription) -> Tensor<'_> {
    Tensor {
        name: &description.name,
        dtype: &description.dtype,
        shape: &description.shape,
    }
}

fn text(shown: &Shown<'_>) -> String {
    let mut text = format!(
        "{}, version {}: {}\n",
        shown.model, shown.version, shown.state
    );
    let batch = match shown.max_batch_rows {
        rows @ 1.. => rows.to_string(),
        _ => String::new(),
    };
    let share = match shown.canary_percent {
        0 => String::new(),
        percent => format!("{percent} % of the requests that name no version"),
    };
    let facts = [
        ("labels", shown.labels.join(", ")),
        ("canary", share),
        ("engine", shown.engine.to_owned()),
        ("weights", shown.weights_sha256.to_owned()),
        ("rows of a batch", batch),
        ("delivery", shown.delivery.to_owned()),
        ("lanes", shown.lanes.join(", ")),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        text.push_str(&format!("  {name}: {}\n", output::plain(fact)));
    }
    for (title, tensors) in [("inputs", &shown.inputs), ("outputs", &shown.outputs)] {
        if !tensors.is_empty() {
            text.push_str(&format!("\n{title}\n{}", output::table(tensors)));
        }
    }
    if shown.versions.len() > 1 {
        let versions: Vec<Beside<'_>> = shown.versions.iter().map(Beside).collect();
        text.push_str(&format!("\nversions\n{}", output::table(&versions)));
    }
    text.push_str(&format!("\nreplicas\n{}", output::table(&shown.replicas)));
    for replica in shown.replicas.iter().filter(|it| !it.reason.is_empty()) {
        let reason = output::plain(replica.reason);
        text.push_str(&format!("\n{} says: {reason}\n", replica.replica));
    }
    text
}

#[cfg(test)]
mod tests {
    use millrace_wire::avro::ModelState;

    use super::*;
    use crate::board::tests::{board, descriptor};

    fn args(model: &str, version: Option<i64>) -> Args {
        let model = model.to_owned();
        Args { model, version }
    }

    #[test]
    fn signature_and_reasons_are_shown() {
        let mut serving = descriptor("digits", "a", ModelState::Available);
        serving.inputs = vec![TensorDescription {
            name: "image".to_owned(),
            dtype: "FP32".to_owned(),
            shape: vec![-1, 8, -1],
        }];
        serving.delivery = "exactly_once".to_owned();
        serving.lanes = ["interactive", "bulk"].map(str::to_owned).into();
        let mut failed = descriptor("digits", "b", ModelState::Failed);
        failed.reason = "no such operator".to_owned();
        let mut older = descriptor("digits", "a", ModelState::End);
        (older.version, older.weights_sha256) = (0, "0a".repeat(32));
        let board = board(&[serving, failed, older]);
        let versions = board.versions(5000);
        let entries = &board.entries()[1..];
        let shown = shown(entries[0], (&versions[1], &versions), entries, 5000);
        let text = text(&shown);
        assert!(text.contains("  image  FP32  [8, any] per row"), "{text}");
        assert!(text.contains("b says: no such operator"), "{text}");
        assert!(text.contains("  delivery: exactly_once\n"), "{text}");
        assert!(text.contains("  lanes: interactive, bulk\n"), "{text}");
        assert!(text.contains("5 s left"), "{text}");
        let older = "  0        END        1         stable  0a0a0a0a0a0a";
        assert!(text.contains(older), "{text}");
    }

    #[test]
    fn the_stable_version_is_chosen_or_else_the_newest_one_that_is_served() {
        let of = |version, state, labels: &[&str]| ModelDescriptor {
            version,
            labels: labels.iter().map(|&it| it.to_owned()).collect(),
            ..descriptor("digits", "a", state)
        };
        let chosen = |said: &[ModelDescriptor], version| {
            let versions = board(said).versions(0);
            let chosen = choose(&args("digits", version), &versions);
            chosen.map(|it| it.version).map_err(|it| it.to_string())
        };
        let serving = [
            of(1, ModelState::Available, &[]),
            of(2, ModelState::Loading, &[]),
        ];
        assert_eq!(chosen(&serving, None), Ok(1));
        assert_eq!(chosen(&serving, Some(2)), Ok(2));
        assert!(chosen(&serving, Some(3)).unwrap_err().contains("1, 2"));
        assert!(chosen(&[], None).is_err());
        let labelled = [
            of(1, ModelState::Available, &["stable"]),
            of(2, ModelState::Available, &[]),
        ];
        assert_eq!(chosen(&labelled, None), Ok(1));
    }
}
