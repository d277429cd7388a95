//! Models and their versions, as lists show them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_wire::Signature;

use super::answer::{NotServed, VersionStatus, status, wanted_versions};
use super::{Models, Replica};
use crate::front::Wanted;

/// One version of a model, taken over all its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) model: String,
    pub(crate) status: VersionStatus,
    pub(crate) signature: Arc<Signature>,
}

/// Every version of every model, by name, newest first.
pub(super) fn all(models: &Models, now: i64) -> Vec<Listed> {
    let mut listed = Vec::new();
    for (model, versions) in models {
        for (version, replicas) in versions.iter().rev() {
            listed.extend(of(model, *version, replicas, now));
        }
    }
    listed
}

/// The versions of a model that a caller wants, newest first; never none.
pub(super) fn wanted(
    models: &Models,
    model: &str,
    wanted: &Wanted,
    now: i64,
) -> Result<Vec<Listed>, NotServed> {
    let versions = wanted_versions(models, model, wanted, now)?;
    let newest_first = versions.iter().rev();
    Ok(newest_first
        .filter_map(|(version, replicas)| of(model, **version, replicas, now))
        .collect())
}

fn of(model: &str, version: i64, replicas: &BTreeMap<String, Replica>, now: i64) -> Option<Listed> {
    let available = replicas.values().find(|it| it.is_available(now));
    let any = available.or_else(|| replicas.values().next())?;
    Some(Listed {
        model: model.to_owned(),
        status: status(version, replicas, now),
        signature: Arc::clone(&any.signature),
    })
}
