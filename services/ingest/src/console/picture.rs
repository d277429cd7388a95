//! The line as the page draws it.

use std::collections::BTreeMap;

use millrace_wire::TensorSpec;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use serde_json::{Value, json};

use super::survey::Survey;
use crate::access::{Caller, Right};
use crate::front::Front;
use crate::front::catalog::Listed;
use crate::front::clock::unix_ms;

/// Everything that the caller may see.
pub(super) fn of(front: &Front, (caller, listed): (&Caller, &[Listed]), survey: &Survey) -> Value {
    let now = unix_ms();
    let mut models: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for version in listed {
        let said = front.catalog.said_of(&version.model, now);
        let view = of_version(front, version, (&said, now));
        models.entry(&version.model).or_default().push(view);
    }
    let of_model = |(model, versions): (&str, Vec<Value>)| {
        let said = front.catalog.said_of(model, now);
        let ends = survey.topics.get(model).copied().unwrap_or_default();
        json!({
            "model": model,
            "backlog_records": backlog(&said),
            "requests_written": ends.requests,
            "results_written": ends.results,
            "partitions": ends.partitions,
            "versions": versions,
            "may_predict": caller.may(Right::Predict, model),
            "may_control": front.access.permit(caller, Right::Control, model).is_ok(),
        })
    };
    let models: Vec<Value> = models.into_iter().map(of_model).collect();
    json!({
        "now_unix_ms": now,
        "caller": caller.name(),
        "prefix": front.console.shared.prefix,
        "ingest": {
            "in_flight": front.metrics.in_flight.get(),
            "waiting": front.metrics.pending.get(),
        },
        "models": models,
        "sinks": survey.sinks,
        "dead_letters": survey.dead_letters,
        "surveyed_unix_ms": survey.taken_unix_ms,
        "problem": survey.problem,
        "control_enabled": front.access.check_control().is_ok(),
    })
}

/// Each replica says the same of a model for all of its versions.
fn backlog(said: &[ModelDescriptor]) -> i64 {
    let mut of_replica: BTreeMap<&str, i64> = BTreeMap::new();
    for descriptor in said {
        let known = of_replica.entry(&descriptor.replica).or_default();
        *known = (*known).max(descriptor.backlog_records);
    }
    of_replica.values().sum()
}

fn of_version(front: &Front, version: &Listed, (said, now): (&[ModelDescriptor], i64)) -> Value {
    let number = version.status.version;
    let said: Vec<&ModelDescriptor> = said.iter().filter(|it| it.version == number).collect();
    let replicas: Vec<Value> = said
        .iter()
        .map(|it| {
            json!({
                "replica": it.replica,
                "state": name(it.state),
                "reason": it.reason,
                "lease_left_ms": it.lease_until_unix_ms - now,
            })
        })
        .collect();
    let mut labels: Vec<&String> = said.iter().flat_map(|it| &it.labels).collect();
    labels.sort_unstable();
    labels.dedup();
    let counts = front.statistics.of(&version.model, number);
    json!({
        "version": number,
        "state": version.status.state.map_or("GONE", name),
        "reason": version.status.reason,
        "labels": labels,
        "canary_percent": said.iter().map(|it| it.canary_percent).max().unwrap_or(0),
        "engine": said.first().map(|it| it.engine.as_str()),
        "weights_sha256": said.iter().map(|it| it.weights_sha256.as_str()).find(|it| !it.is_empty()),
        "max_batch_rows": said.iter().map(|it| it.max_batch_rows).max(),
        "replicas": replicas,
        "inputs": specs(&version.signature.inputs),
        "outputs": specs(&version.signature.outputs),
        "answered": {
            "requests": counts.success.count,
            "failed": counts.fail.count,
            "rows": counts.rows,
            "total_ms": counts.success.total.as_secs_f64() * 1e3,
            "infer_ms": counts.infer.total.as_secs_f64() * 1e3,
            "last_unix_ms": counts.last_unix_ms,
        },
    })
}

fn specs(specs: &[TensorSpec]) -> Vec<Value> {
    let size = |size: &Option<usize>| size.map_or(json!(-1), |size| json!(size));
    let view = |spec: &TensorSpec| {
        json!({
            "name": spec.name,
            "dtype": spec.dtype.name(),
            "shape": spec.shape.iter().map(size).collect::<Vec<_>>(),
        })
    };
    specs.iter().map(view).collect()
}

fn name(state: ModelState) -> &'static str {
    match state {
        ModelState::Loading => "LOADING",
        ModelState::Available => "AVAILABLE",
        ModelState::Unloading => "UNLOADING",
        ModelState::End => "END",
        ModelState::Failed => "FAILED",
    }
}
