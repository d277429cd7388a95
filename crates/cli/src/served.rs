//! Which version of a model is meant, and what its signature is: from `<prefix>.models`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use millrace_wire::Signature;
use millrace_wire::avro::{ModelDescriptor, ModelState};

use crate::connection::Connection;
use crate::exit::Exit;
use crate::lane::Lane;
use crate::whole_topic;

/// `MODEL`, `MODEL@VERSION` or `MODEL:LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelRef {
    pub(crate) name: String,
    pub(crate) choice: Choice,
}

/// Which version of a model is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The one with the label `stable`, or else the highest one that somebody serves.
    Newest,
    Version(i64),
    Label(String),
}

/// A model version that somebody alive serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) model: String,
    pub(crate) version: i64,
    pub(crate) signature: Signature,
    /// Whether somebody reads its bulk lane.
    pub(crate) has_bulk: bool,
}

impl FromStr for ModelRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, choice) = if let Some((name, version)) = text.split_once('@') {
            let version = version.parse().ok().filter(|version| *version >= 0);
            let version =
                version.ok_or("after @ stands a version, a whole number, as in digits@2")?;
            (name, Choice::Version(version))
        } else if let Some((name, label)) = text.split_once(':') {
            if label.is_empty() {
                return Err("after : stands a label, as in digits:stable".to_owned());
            }
            (name, Choice::Label(label.to_owned()))
        } else {
            (text, Choice::Newest)
        };
        if name.is_empty() {
            return Err("the model's name is missing".to_owned());
        }
        let name = name.to_owned();
        Ok(Self { name, choice })
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Choice::Newest => f.write_str(&self.name),
            Choice::Version(version) => write!(f, "{}@{version}", self.name),
            Choice::Label(label) => write!(f, "{}:{label}", self.name),
        }
    }
}

/// Finds who serves what is wanted.
///
/// # Errors
/// Nobody does; the sentence says what is served instead, and what to do.
pub(crate) fn find(connection: &Connection, wanted: &ModelRef) -> anyhow::Result<Served> {
    let descriptors = alive(connection)?;
    let mut fitting: Vec<&ModelDescriptor> = descriptors
        .iter()
        .filter(|descriptor| descriptor.model == wanted.name && wanted.choice.takes(descriptor))
        .collect();
    let is_stable = |it: &ModelDescriptor| it.labels.iter().any(|label| label == "stable");
    fitting.sort_by_key(|it| (wanted.choice == Choice::Newest && is_stable(it), it.version));
    let Some(newest) = fitting.last() else {
        return Err(Exit::Missing.error(nobody(&descriptors, wanted, &connection.prefix)));
    };
    let signature = newest
        .signature()
        .with_context(|| format!("the signature of model {} is not usable", wanted.name))?;
    let served = Served {
        model: newest.model.clone(),
        version: newest.version,
        signature,
        // A replica without it leaves the records to the others.
        has_bulk: fitting
            .iter()
            .any(|it| it.lanes.contains(&"bulk".to_owned())),
    };
    Lane::Interactive.check(&served, connection)?;
    Ok(served)
}

impl Choice {
    fn takes(&self, descriptor: &ModelDescriptor) -> bool {
        match self {
            Self::Newest => true,
            Self::Version(version) => descriptor.version == *version,
            Self::Label(label) => descriptor.labels.contains(label),
        }
    }
}

/// The descriptors of replicas that serve now.
fn alive(connection: &Connection) -> anyhow::Result<Vec<ModelDescriptor>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now_unix_ms = i64::try_from(now.as_millis())?;
    let mut newest = BTreeMap::new();
    let topic = format!("{}.models", connection.prefix);
    whole_topic::read(connection, &topic, |record| {
        let descriptor = record.value.as_deref().map(ModelDescriptor::decode);
        newest.insert(record.key, descriptor.and_then(Result::ok));
    })?;
    let is_alive = |descriptor: &ModelDescriptor| {
        descriptor.state == ModelState::Available && descriptor.lease_until_unix_ms > now_unix_ms
    };
    Ok(newest.into_values().flatten().filter(is_alive).collect())
}

fn nobody(alive: &[ModelDescriptor], wanted: &ModelRef, prefix: &str) -> String {
    let name = &wanted.name;
    let of_model: Vec<_> = alive.iter().filter(|it| it.model == *name).collect();
    if of_model.is_empty() {
        let models: BTreeSet<&str> = alive.iter().map(|it| it.model.as_str()).collect();
        return format!(
            "nobody serves model {name}; start millrace-infer with it in models.names and \
             topics.prefix {prefix:?}{}",
            listed("; served are", models.into_iter().map(str::to_owned))
        );
    }
    match &wanted.choice {
        Choice::Label(label) => {
            let labels: BTreeSet<String> =
                of_model.iter().flat_map(|it| it.labels.clone()).collect();
            format!(
                "model {name} has no label {label:?}{}",
                listed("; its labels are", labels.into_iter())
            )
        }
        Choice::Version(_) | Choice::Newest => {
            let versions: BTreeSet<i64> = of_model.iter().map(|it| it.version).collect();
            format!(
                "nobody serves {wanted}{}",
                listed("; served are versions", versions.iter().map(i64::to_string))
            )
        }
    }
}

/// Names for the end of a sentence; nothing where there are none.
fn listed(before: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.take(8).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("{before} {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_may_have_a_version_or_a_label() {
        let parsed = |text: &str| text.parse::<ModelRef>();
        assert_eq!(parsed("digits").unwrap().choice, Choice::Newest);
        assert_eq!(parsed("digits@3").unwrap().choice, Choice::Version(3));
        let label = Choice::Label("stable".to_owned());
        assert_eq!(parsed("digits:stable").unwrap().choice, label);
        for wrong in ["", "digits@", "digits@-1", "digits@new", "digits:", "@1"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parsed("digits@3").unwrap().to_string(), "digits@3");
    }
}
