//! Around every request: its id and its place in the metrics.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use crate::access::Caller;
use crate::front::pending::RequestId;
use crate::front::{Error, Front};

use super::error::check_head;
use super::response::X_REQUEST_ID;
use super::unread::Unread;

/// A longer id of a caller is not repeated.
const MAX_CALLERS_ID_BYTES: usize = 128;

/// What is known of a request from its head on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: RequestId,
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let seen = request.extensions().get::<Self>().copied();
        seen.expect("the middleware around every route puts it there")
    }

    /// From now on the request is known to be this caller's: its id says so.
    pub(super) fn now_of(request: &ServiceRequest, caller: &Caller) {
        if let Some(seen) = request.extensions_mut().get_mut::<Self>() {
            seen.id = seen.id.of_caller(caller.name());
        }
    }
}

/// The middleware around all routes.
pub(crate) async fn observe(
    front: web::Data<Front>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let seen = Seen {
        id: front.pending.new_id(),
        at: Instant::now(),
    };
    request.extensions_mut().insert(seen);
    let given = callers_name(&request);
    let route = route_of(request.path());
    let _in_flight = Counted::new(&front.metrics.in_flight);
    let unread = Unread::of(&mut request);
    let mut response = match check_head(request.head(), &front.limits) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => {
            let (request, _) = request.into_parts();
            ServiceResponse::from_err(Error::from(error), request)
        }
    };
    // Its caller is part of the id since.
    let id = Seen::of(response.request()).id;
    let name = given.unwrap_or_else(|| name_of(id));
    if let Some(error) = refusal(&response) {
        front.metrics.rejected(error.reason());
        let status = response.status().as_u16();
        tracing::debug!(route, status, %id, caller_id = ?name, %error, "refused");
    }
    response
        .headers_mut()
        .insert(HeaderName::from_static(X_REQUEST_ID), name);
    front
        .metrics
        .answered(route, response.status().as_u16(), seen.at.elapsed());
    Ok(match unread {
        Some(unread) => unread.until_answered(response),
        None => response,
    })
}

/// Our id as a header.
fn name_of(id: RequestId) -> HeaderValue {
    HeaderValue::try_from(id.to_text()).expect("hexadecimal digits are visible")
}

/// The caller's own id of the request, if there is one that can be repeated.
fn callers_name(request: &ServiceRequest) -> Option<HeaderValue> {
    let given = request.headers().get(X_REQUEST_ID);
    let visible = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_CALLERS_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    given.filter(visible).cloned()
}

/// Few values, whatever the path: the label of metrics.
fn route_of(path: &str) -> &'static str {
    match path {
        "/predict" => "/predict",
        "/live" => "/live",
        "/ready" => "/ready",
        "/metrics" => "/metrics",
        _ if path.starts_with("/models") => "/models",
        _ if path.starts_with("/console") => "/console",
        _ if path.starts_with("/v2/") && path.ends_with("/infer") => "/v2/models/infer",
        _ if path == "/v2" || path.starts_with("/v2/") => "/v2",
        _ if path.starts_with("/v1/results") => "/v1/results",
        _ if !path.starts_with("/v1/models") => "other",
        _ if path.ends_with(":predict") => "/v1/models:predict",
        _ if path.ends_with(":predictAsync") => "/v1/models:predictAsync",
        _ if path.ends_with("/metadata") => "/v1/models/metadata",
        _ => "/v1/models",
    }
}

fn refusal(response: &ServiceResponse) -> Option<&Error> {
    response.response().error()?.as_error::<Error>()
}

/// Counts one for as long as it lives, also when a caller hangs up.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
