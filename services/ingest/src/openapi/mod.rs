//! What ingest can be asked, for machines at `/openapi.json` and for people at `/docs`.
//!
//! The description is built here from Rust values, not kept in a file; tests
//! hold it to the routes: each described operation is answered, and whatever
//! it is answered with is described.

mod cluster_serving;
mod document;
mod later;
mod oip;
mod operation;
mod operator;
mod parameters;
mod refusals;
mod schemas;
mod tensorflow;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::front::{Error, Front};
use crate::http::not_allowed;

pub(crate) use document::Description;

/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page: its path, its type and its text.
const PAGE: [(&str, &str, &str); 3] = [
    (
        "/docs",
        "text/html; charset=utf-8",
        include_str!("page/page.html"),
    ),
    (
        "/docs/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/docs/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
];

/// Adds the description and the page.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    let description = web::resource("/openapi.json")
        .route(web::get().to(describe))
        .route(web::head().to(describe))
        .default_service(web::to(only_get));
    routes.service(description);
    for (path, kind, text) in PAGE {
        let answer = move || async move { page(kind, text) };
        let resource = web::resource(path)
            .route(web::get().to(answer))
            .route(web::head().to(answer))
            .default_service(web::to(only_get));
        routes.service(resource);
    }
}

async fn describe(front: Data<Front>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-cache"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(front.description.text())
}

fn page(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("x-frame-options", "DENY"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("cache-control", "no-cache"))
        .body(text)
}

async fn only_get(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "GET, HEAD"))
}
