//! What a request's headers say to every protocol.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::front::head::{Head, timeout_of};
use crate::front::trace_context::TraceContext;
use crate::front::{Error, Front};

use super::guard::caller;
use super::observe::Seen;

/// How many seconds the caller is willing to wait.
const REQUEST_TIMEOUT: &str = "request-timeout";

impl Head {
    /// Reads the head of an HTTP request.
    ///
    /// # Errors
    /// [`Error::Timeout`]
    pub(crate) fn of_http(request: &HttpRequest, _front: &Front) -> Result<Self, Error> {
        let seen = Seen::of(request);
        let headers = request.headers();
        let parents = headers.get_all("traceparent").map(|it| it.as_bytes());
        let state = headers.get("tracestate").map(|it| it.as_bytes());
        let timeout = match joined(headers, REQUEST_TIMEOUT) {
            Some(text) => Some(timeout_of(&text)?),
            None => None,
        };
        Ok(Self {
            id: seen.id,
            at: seen.at,
            trace: TraceContext::of(parents, state),
            timeout,
            caller: caller(request),
        })
    }
}

/// The values of a header as one text, as HTTP puts them together.
fn joined(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}
