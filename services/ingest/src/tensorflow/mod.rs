//! TensorFlow Serving's REST API, under `/v1/models`.

mod error;
mod path;
mod predict;
mod view;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::access::Right;
use crate::front::{Error, Front, Target};
use crate::http::{caller, no_path, not_allowed, shortened_path};

use path::{Action, ModelPath};

pub(crate) use error::TensorflowError;
pub(crate) use predict::predict;

const MODELS: &str = "/v1/models/";

/// Adds the routes of TensorFlow Serving.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes.service(web::resource(["/v1/models", "/v1/models/{path:.*}"]).to(models));
}

async fn models(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    // The raw path: decoding is ours, so that no name is decoded twice.
    let path = request.uri().path();
    let tail = match path.strip_prefix(MODELS) {
        Some(tail) => tail,
        None if path == "/v1/models" => "",
        None => return Err(no_path(&request)),
    };
    let ModelPath { target, action } = ModelPath::parse(tail)?;
    let method = request.method();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match action {
        Action::Predict if *method == Method::POST => {
            predict(&request, payload, target, &front).await
        }
        Action::Predict | Action::Classify | Action::Regress if *method != Method::POST => {
            Err(not_allowed(&request, "POST"))
        }
        Action::Classify => Err(TensorflowError::NotImplemented { verb: "classify" }.into()),
        Action::Regress => Err(TensorflowError::NotImplemented { verb: "regress" }.into()),
        Action::Status if reads => status(&request, &front, &target),
        Action::Metadata if reads => metadata(&request, &front, &target),
        Action::Status if *method == Method::POST => Err(no_verb(&request)),
        _ => Err(not_allowed(&request, "GET, HEAD")),
    }
}

fn status(request: &HttpRequest, front: &Front, target: &Target) -> Result<HttpResponse, Error> {
    let versions = front.versions(&caller(request), target)?;
    Ok(HttpResponse::Ok().json(view::status(&versions)))
}

fn metadata(request: &HttpRequest, front: &Front, target: &Target) -> Result<HttpResponse, Error> {
    let served = front.find(&caller(request), Right::Read, target)?;
    Ok(HttpResponse::Ok().json(view::metadata(&served)))
}

fn no_verb(request: &HttpRequest) -> Error {
    let error = TensorflowError::NoVerb {
        method: request.method().to_string(),
        path: shortened_path(request),
    };
    error.into()
}
