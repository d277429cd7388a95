//! The Open Inference Protocol over HTTP, under `/v2`, with Triton's extensions that its clients need.

mod control;
mod error;
mod infer;
mod path;
mod select;
mod server;
mod statistics;
mod view;

use actix_web::http::Method;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use millrace_boot::Health;

use crate::front::{Error, Front};
use crate::http::{no_path, not_allowed};

use path::{Api, ModelApi};

pub(crate) use control::check_parameters;
pub(crate) use error::OipError;
pub(crate) use infer::{Asked, HEADER_LENGTH, content_type};

/// Adds the routes of the Open Inference Protocol.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes.service(web::resource(["/v2", "/v2/{path:.*}"]).to(answer));
}

async fn answer(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
    health: Data<Health>,
) -> Result<HttpResponse, Error> {
    // The raw path: decoding is ours, so that no name is decoded twice.
    let tail = request.uri().path().strip_prefix("/v2");
    let tail = tail.ok_or_else(|| no_path(&request))?;
    let api = Api::parse(tail).map_err(Error::from)?;
    let api = api.ok_or_else(|| no_path(&request))?;
    check_method(&request, &api)?;
    let posted = *request.method() == Method::POST;
    let answered = match api {
        Api::Server => Ok(server::metadata()),
        Api::Live => Ok(server::live()),
        Api::Ready => Ok(server::ready(&health)),
        Api::Models => server::models(&request, &front),
        Api::AllStatistics => statistics::all(&request, &front),
        Api::Model(target, ModelApi::Infer) => {
            infer::infer(&request, payload, &target, &front).await
        }
        Api::Model(target, asked) => server::model(&request, &target, asked, &front),
        Api::Index => control::index(&request, payload, &front).await,
        Api::Control(target, verb) => {
            control::control(&request, payload, (&target, verb), &front).await
        }
        Api::Trace if posted => control::settings_are_fixed("a change of trace settings"),
        Api::Trace => Ok(server::trace()),
        Api::Logging if posted => control::settings_are_fixed("a change of log settings"),
        Api::Logging => Ok(server::logging()),
        Api::SharedMemory => Ok(HttpResponse::Ok().json(serde_json::json!([]))),
    };
    answered.map_err(error::in_our_words)
}

/// Refuses a method that does not belong to a path.
fn check_method(request: &HttpRequest, api: &Api) -> Result<(), Error> {
    let method = request.method();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let posts = *method == Method::POST;
    match api {
        Api::Model(_, ModelApi::Infer) | Api::Control(..) if posts => Ok(()),
        Api::Model(_, ModelApi::Infer) | Api::Control(..) => Err(not_allowed(request, "POST")),
        // Asking what there is changes nothing: reading it by GET is as good.
        Api::Index | Api::Trace | Api::Logging if reads || posts => Ok(()),
        Api::Index | Api::Trace | Api::Logging => Err(not_allowed(request, "GET, HEAD, POST")),
        _ if reads => Ok(()),
        _ => Err(not_allowed(request, "GET, HEAD")),
    }
}
