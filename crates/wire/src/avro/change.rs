//! What can be asked of a model at run time, and how descriptors show that it is done.

use std::collections::{BTreeMap, BTreeSet};

use super::{Canary, ModelControl, ModelDescriptor, ModelState};

/// How many reasons a sentence tells.
const MAX_TOLD: usize = 4;

/// One change of what is wanted of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlChange {
    /// The label stands for this version from now on.
    SetLabel {
        /// Such as `stable`.
        label: String,
        /// The version it stands for.
        version: i64,
    },
    /// The label stands for nothing, whatever `model.toml` says.
    RemoveLabel {
        /// Such as `canary`.
        label: String,
    },
    /// A share of the requests goes to a label; 0 percent stops that.
    Canary(Canary),
    /// The model is served, and what failed to load is tried again.
    Load,
    /// No version of the model is served.
    Unload,
}

/// How far the replicas that live have followed a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All of them show it.
    Done,
    /// Some do not; the sentence says what is waited for.
    Waiting(String),
    /// All of them follow it, and it does not show: the sentence says why.
    Failed(String),
}

impl ControlChange {
    /// Makes the change in what is wanted so far.
    pub fn apply(&self, control: &mut ModelControl) {
        match self {
            Self::SetLabel { label, version } => {
                control.labels.insert(label.clone(), Some(*version));
            }
            Self::RemoveLabel { label } => {
                control.labels.insert(label.clone(), None);
            }
            Self::Canary(canary) => control.canary = Some(canary.clone()),
            Self::Load => control.unloaded = false,
            Self::Unload => control.unloaded = true,
        }
    }

    /// How far the change is that stands at `offset` of the control topic, by the descriptors of the
    /// model whose leases hold.
    pub fn progress(&self, offset: i64, said: &[&ModelDescriptor]) -> Progress {
        let behind = replicas(said.iter().filter(|it| it.control_offset < offset));
        let all = replicas(said.iter());
        if all.is_empty() {
            return Progress::Waiting("no infer process that knows the model is alive".to_owned());
        }
        if !behind.is_empty() {
            return Progress::Waiting(format!(
                "{} of {} replicas have not followed it yet: {}",
                behind.len(),
                all.len(),
                listed(behind)
            ));
        }
        let moving = said
            .iter()
            .filter(|it| matches!(it.state, ModelState::Loading | ModelState::Unloading));
        let moving: Vec<String> = moving.map(|it| doing(it)).collect();
        if !moving.is_empty() {
            return Progress::Waiting(listed(moving));
        }
        let lacking: Vec<String> = by_replica(said)
            .into_iter()
            .filter_map(|(replica, said)| Some(format!("{replica}: {}", self.lacks(&said)?)))
            .collect();
        match lacking.is_empty() {
            true => Progress::Done,
            false => Progress::Failed(listed(lacking)),
        }
    }

    /// What a replica that follows the change and rests does not show of it.
    fn lacks(&self, said: &[&ModelDescriptor]) -> Option<String> {
        let has = |label: &str, it: &ModelDescriptor| it.labels.iter().any(|own| own == label);
        match self {
            Self::SetLabel { label, version } => {
                let Some(it) = said.iter().find(|it| it.version == *version) else {
                    return Some(format!("there is no version {version}"));
                };
                match it.state {
                    ModelState::Available if has(label, it) => None,
                    ModelState::Available => Some(format!("version {version} has no such label")),
                    _ => Some(resting(it)),
                }
            }
            Self::RemoveLabel { label } => said
                .iter()
                .find(|it| has(label, it))
                .map(|it| format!("version {} still has it", it.version)),
            Self::Canary(canary) => {
                let shown = |it: &&&ModelDescriptor| it.canary_percent == canary.percent;
                match canary.percent {
                    0 if said.iter().all(|it| it.canary_percent == 0) => None,
                    0 => Some("the canary still runs".to_owned()),
                    _ if said.iter().filter(shown).any(|it| has(&canary.label, it)) => None,
                    _ => Some(format!("no version has the label {}", canary.label)),
                }
            }
            Self::Load => {
                let served = said.iter().any(|it| it.state == ModelState::Available);
                let failed = |it: &&&ModelDescriptor| it.state == ModelState::Failed;
                match said.iter().rev().find(failed) {
                    Some(it) => Some(resting(it)),
                    None if served => None,
                    None => Some("it has no version".to_owned()),
                }
            }
            Self::Unload => said
                .iter()
                .find(|it| it.state == ModelState::Available)
                .map(|it| format!("version {} is still served", it.version)),
        }
    }
}

fn by_replica<'a>(said: &[&'a ModelDescriptor]) -> BTreeMap<&'a str, Vec<&'a ModelDescriptor>> {
    let mut replicas: BTreeMap<&str, Vec<&ModelDescriptor>> = BTreeMap::new();
    for it in said {
        replicas.entry(&it.replica).or_default().push(it);
    }
    replicas
}

fn replicas<'a>(said: impl Iterator<Item = &'a &'a ModelDescriptor>) -> Vec<String> {
    let names: BTreeSet<&str> = said.map(|it| it.replica.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn doing(it: &ModelDescriptor) -> String {
    let verb = match it.state {
        ModelState::Unloading => "unloads",
        _ => "loads",
    };
    format!("{} {verb} version {}", it.replica, it.version)
}

fn resting(it: &ModelDescriptor) -> String {
    match (it.state, it.reason.is_empty()) {
        (ModelState::Failed, _) => format!("version {} failed to load: {}", it.version, it.reason),
        (_, true) => format!("version {} is not served", it.version),
        (_, false) => format!("version {} is not served: {}", it.version, it.reason),
    }
}

fn listed(mut told: Vec<String>) -> String {
    let more = told.len().saturating_sub(MAX_TOLD);
    told.truncate(MAX_TOLD);
    match more {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}
