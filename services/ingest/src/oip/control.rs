//! The model repository: what is in it, and what callers may not do to it.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::avro::ModelState;
use serde_json::{Value, json};

use super::error::OipError;
use super::path::Verb;
use crate::access::{Caller, Right};
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
pub(super) async fn control(
    request: &HttpRequest,
    payload: Payload,
    (target, verb): (&Target, Verb),
    front: &Front,
) -> Result<HttpResponse, Error> {
    let caller = caller(request);
    front.permit(&caller, Right::Control, &target.model)?;
    if verb == Verb::Unload {
        return Err(unload().into());
    }
    // What does not fit is a configuration, or files.
    let body = payload.to_bytes_limited(MAX_INDEX_BYTES).await;
    let body = body.map_or(Ok(None), |body| body.map(Some));
    let body = body.map_err(|_| OipError::Load)?;
    let parameters = body.map_or(Ok(true), |body| has_parameters(&body))?;
    load(front, &caller, target, parameters)?;
    Ok(HttpResponse::Ok().finish())
}

/// Reads nothing at all, or an object in which `parameters` may stand.
fn has_parameters(body: &[u8]) -> Result<bool, OipError> {
    if body.is_empty() {
        return Ok(false);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(asked)) => match asked.get("parameters") {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Object(parameters)) => Ok(!parameters.is_empty()),
            Some(_) => Err(OipError::Load),
        },
        _ => Err(OipError::Load),
    }
}

/// Whether what shall be loaded is served already, as it lies in infer's folder.
///
/// # Errors
/// [`OipError::NotLoaded`], and [`OipError::NotSupported`] for `parameters`,
/// with which it would have to be loaded otherwise.
pub(crate) fn load(
    front: &Front,
    caller: &Caller,
    target: &Target,
    parameters: bool,
) -> Result<(), Error> {
    front.permit(caller, Right::Control, &target.model)?;
    if parameters {
        let what = "loading with parameters";
        let instead = "put the configuration and the files into the folder of infer";
        return Err(OipError::NotSupported { what, instead }.into());
    }
    let model = target.model.clone();
    match front.catalog.find(&model, &target.wanted, unix_ms()) {
        Ok(_) => Ok(()),
        Err(_) => Err(OipError::NotLoaded { model }.into()),
    }
}

/// Nobody but infer can.
pub(crate) fn unload() -> OipError {
    let what = "unloading a model";
    let instead = "take its folder away from infer, or stop its replicas";
    OipError::NotSupported { what, instead }
}

/// The refusal of changes to what is only read when a process starts.
pub(super) fn settings_are_fixed(what: &'static str) -> Result<HttpResponse, Error> {
    let instead = "set it in the settings of the service and start it anew";
    Err(OipError::NotSupported { what, instead }.into())
}
