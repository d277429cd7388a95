//! What the catalog answers: who serves what now, and why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use millrace_wire::Signature;
use millrace_wire::avro::ModelState;

use super::{Models, Replica};
use crate::front::Wanted;

/// How many names a sentence lists.
const MAX_LISTED: usize = 8;

/// A model version that somebody alive serves.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) model: String,
    pub(crate) version: i64,
    pub(crate) signature: Arc<Signature>,
    /// Requests that wait, over all replicas, as these last reported.
    pub(crate) backlog_records: i64,
}

/// One version of a model, taken over all its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionStatus {
    pub(crate) version: i64,
    /// The best state of any live replica; `None` without one.
    pub(crate) state: Option<ModelState>,
    /// That replica's reason; empty when all is well.
    pub(crate) reason: String,
}

/// Why nobody can answer for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotServed {
    #[error("ingest is not ready: it cannot read the models topic at the moment")]
    NotRead,
    #[error("Servable not found for request: Latest({model}); models served: {served}")]
    UnknownModel { model: String, served: Names },
    #[error(
        "Servable not found for request: Specific({model}, {version}); its versions: {versions}"
    )]
    UnknownVersion {
        model: String,
        version: i64,
        versions: Names,
    },
    #[error("Unrecognized servable version label: {label} of {model}; its labels: {labels}")]
    UnknownLabel {
        model: String,
        label: String,
        labels: Names,
    },
    #[error("model {model} is not served at the moment: {why}")]
    NoReplica { model: String, why: String },
    #[error("no model is served: start infer with a model")]
    Nothing,
    #[error(
        "several models are served, name one of them as in POST /v1/models/MODEL:predict; models \
         served: {served}"
    )]
    Ambiguous { served: Names },
}

/// Names for a sentence: the first few of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let listed = &self.0[..self.0.len().min(MAX_LISTED)];
        f.write_str(&listed.join(", "))?;
        match self.0.len() - listed.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

type Versions = BTreeMap<i64, BTreeMap<String, Replica>>;

pub(super) fn find(
    models: &Models,
    model: &str,
    wanted: &Wanted,
    now: i64,
) -> Result<Served, NotServed> {
    let wanted_versions = wanted_versions(models, model, wanted, now)?;
    for (version, replicas) in wanted_versions.iter().rev() {
        if let Some(replica) = replicas.values().find(|replica| replica.is_available(now)) {
            return Ok(Served {
                model: model.to_owned(),
                version: **version,
                signature: Arc::clone(&replica.signature),
                backlog_records: backlog(replicas, now),
            });
        }
    }
    let newest = wanted_versions.iter().next_back();
    let why = match newest.map(|(version, replicas)| status(**version, replicas, now)) {
        Some(VersionStatus {
            state: Some(ModelState::Loading),
            ..
        }) => "it is being loaded".into(),
        Some(VersionStatus {
            state: Some(ModelState::Failed),
            reason,
            ..
        }) => {
            format!("it failed to load: {reason}")
        }
        Some(VersionStatus { state: Some(_), .. }) => "it is being unloaded".into(),
        _ => "no infer process that serves it is alive".into(),
    };
    Err(NotServed::NoReplica {
        model: model.to_owned(),
        why,
    })
}

/// Every replica reports what waits in the partitions that it reads.
fn backlog(replicas: &BTreeMap<String, Replica>, now: i64) -> i64 {
    let live = replicas.values().filter(|replica| replica.is_live(now));
    live.map(|replica| replica.backlog_records.max(0))
        .fold(0, i64::saturating_add)
}

pub(super) fn only_model(
    models: &Models,
    may: impl Fn(&str) -> bool,
    now: i64,
) -> Result<String, NotServed> {
    let mut served = served(models, now).filter(|model| may(model));
    let Some(first) = served.next() else {
        return Err(NotServed::Nothing);
    };
    let others: Vec<_> = served.cloned().collect();
    match others.is_empty() {
        true => Ok(first.clone()),
        false => Err(NotServed::Ambiguous {
            served: Names([vec![first.clone()], others].concat()),
        }),
    }
}

pub(super) fn unknown(models: &Models, model: &str, now: i64) -> NotServed {
    NotServed::UnknownModel {
        model: model.to_owned(),
        served: Names(served(models, now).cloned().collect()),
    }
}

fn served(models: &Models, now: i64) -> impl Iterator<Item = &String> {
    let is_served = move |versions: &Versions| {
        versions
            .values()
            .flat_map(BTreeMap::values)
            .any(|replica| replica.is_available(now))
    };
    let served = models
        .iter()
        .filter(move |(_, versions)| is_served(versions));
    served.map(|(model, _)| model)
}

pub(super) fn versions(
    models: &Models,
    model: &str,
    wanted: &Wanted,
    now: i64,
) -> Result<Vec<VersionStatus>, NotServed> {
    let wanted = wanted_versions(models, model, wanted, now)?;
    Ok(wanted
        .iter()
        .rev()
        .map(|(version, replicas)| status(**version, replicas, now))
        .collect())
}

/// Never empty.
pub(super) fn wanted_versions<'a>(
    models: &'a Models,
    model: &str,
    wanted: &Wanted,
    now: i64,
) -> Result<BTreeMap<&'a i64, &'a BTreeMap<String, Replica>>, NotServed> {
    let Some(versions) = models.get(model) else {
        return Err(unknown(models, model, now));
    };
    let mut found: BTreeMap<_, _> = versions.iter().collect();
    match wanted {
        Wanted::Latest => {}
        Wanted::Version(version) => found.retain(|it, _| *it == version),
        Wanted::Label(label) => found.retain(|_, replicas| labels(replicas, now).contains(label)),
    }
    match wanted {
        _ if !found.is_empty() => Ok(found),
        Wanted::Version(version) => Err(NotServed::UnknownVersion {
            model: model.to_owned(),
            version: *version,
            versions: Names(versions.keys().map(i64::to_string).collect()),
        }),
        Wanted::Latest | Wanted::Label(_) => Err(NotServed::UnknownLabel {
            model: model.to_owned(),
            label: wanted.label().unwrap_or_default().to_owned(),
            labels: Names(all_labels(versions, now)),
        }),
    }
}

fn labels(replicas: &BTreeMap<String, Replica>, now: i64) -> BTreeSet<String> {
    let live = replicas.values().filter(|replica| replica.is_live(now));
    live.flat_map(|replica| replica.labels.iter().cloned())
        .collect()
}

fn all_labels(versions: &Versions, now: i64) -> Vec<String> {
    let all: BTreeSet<_> = versions.values().flat_map(|it| labels(it, now)).collect();
    all.into_iter().collect()
}

pub(super) fn status(
    version: i64,
    replicas: &BTreeMap<String, Replica>,
    now: i64,
) -> VersionStatus {
    let live = replicas.values().filter(|replica| replica.is_live(now));
    let best = live.max_by_key(|replica| rank(replica.state));
    VersionStatus {
        version,
        state: best.map(|replica| replica.state),
        reason: best
            .map(|replica| replica.reason.clone())
            .unwrap_or_default(),
    }
}

/// The nearer to answering, the higher.
fn rank(state: ModelState) -> u8 {
    match state {
        ModelState::End => 0,
        ModelState::Failed => 1,
        ModelState::Unloading => 2,
        ModelState::Loading => 3,
        ModelState::Available => 4,
    }
}
