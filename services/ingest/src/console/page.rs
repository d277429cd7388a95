//! The files of the page. They tell nothing of the line, and load nothing from elsewhere.

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::ConsoleError;
use crate::front::{Error, Front};
use crate::http::not_allowed;

/// Nothing from elsewhere, nothing inline, no frame around it; pictures that the reader drops stay in the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 12] = [
    (
        "/console",
        "text/html; charset=utf-8",
        include_str!("page/console.html"),
    ),
    (
        "/console/console.css",
        "text/css; charset=utf-8",
        include_str!("page/console.css"),
    ),
    (
        "/console/icon.svg",
        "image/svg+xml",
        include_str!("page/icon.svg"),
    ),
    ("/console/app.js", SCRIPT, include_str!("page/app.js")),
    ("/console/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/console/api.js", SCRIPT, include_str!("page/api.js")),
    ("/console/line.js", SCRIPT, include_str!("page/line.js")),
    ("/console/models.js", SCRIPT, include_str!("page/models.js")),
    (
        "/console/predict.js",
        SCRIPT,
        include_str!("page/predict.js"),
    ),
    ("/console/pad.js", SCRIPT, include_str!("page/pad.js")),
    (
        "/console/letters.js",
        SCRIPT,
        include_str!("page/letters.js"),
    ),
    (
        "/console/replays.js",
        SCRIPT,
        include_str!("page/replays.js"),
    ),
];

pub(super) fn is_part(path: &str) -> bool {
    FILES.iter().any(|(part, _, _)| *part == path)
}

pub(super) fn configure(routes: &mut ServiceConfig) {
    for (path, kind, text) in FILES {
        let answer = move |front: Data<Front>| async move { file(&front, kind, text) };
        let resource = web::resource(path)
            .route(web::get().to(answer))
            .route(web::head().to(answer))
            .default_service(web::to(only_get));
        routes.service(resource);
    }
}

fn file(front: &Front, kind: &'static str, text: &'static str) -> Result<HttpResponse, Error> {
    if !front.console.shared.enabled {
        return Err(ConsoleError::Off.into());
    }
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("x-frame-options", "DENY"))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("cache-control", "no-cache"))
        .body(text))
}

async fn only_get(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "GET, HEAD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small() {
        let bytes: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < 150_000, "{bytes} bytes");
    }
}
