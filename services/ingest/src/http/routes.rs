//! The one table of URLs: which protocol stands where.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::front::Error;
use crate::{cluster_serving, console, later, oip, openapi, tensorflow};

use super::{no_path, not_allowed};

/// Adds all routes but those of the operator.
pub(super) fn configure(routes: &mut ServiceConfig) {
    routes
        .configure(cluster_serving::configure)
        // Before TensorFlow Serving, which refuses all else under `/v1/` in its own words.
        .configure(later::fetch::configure)
        .configure(tensorflow::configure)
        .configure(oip::configure)
        .configure(openapi::configure)
        .configure(console::configure)
        .default_service(web::to(no_route));
}

/// Neither a path of ours nor, with this method, one of the operator's.
async fn no_route(request: HttpRequest) -> Result<HttpResponse, Error> {
    match request.path() {
        "/live" | "/ready" | "/metrics" => Err(not_allowed(&request, "GET")),
        _ => Err(no_path(&request)),
    }
}
