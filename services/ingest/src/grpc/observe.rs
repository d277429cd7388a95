//! Around every call: its id, its time limit, its bytes and its place in the metrics.

use std::convert::Infallible;
use std::task::{Context, Poll};

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};

use crate::front::pending::RequestId;
use crate::front::{Error, Front};

use super::body::{Carries, Held, Metered};
use super::error::{GrpcError, REASON, status_of, wire_status};
use super::seen::Seen;

/// Metadata with the id under which a request can be found in logs and topics.
const X_REQUEST_ID: &str = "x-request-id";

/// A longer id of a caller is not repeated.
const MAX_CALLERS_ID_BYTES: usize = 128;

/// How tonic begins to say that a message is longer than it may be.
const TOO_LONG: &str = "Error, decoded message length too large";

/// All services, with what goes around each call.
#[derive(Clone)]
pub(super) struct Observed {
    pub(super) front: Front,
    pub(super) routes: Routes,
}

impl Service<Request<Body>> for Observed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Before tonic starts its own clock for `grpc-timeout`, so that ours
        // runs out first: tonic's says CANCELLED.
        let at = Instant::now();
        Box::pin(observe(self.clone(), request, at))
    }
}

async fn observe(
    mut services: Observed,
    request: Request<Body>,
    at: Instant,
) -> Result<Response<Body>, Infallible> {
    let front = services.front.clone();
    let mut id = front.pending.new_id();
    let given = callers_name(request.headers());
    let route = route_of(request.uri().path());
    let _in_flight = Counted::new(&front.metrics.in_flight);
    let (head, body) = request.into_parts();
    let (mut response, reason) = match Seen::of(&front, &head, id, at) {
        Ok(mut seen) => {
            // Its caller is part of the id since.
            id = seen.id;
            let connection = head.extensions.get::<TcpConnectInfo>();
            seen.address = connection.and_then(|it| Some(it.remote_addr()?.ip()));
            let request = Request::from_parts(head, body);
            let response = services.answer(request, &seen).await;
            (response, seen.reason())
        }
        Err(error) => (status_of(&error).into_http(), Some(error.reason())),
    };
    let name = given.unwrap_or_else(|| name_of(id));
    let status = Status::from_header_map(response.headers());
    let code = status.as_ref().map_or(Code::Ok, Status::code);
    if let Some(status) = status {
        front.metrics.rejected(reason.unwrap_or("grpc"));
        let sentence = status.message();
        tracing::debug!(route, ?code, %id, caller_id = ?name, sentence, "refused");
    }
    response.headers_mut().insert(X_REQUEST_ID, name);
    let status = wire_status(code).http_status();
    front.metrics.answered(route, status, at.elapsed());
    Ok(response)
}

impl Observed {
    async fn answer(&mut self, request: Request<Body>, seen: &Seen) -> Response<Body> {
        let carries = carries_of(request.uri().path());
        let mut request = request.map(|body| Body::new(Metered::new(body, seen.clone(), carries)));
        request.extensions_mut().insert(seen.clone());
        let answering = self.routes.call(request);
        let answered = match carries {
            Carries::Stream => answering.await,
            Carries::One => match timeout_at(seen.last_moment(), answering).await {
                Ok(answered) => answered,
                Err(_) => {
                    let timeout = seen.last_moment() - seen.began();
                    Ok(seen.refuse(GrpcError::Expired { timeout }).into_http())
                }
            },
        };
        let Ok(response) = answered;
        let response = in_our_words(response, seen);
        let seen = seen.clone();
        response.map(|inner| Body::new(Held { inner, _seen: seen }))
    }
}

/// A refusal of tonic becomes one of ours: with our sentence where it has a
/// better one, and with its reason.
fn in_our_words(response: Response<Body>, seen: &Seen) -> Response<Body> {
    // Only refusals have it in their head.
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    if status.metadata().contains_key(REASON) {
        return response;
    }
    let (code, message) = (status.code(), status.message());
    let error: Error = match code {
        Code::OutOfRange if message.starts_with(TOO_LONG) => {
            let limit_bytes = seen.front.limits.body_bytes;
            GrpcError::TooLarge { limit_bytes }.into()
        }
        Code::Unimplemented if message.is_empty() => GrpcError::Unimplemented {
            what: "no such service or method",
        }
        .into(),
        code => GrpcError::Tonic {
            code,
            message: message.to_owned(),
        }
        .into(),
    };
    seen.refuse(error).into_http()
}

/// Our id as metadata.
fn name_of(id: RequestId) -> HeaderValue {
    HeaderValue::try_from(id.to_text()).expect("hexadecimal digits are visible")
}

/// The caller's own id of the request, if there is one that can be repeated.
fn callers_name(headers: &HeaderMap) -> Option<HeaderValue> {
    let visible = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_CALLERS_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    headers.get(X_REQUEST_ID).filter(visible).cloned()
}

fn carries_of(path: &str) -> Carries {
    let streams = path.ends_with("/ModelStreamInfer")
        || path.ends_with("/ServerReflectionInfo")
        || path == "/grpc.health.v1.Health/Watch";
    match streams {
        true => Carries::Stream,
        false => Carries::One,
    }
}

/// Few values, whatever the path: the label of metrics.
fn route_of(path: &str) -> &'static str {
    match path {
        "/inference.GRPCInferenceService/ModelInfer" => "grpc ModelInfer",
        "/inference.GRPCInferenceService/ModelStreamInfer" => "grpc ModelStreamInfer",
        "/tensorflow.serving.PredictionService/Predict" => "grpc Predict",
        _ if path.starts_with("/inference.GRPCInferenceService/") => "grpc inference",
        _ if path.starts_with("/tensorflow.serving.") => "grpc tensorflow.serving",
        _ if path.starts_with("/grpc.") => "grpc health and reflection",
        _ => "grpc other",
    }
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
