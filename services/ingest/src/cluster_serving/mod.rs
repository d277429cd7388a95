//! Cluster Serving's HTTP API: `/predict`, and the models by name and version.

mod view;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::PlainBytes;

use crate::front::{Error, Front, Target, Wanted};
use crate::http::segment::{name_of, version_of};
use crate::http::{HttpError, caller, no_path, not_allowed};
use crate::tensorflow::predict;

/// A plain string for an input of bytes, such as an image, is base64 here.
const BASE64: PlainBytes = PlainBytes::Base64;

/// Adds the routes of Cluster Serving.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes
        .service(
            web::resource("/predict")
                .route(web::post().to(predict_default))
                .default_service(web::to(only_post)),
        )
        .service(web::resource(["/models", "/models/{path:.*}"]).to(models));
}

/// `/predict` names no model: it is the default one, or the only one.
async fn predict_default(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    let target = front.default_target(&caller(&request))?;
    predict(&request, payload, target, BASE64).await
}

async fn only_post(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "POST"))
}

/// Everything under `/models`.
async fn models(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    // The raw path: decoding is ours, so that no name is decoded twice.
    let path = request.uri().path().trim_start_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        ["models"] => list(&request, &front, None),
        ["models", model] => list(&request, &front, Some(model)),
        ["models", model, "versions", version] => match *request.method() {
            Method::POST => predict(&request, payload, target_of(model, version)?, BASE64).await,
            Method::GET | Method::HEAD => one(&request, &front, &target_of(model, version)?),
            _ => Err(not_allowed(&request, "GET, HEAD, POST")),
        },
        ["models", model, "versions", version, "predict"] => match *request.method() {
            Method::POST => predict(&request, payload, target_of(model, version)?, BASE64).await,
            _ => Err(not_allowed(&request, "POST")),
        },
        _ => Err(no_path(&request)),
    }
}

fn target_of(model: &str, version: &str) -> Result<Target, HttpError> {
    Ok(Target {
        model: name_of("model name", model)?,
        wanted: Wanted::Version(version_of(version)?),
    })
}

/// All versions of one model, or of all.
fn list(request: &HttpRequest, front: &Front, model: Option<&str>) -> Result<HttpResponse, Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(not_allowed(request, "GET, HEAD"));
    }
    let caller = caller(request);
    let versions = match model {
        None => front.list(&caller)?,
        Some(model) => {
            let target = Target {
                model: name_of("model name", model).map_err(HttpError::from)?,
                wanted: Wanted::Latest,
            };
            front.list_of(&caller, &target)?
        }
    };
    let views: Vec<_> = versions.iter().map(view::version).collect();
    Ok(HttpResponse::Ok().json(views))
}

/// One version of a model.
fn one(request: &HttpRequest, front: &Front, target: &Target) -> Result<HttpResponse, Error> {
    let versions = front.list_of(&caller(request), target)?;
    let view = versions.first().map(view::version);
    Ok(HttpResponse::Ok().json(view))
}
