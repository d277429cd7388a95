//! The URLs of ingest and what stands behind each.

mod model_path;
mod model_view;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::error::Error;
use crate::predict::{Target, predict};
use crate::state::{State, unix_ms};

pub(crate) use model_path::{PathError, Wanted};

use model_path::{Action, ModelPath};

const MODELS: &str = "/v1/models/";

/// Adds all routes but those of the operator.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes
        .service(
            web::resource("/predict")
                .route(web::post().to(predict_default))
                .default_service(web::to(only_post)),
        )
        .service(web::resource(["/v1/models", "/v1/models/{path:.*}"]).to(models))
        .default_service(web::to(no_route));
}

/// `/predict` names no model: it is the default one, or the only one.
async fn predict_default(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Error> {
    let model = match &state.default_model {
        Some(model) => model.clone(),
        None => state.catalog.only_model(unix_ms())?,
    };
    let target = Target {
        model,
        wanted: Wanted::Latest,
    };
    predict(&request, payload, target, &state).await
}

async fn only_post(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "POST"))
}

/// Everything of TensorFlow Serving's REST API.
async fn models(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Error> {
    // The raw path: decoding is ours, so that no name is decoded twice.
    let path = request.uri().path();
    let tail = match path.strip_prefix(MODELS) {
        Some(tail) => tail,
        None if path == "/v1/models" => "",
        None => return Err(no_path(&request)),
    };
    let ModelPath {
        model,
        wanted,
        action,
    } = ModelPath::parse(tail)?;
    let method = request.method();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match action {
        Action::Predict if *method == Method::POST => {
            predict(&request, payload, Target { model, wanted }, &state).await
        }
        Action::Predict | Action::Classify | Action::Regress if *method != Method::POST => {
            Err(not_allowed(&request, "POST"))
        }
        Action::Classify => Err(Error::NotImplemented { verb: "classify" }),
        Action::Regress => Err(Error::NotImplemented { verb: "regress" }),
        Action::Status if reads => status(&state, &model, &wanted),
        Action::Metadata if reads => metadata(&state, &model, &wanted),
        Action::Status if *method == Method::POST => Err(no_verb(&request)),
        _ => Err(not_allowed(&request, "GET, HEAD")),
    }
}

fn status(state: &State, model: &str, wanted: &Wanted) -> Result<HttpResponse, Error> {
    let versions = state.catalog.versions(model, wanted, unix_ms())?;
    Ok(HttpResponse::Ok().json(model_view::status(&versions)))
}

fn metadata(state: &State, model: &str, wanted: &Wanted) -> Result<HttpResponse, Error> {
    let served = state.catalog.find(model, wanted, unix_ms())?;
    Ok(HttpResponse::Ok().json(model_view::metadata(&served)))
}

/// Neither a path of ours nor, with this method, one of the operator's.
async fn no_route(request: HttpRequest) -> Result<HttpResponse, Error> {
    match request.path() {
        "/live" | "/ready" | "/metrics" => Err(not_allowed(&request, "GET")),
        _ => Err(no_path(&request)),
    }
}

fn no_path(request: &HttpRequest) -> Error {
    Error::NoSuchPath {
        path: shortened(request),
    }
}

fn no_verb(request: &HttpRequest) -> Error {
    Error::NoVerb {
        method: request.method().to_string(),
        path: shortened(request),
    }
}

fn not_allowed(request: &HttpRequest, allow: &'static str) -> Error {
    Error::MethodNotAllowed {
        method: request.method().as_str().chars().take(16).collect(),
        allow,
    }
}

fn shortened(request: &HttpRequest) -> String {
    request.uri().path().chars().take(64).collect()
}
