//! The model repository: what is in it, and what callers may do to it where the settings allow it.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::OipError;
use crate::access::Right;
use crate::front::control::Verb;
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
        let (state, reason) = listed.status.in_index();
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

/// Loads or unloads a model on all replicas, and answers once they have done it.
pub(super) async fn control(
    request: &HttpRequest,
    payload: Payload,
    (target, verb): (&Target, Verb),
    front: &Front,
) -> Result<HttpResponse, Error> {
    let caller = caller(request);
    front.permit(&caller, Right::Control, &target.model)?;
    if verb == Verb::Load {
        // What does not fit is a configuration, or files.
        let body = payload.to_bytes_limited(MAX_INDEX_BYTES).await;
        let body = body.map_or(Ok(None), |body| body.map(Some));
        let body = body.map_err(|_| OipError::Load)?;
        check_parameters(body.map_or(Ok(true), |body| has_parameters(&body))?)?;
    }
    front.control(&caller, &target.model, verb).await?;
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

/// With parameters a model would have to be loaded otherwise than it lies in infer's folder.
///
/// # Errors
/// [`OipError::NotSupported`]
pub(crate) fn check_parameters(are_given: bool) -> Result<(), OipError> {
    match are_given {
        false => Ok(()),
        true => Err(OipError::NotSupported {
            what: "loading with parameters",
            instead: "put the configuration and the files into the folder of infer",
        }),
    }
}

/// The refusal of changes to what is only read when a process starts.
pub(super) fn settings_are_fixed(what: &'static str) -> Result<HttpResponse, Error> {
    let instead = "set it in the settings of the service and start it anew";
    Err(OipError::NotSupported { what, instead }.into())
}
