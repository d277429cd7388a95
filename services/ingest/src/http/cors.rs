//! What pages of other origins may do, where the settings let them.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse};

/// Headers that a page may send besides the content type, if it asks to.
const ALSO_ALLOWED: [&str; 8] = [
    "accept",
    "authorization",
    "idempotency-key",
    "inference-header-content-length",
    "prefer",
    "request-timeout",
    "x-api-key",
    "x-request-id",
];

/// The middleware around all routes while `http.cors.enabled`: it answers
/// preflights and marks every answer, as TensorFlow Serving does.
pub(super) async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let allowed = allowed_headers(request.headers());
    let mut response = match *request.method() == Method::OPTIONS && is_preflight(request.request())
    {
        true => request.into_response(answer_preflight()),
        false => next.call(request).await?.map_into_boxed_body(),
    };
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    let methods = HeaderValue::from_static("POST, GET");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    Ok(response)
}

/// Whether a page of some site asks.
pub(crate) fn is_preflight(request: &HttpRequest) -> bool {
    let origin = request.headers().get(header::ORIGIN);
    let origin = origin.map_or(&b""[..], HeaderValue::as_bytes);
    origin.starts_with(b"http://") || origin.starts_with(b"https://")
}

/// The answer to a preflight; what is allowed stands in the headers, if anything is.
pub(crate) fn answer_preflight() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").finish()
}

/// `Content-Type`, as TensorFlow Serving says, and what else was asked for and is ours.
fn allowed_headers(headers: &HeaderMap) -> HeaderValue {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let asked = asked.to_ascii_lowercase();
    let mut allowed = "Content-Type".to_owned();
    for name in ALSO_ALLOWED {
        if asked.split(',').any(|it| it.trim() == name) {
            allowed.push_str(", ");
            allowed.push_str(name);
        }
    }
    HeaderValue::from_str(&allowed).expect("names of headers are visible")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_allowed_if_it_is_ours() {
        let mut headers = HeaderMap::new();
        assert_eq!(allowed_headers(&headers), "Content-Type");
        headers.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("content-type, X-Api-Key,x-evil"),
        );
        assert_eq!(allowed_headers(&headers), "Content-Type, x-api-key");
    }
}
