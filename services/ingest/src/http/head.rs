//! What a request's headers say to every protocol.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::front::head::{Head, timeout_of};
use crate::front::trace_context::TraceContext;
use crate::front::{Error, Front};
use crate::later::wish::{PREDICT_ASYNC, Wish};

use super::guard::caller;
use super::observe::Seen;

/// How many seconds the caller is willing to wait.
const REQUEST_TIMEOUT: &str = "request-timeout";

impl Head {
    /// Reads the head of an HTTP request.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Later`]
    pub(crate) fn of_http(request: &HttpRequest, front: &Front) -> Result<Self, Error> {
        let seen = Seen::of(request);
        let headers = request.headers();
        let parents = headers.get_all("traceparent").map(|it| it.as_bytes());
        let state = headers.get("tracestate").map(|it| it.as_bytes());
        let timeout = match joined(headers, REQUEST_TIMEOUT) {
            Some(text) => Some(timeout_of(&text)?),
            None => None,
        };
        let verb = request.uri().path().rsplit_once(':').map(|(_, verb)| verb);
        let mut wish = Wish {
            respond_async: verb.is_some_and(|it| it.eq_ignore_ascii_case(PREDICT_ASYNC)),
            ..Wish::default()
        };
        wish.prefer(headers.get_all("prefer").map(|it| it.as_bytes()));
        wish.idempotency_key(headers.get_all("idempotency-key").map(|it| it.as_bytes()))?;
        Ok(Self {
            id: seen.id,
            at: seen.at,
            trace: TraceContext::of(parents, state),
            timeout,
            caller: caller(request),
            address: address(request, front),
            wish,
        })
    }
}

/// The address of the client, or the one that a trusted proxy names.
fn address(request: &HttpRequest, front: &Front) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|it| it.ip());
    let Some(header) = &front.limits.address_header else {
        return peer;
    };
    // The last entry is the proxy's own; what stands before it, anybody may have written.
    let named = request.headers().get_all(header.as_str()).next_back();
    let named = named.and_then(|it| it.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    named.or(peer)
}

/// The values of a header as one text, as HTTP puts them together.
fn joined(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}
