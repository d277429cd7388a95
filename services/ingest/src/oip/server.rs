//! What callers ask about the server and its models, without asking a model anything.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use millrace_boot::Health;
use serde_json::json;

use super::path::ModelApi;
use super::{statistics, view};
use crate::access::Right;
use crate::front::catalog::NotServed;
use crate::front::{Error, Front, Target};
use crate::http::caller;

/// What of Triton's extensions is there.
const EXTENSIONS: [&str; 6] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
    "schedule_policy",
];

pub(super) fn metadata() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "name": "millrace",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": EXTENSIONS,
    }))
}

pub(super) fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

pub(super) fn ready(health: &Health) -> HttpResponse {
    match health.is_ready() {
        true => HttpResponse::Ok().json(json!({ "ready": true })),
        false => not_ready(json!({ "ready": false })),
    }
}

fn not_ready(body: serde_json::Value) -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((header::RETRY_AFTER, "5"))
        .json(body)
}

/// The names of all models that somebody published.
pub(super) fn models(request: &HttpRequest, front: &Front) -> Result<HttpResponse, Error> {
    let mut names: Vec<String> = Vec::new();
    for listed in front.list(&caller(request))? {
        if names.last() != Some(&listed.model) {
            names.push(listed.model);
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "models": names })))
}

/// Everything about one model but its predictions.
pub(super) fn model(
    request: &HttpRequest,
    target: &Target,
    asked: ModelApi,
    front: &Front,
) -> Result<HttpResponse, Error> {
    let caller = caller(request);
    let found = front.find(&caller, Right::Read, target);
    if asked == ModelApi::Ready {
        return model_ready(target, found.map(|_| ()));
    }
    let served = found?;
    Ok(match asked {
        ModelApi::Config => HttpResponse::Ok().json(view::config(&served, front)),
        ModelApi::Statistics => statistics::of(&served, front),
        _ => {
            let versions = front.versions(&caller, target)?;
            HttpResponse::Ok().json(view::metadata(&served, &versions))
        }
    })
}

/// Not ready is an answer, unknown is an error.
fn model_ready(target: &Target, found: Result<(), Error>) -> Result<HttpResponse, Error> {
    match found {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({ "name": target.model, "ready": true }))),
        Err(Error::NotServed(
            NotServed::NoReplica { .. } | NotServed::Unloaded { .. } | NotServed::NotRead,
        )) => Ok(not_ready(json!({ "name": target.model, "ready": false }))),
        Err(error) => Err(error),
    }
}

/// Nothing is traced by Triton's means; OpenTelemetry is set up when the process starts.
pub(super) fn trace() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_file": "",
        "trace_mode": "opentelemetry",
    }))
}

/// What goes to the log is set when the process starts.
pub(super) fn logging() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "log_file": "",
        "log_info": true,
        "log_warning": true,
        "log_error": true,
        "log_verbose_level": 0,
        "log_format": "default",
    }))
}
