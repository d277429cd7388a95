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
    #[error("Servable not found for request: Latest({model}): {}", unloaded(.reason))]
    Unloaded { model: String, reason: String },
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
type Candidates<'a> = BTreeMap<&'a i64, &'a BTreeMap<String, Replica>>;

/// The label of what requests get that name neither version nor label.
const STABLE: &str = "stable";

/// Why a model is let go of, as infer says it.
fn unloaded(reason: &str) -> &str {
    match reason {
        "" => "it is unloaded",
        reason => reason,
    }
}

pub(super) fn find(
    models: &Models,
    model: &str,
    wanted: &Wanted,
    now: i64,
) -> Result<Served, NotServed> {
    let mut candidates = wanted_versions(models, model, wanted, now)?;
    if *wanted == Wanted::Latest {
        only_stable(&mut candidates, now);
    }
    let served = candidates.iter().filter_map(|(version, replicas)| {
        let mut available = replicas.values().filter(|it| it.is_available(now));
        let replica = available.next()?;
        // Where replicas disagree, as during a swap, what most of them can answer.
        Some(((available.count(), **version), replica, *replicas))
    });
    if let Some(((_, version), replica, replicas)) = served.max_by_key(|(rank, ..)| *rank) {
        return Ok(Served {
            model: model.to_owned(),
            version,
            signature: Arc::clone(&replica.signature),
            backlog_records: backlog(replicas, now),
        });
    }
    Err(unanswered(models, model, (wanted, &candidates), now))
}

/// What answers requests that name neither version nor label: the versions with the label
/// `stable`, if there are any.
fn only_stable(candidates: &mut Candidates<'_>, now: i64) {
    let is_stable = |replicas: &BTreeMap<String, Replica>| labels(replicas, now).contains(STABLE);
    if candidates.values().any(|replicas| is_stable(replicas)) {
        candidates.retain(|_, replicas| is_stable(replicas));
    }
}

/// Why none of the candidates answers: it may come (503), or nobody serves it any more (404).
fn unanswered(
    models: &Models,
    model: &str,
    (wanted, candidates): (&Wanted, &Candidates<'_>),
    now: i64,
) -> NotServed {
    let statuses = candidates
        .iter()
        .map(|(version, replicas)| status(**version, replicas, now));
    let best = statuses.max_by_key(|it| (it.state.map(rank), it.version));
    let versions = models.get(model);
    let any = |is: fn(&Replica, i64) -> bool| {
        let all = versions.into_iter().flat_map(BTreeMap::values);
        all.flat_map(BTreeMap::values).any(|it| is(it, now))
    };
    let why = match best.as_ref().and_then(|it| it.state) {
        Some(ModelState::Loading) => Ok("it is being loaded".to_owned()),
        Some(ModelState::Failed) => {
            let reason = best.map(|it| it.reason).unwrap_or_default();
            Ok(format!("it failed to load: {reason}"))
        }
        // A replica that stops says so of all its versions.
        Some(ModelState::Unloading) if !any(Replica::is_available) => {
            Ok("it is being unloaded".to_owned())
        }
        None if !any(Replica::is_live) => Ok("no infer process that serves it is alive".to_owned()),
        _ => Err(best.map(|it| it.reason).unwrap_or_default()),
    };
    let model = model.to_owned();
    match (why, wanted) {
        (Ok(why), _) => NotServed::NoReplica { model, why },
        (Err(_), Wanted::Version(version)) => NotServed::UnknownVersion {
            version: *version,
            versions: served_versions(versions, now),
            model,
        },
        (Err(reason), Wanted::Latest | Wanted::Label(_)) => NotServed::Unloaded { model, reason },
    }
}

/// The versions that a request can name.
fn served_versions(versions: Option<&Versions>, now: i64) -> Names {
    let is_served = |replicas: &BTreeMap<String, Replica>| {
        let serving = |it: &Replica| {
            it.is_live(now) && matches!(it.said.state, ModelState::Available | ModelState::Loading)
        };
        replicas.values().any(serving)
    };
    let served = versions.into_iter().flatten();
    let served = served.filter(|(_, replicas)| is_served(replicas));
    Names(served.map(|(version, _)| version.to_string()).collect())
}

/// Every replica reports what waits in the partitions that it reads.
fn backlog(replicas: &BTreeMap<String, Replica>, now: i64) -> i64 {
    let live = replicas.values().filter(|replica| replica.is_live(now));
    live.map(|replica| replica.said.backlog_records.max(0))
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
) -> Result<Candidates<'a>, NotServed> {
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
            versions: served_versions(Some(versions), now),
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
    live.flat_map(|replica| replica.said.labels.iter().cloned())
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
    let best = live.max_by_key(|replica| rank(replica.said.state));
    VersionStatus {
        version,
        state: best.map(|replica| replica.said.state),
        reason: best
            .map(|replica| replica.said.reason.clone())
            .unwrap_or_default(),
    }
}

impl VersionStatus {
    /// State and reason as Triton's repository index has them.
    pub(crate) fn in_index(&self) -> (&'static str, &str) {
        let reason = self.reason.as_str();
        match self.state {
            Some(ModelState::Available) => ("READY", ""),
            Some(ModelState::Loading) => ("LOADING", reason),
            Some(ModelState::Unloading) => ("UNLOADING", reason),
            Some(ModelState::End) if reason.is_empty() => ("UNAVAILABLE", "unloaded"),
            Some(ModelState::Failed | ModelState::End) => ("UNAVAILABLE", reason),
            None => ("UNAVAILABLE", "no infer process that serves it is alive"),
        }
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
