//! Triton's statistics extension, without which perf_analyzer does not measure.

use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::avro::ModelState;
use serde_json::{Value, json};

use crate::front::catalog::Served;
use crate::front::statistics::Measured;
use crate::front::{Error, Front};
use crate::http::caller;

/// The statistics of all versions that are served and that the caller may know of.
pub(super) fn all(request: &HttpRequest, front: &Front) -> Result<HttpResponse, Error> {
    let mut listed = front.list(&caller(request))?;
    listed.retain(|it| it.status.state == Some(ModelState::Available));
    let entries = listed
        .iter()
        .map(|it| entry(&it.model, it.status.version, front));
    Ok(answered(entries.collect()))
}

/// The statistics of one version, as this process has seen them.
pub(super) fn of(served: &Served, front: &Front) -> HttpResponse {
    answered(vec![entry(&served.model, served.version, front)])
}

fn answered(entries: Vec<Value>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "model_stats": entries }))
}

/// A batch is made by infer, whose executions ingest does not see: a request counts as one.
fn entry(model: &str, version: i64, front: &Front) -> Value {
    let counts = front.statistics.of(model, version);
    let none = Measured::default();
    let answered = Measured {
        count: counts.success.count,
        ..none
    };
    json!({
        "name": model,
        "version": version.to_string(),
        "last_inference": counts.last_unix_ms,
        "inference_count": counts.rows,
        "execution_count": counts.success.count,
        "inference_stats": {
            "success": duration(counts.success),
            "fail": duration(counts.fail),
            "queue": duration(answered),
            "compute_input": duration(counts.input),
            "compute_infer": duration(counts.infer),
            "compute_output": duration(answered),
            "cache_hit": duration(none),
            "cache_miss": duration(none),
        },
        "batch_stats": [],
        "memory_usage": [],
        "response_stats": {},
    })
}

fn duration(measured: Measured) -> Value {
    let ns = u64::try_from(measured.total.as_nanos()).unwrap_or(u64::MAX);
    json!({ "count": measured.count, "ns": ns })
}
