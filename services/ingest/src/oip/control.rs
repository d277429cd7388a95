//! The model repository: what is in it, and what callers may not do to it.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::avro::ModelState;
use serde_json::{Value, json};

use super::error::OipError;
use super::path::Verb;
use crate::access::Right;
use crate::front::catalog::VersionStatus;
use crate::front::clock::unix_ms;
use crate::front::{Error, Front, Target};
use crate::http::caller;

/// `{"ready": true}` and nothing longer is what this endpoint reads.
const MAX_INDEX_BYTES: usize = 4096;

/// Every version of every model that somebody published.
pub(super) async fn index(
    request: &HttpRequest,
    payload: Payload,
    front: &Front,
) -> Result<HttpResponse, Error> {
    let caller = caller(request);
    let body = payload.to_bytes_limited(MAX_INDEX_BYTES).await;
    let body = body.ok().and_then(Result::ok).ok_or(OipError::Index)?;
    let ready_only = wants_ready_only(&body)?;
    let mut entries = Vec::new();
    for listed in front.list(&caller)? {
        let (state, reason) = state_of(&listed.status);
        if state == "READY" || !ready_only {
            let version = listed.status.version.to_string();
            let name = listed.model;
            entries.push(
                json!({ "name": name, "version": version, "state": state, "reason": reason }),
            );
        }
    }
    Ok(HttpResponse::Ok().json(entries))
}

/// Reads nothing at all, or an object in which `ready` may stand.
fn wants_ready_only(body: &[u8]) -> Result<bool, OipError> {
    if body.is_empty() {
        return Ok(false);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(asked)) => match asked.get("ready") {
            None => Ok(false),
            Some(ready) => ready.as_bool().ok_or(OipError::Index),
        },
        _ => Err(OipError::Index),
    }
}

fn state_of(version: &VersionStatus) -> (&'static str, &str) {
    match version.state {
        Some(ModelState::Available) => ("READY", ""),
        Some(ModelState::Loading) => ("LOADING", ""),
        Some(ModelState::Unloading) => ("UNLOADING", ""),
        Some(ModelState::Failed) => ("UNAVAILABLE", version.reason.as_str()),
        Some(ModelState::End) => ("UNAVAILABLE", "unloaded"),
        None => ("UNAVAILABLE", "no infer process that serves it is alive"),
    }
}

/// Loading is what infer does by itself; what is asked for is true already, or cannot be.
pub(super) fn control(
    request: &HttpRequest,
    target: &Target,
    verb: Verb,
    front: &Front,
) -> Result<HttpResponse, Error> {
    front.permit(&caller(request), Right::Control, &target.model)?;
    if verb == Verb::Unload {
        let what = "unloading a model";
        let instead = "take its folder away from infer, or stop its replicas";
        return Err(OipError::NotSupported { what, instead }.into());
    }
    let model = target.model.clone();
    match front.catalog.find(&model, &target.wanted, unix_ms()) {
        Ok(_) => Ok(HttpResponse::Ok().finish()),
        Err(_) => Err(OipError::NotLoaded { model }.into()),
    }
}

/// The refusal of changes to what is only read when a process starts.
pub(super) fn settings_are_fixed(what: &'static str) -> Result<HttpResponse, Error> {
    let instead = "set it in the settings of the service and start it anew";
    Err(OipError::NotSupported { what, instead }.into())
}
