//! TensorFlow Serving's REST API: everything under `/v1/`.

mod error;
mod examples;
mod path;
mod predict;
mod view;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::{self, PlainBytes};

use crate::access::Right;
use crate::front::{Error, Front, Target};
use crate::http::{HttpError, answer_preflight, caller, is_preflight};

use error::Malformed;
use examples::{Question, ask_about_examples};
use path::{Action, ModelPath};

pub(crate) use error::TensorflowError;
pub(crate) use predict::predict;

/// Adds the routes of TensorFlow Serving, which answer in any case of letters.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes.service(web::resource("/{v1:(?i:v1)}/{path:.*}").to(models));
}

async fn models(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    let method = request.method();
    if *method == Method::OPTIONS {
        return preflight(&request);
    }
    let path = ModelPath::parse(request.uri().path());
    let ModelPath { target, action } =
        path.map_err(|error| TensorflowError::of_path(error, &request))?;
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match action {
        Action::Predict if *method == Method::POST => {
            predict(&request, payload, target, PlainBytes::Text).await
        }
        Action::Predict | Action::Classify | Action::Regress if *method != Method::POST => {
            Err(not_allowed(&request, "POST"))
        }
        Action::Classify | Action::Regress => {
            let method = match action {
                Action::Classify => json::Method::Classify,
                _ => json::Method::Regress,
            };
            let question = Question { method, target };
            ask_about_examples(&request, payload, question, &front).await
        }
        Action::Status if reads => status(&request, &front, &target),
        Action::Metadata if reads => metadata(&request, &front, &target),
        Action::Status if *method == Method::POST => {
            let request = Malformed::of(&request);
            Err(TensorflowError::NoVerb { request }.into())
        }
        _ => Err(not_allowed(&request, "GET, HEAD")),
    }
}

/// What a browser may do stands in the headers, where the settings allow it anything.
fn preflight(request: &HttpRequest) -> Result<HttpResponse, Error> {
    match is_preflight(request) {
        true => Ok(answer_preflight()),
        false => Err(TensorflowError::NoOrigin.into()),
    }
}

fn status(request: &HttpRequest, front: &Front, target: &Target) -> Result<HttpResponse, Error> {
    let versions = front.versions(&caller(request), target)?;
    Ok(answered(&view::status(&versions)))
}

fn metadata(request: &HttpRequest, front: &Front, target: &Target) -> Result<HttpResponse, Error> {
    let served = front.find(&caller(request), Right::Read, target)?;
    Ok(answered(&view::metadata(&served)))
}

fn answered(view: &serde_json::Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(view::laid_out(view))
}

fn not_allowed(request: &HttpRequest, allow: &'static str) -> Error {
    let error = TensorflowError::Method {
        error: HttpError::method(request, allow),
        request: Malformed::of(request),
    };
    error.into()
}
