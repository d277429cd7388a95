//! Which versions of one model should be loaded, and what their labels are. Pure: from what lies in the repository,
//! what `model.toml` says and what operators asked for.

use std::collections::{BTreeMap, BTreeSet};

use millrace_wire::avro::ModelControl;

use crate::repository::{Policy, VersionOptions};

/// What one model should be.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Versions that should be loaded; all of them are there.
    pub(super) wanted: BTreeSet<i64>,
    /// Versions that were asked for by number and are not there.
    pub(super) missing: BTreeSet<i64>,
    /// The version that each label should stand for.
    pub(super) labels: BTreeMap<String, i64>,
    /// The label that gets a share, and how many percent.
    pub(super) canary: Option<(String, f64)>,
    /// No version is served because somebody asked for that.
    pub(super) unloaded: bool,
}

/// `failed` are versions that cannot be loaded: the latest n are counted without them, so that the version before a bad
/// one is served after a restart as it was before.
pub(super) fn plan(
    present: &BTreeSet<i64>,
    failed: &BTreeSet<i64>,
    options: &VersionOptions,
    control: Option<&ModelControl>,
) -> Plan {
    let labels = labels(&options.labels, control);
    let canary = canary(options, control);
    if control.is_some_and(|control| control.unloaded) {
        return Plan {
            labels,
            canary,
            unloaded: true,
            ..Plan::default()
        };
    }
    let mut wanted: BTreeSet<i64> = match &options.policy {
        Policy::All => present.clone(),
        Policy::Latest(count) => present
            .iter()
            .rev()
            .filter(|version| !failed.contains(version))
            .take(*count)
            .copied()
            .collect(),
        Policy::Only(asked) => asked.iter().copied().collect(),
    };
    let missing = wanted.difference(present).copied().collect();
    wanted.extend(labels.values());
    wanted.retain(|version| present.contains(version));
    Plan {
        wanted,
        missing,
        labels,
        canary,
        unloaded: false,
    }
}

fn labels(base: &BTreeMap<String, i64>, control: Option<&ModelControl>) -> BTreeMap<String, i64> {
    let mut labels = base.clone();
    for (label, version) in control.iter().flat_map(|control| &control.labels) {
        match version {
            Some(version) => labels.insert(label.clone(), *version),
            None => labels.remove(label),
        };
    }
    labels
}

fn canary(options: &VersionOptions, control: Option<&ModelControl>) -> Option<(String, f64)> {
    let asked = control.and_then(|control| control.canary.as_ref());
    let (label, percent) = match (asked, &options.canary) {
        (Some(canary), _) => (&canary.label, f64::from(canary.percent)),
        (None, Some(canary)) => (&canary.label, canary.percent),
        (None, None) => return None,
    };
    (percent > 0.0).then(|| (label.clone(), percent))
}

/// The label of the version that callers get who name neither version nor label.
const STABLE: &str = "stable";

/// Where records go, out of what can answer now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Routes {
    pub(super) labels: BTreeMap<String, i64>,
    pub(super) default: Option<i64>,
    pub(super) canary: Option<(i64, f64)>,
}

/// A label moves when the version it should stand for can answer; until then it stays where it was. `before` are the
/// labels so far, `usable` the versions that can answer, `coming` those that are being loaded.
pub(super) fn routes(
    plan: &Plan,
    before: &BTreeMap<String, i64>,
    usable: &BTreeSet<i64>,
    coming: &BTreeSet<i64>,
) -> Routes {
    let mut labels = BTreeMap::new();
    for (label, target) in &plan.labels {
        let so_far = before.get(label).filter(|version| usable.contains(version));
        let version = match so_far {
            _ if usable.contains(target) => Some(target),
            Some(so_far) => Some(so_far),
            None => Some(target).filter(|target| coming.contains(target)),
        };
        if let Some(version) = version {
            labels.insert(label.clone(), *version);
        }
    }
    let newest = usable.last().or(coming.last()).copied();
    let default = labels.get(STABLE).copied().or(newest);
    let canary = plan.canary.as_ref().and_then(|(label, percent)| {
        let version = labels
            .get(label)
            .filter(|version| usable.contains(version))?;
        Some((*version, *percent))
    });
    Routes {
        labels,
        default,
        canary: canary.filter(|(version, _)| Some(*version) != default),
    }
}

/// Versions that may go: nobody wants them, no label stands for them, and what is wanted instead can answer. While
/// something wanted is on its way, or nothing wanted can be loaded, the old versions stay.
pub(super) fn to_retire(
    plan: &Plan,
    routes: &Routes,
    usable: &BTreeSet<i64>,
    coming: &BTreeSet<i64>,
) -> BTreeSet<i64> {
    let is_replaced = plan.wanted.iter().any(|version| usable.contains(version))
        && plan.wanted.iter().all(|version| !coming.contains(version));
    if !plan.wanted.is_empty() && !is_replaced {
        // What is not wanted any more and could not answer yet never will.
        return coming.difference(&plan.wanted).copied().collect();
    }
    let is_kept = |version: &i64| {
        plan.wanted.contains(version)
            || !plan.wanted.is_empty() && routes.labels.values().any(|labelled| labelled == version)
    };
    let all = usable.union(coming);
    all.filter(|version| !is_kept(version)).copied().collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
