//! One prediction: JSON in, a record to infer, its reply, JSON out.

use std::time::Duration;

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::headers::ResultHeaders;
use millrace_wire::json::{self, Format, JsonLimits};
use millrace_wire::{Limits, Record, Status};
use tokio::time::Instant;
use tracing::Instrument;

use crate::admission::Reservation;
use crate::body;
use crate::catalog::Served;
use crate::error::{BadReply, Error};
use crate::line::Question;
use crate::observe::Seen;
use crate::routes::Wanted;
use crate::state::{State, unix_ms};
use crate::trace_context::TraceContext;

/// The only signature a model has, in TensorFlow Serving's words.
const SIGNATURE_NAME: &str = "serving_default";

/// More JSON than this is parsed beside the worker, which has other callers.
const PARSED_INLINE_BYTES: usize = 256 << 10;

/// Which model a request means.
pub(crate) struct Target {
    pub(crate) model: String,
    pub(crate) wanted: Wanted,
}

/// A request that has been understood: what infer gets, how the answer is written.
struct Understood {
    format: Format,
    payload: Vec<u8>,
}

/// Answers one request for a prediction.
///
/// # Errors
/// Everything that [`Error`] lists.
pub(crate) async fn predict(
    request: &HttpRequest,
    payload: Payload,
    target: Target,
    state: &State,
) -> Result<HttpResponse, Error> {
    let span = tracing::info_span!("predict", model = %target.model);
    let trace = TraceContext::of(request.headers());
    trace.join(&span);
    state.metrics.trace_dropped.inc_by(u64::from(trace.dropped));
    let seen = Seen::of(request);
    let clock = Clock::new(seen.at, state.request_timeout);
    let served = state
        .catalog
        .find(&target.model, &target.wanted, unix_ms())?;
    body::check_headers(request.headers(), &state.body_limits)?;

    let mut held = state.admission.reserve();
    let body = body::read(payload, &state.body_limits, clock.deadline, &mut held).await?;
    let _place = state.admission.enter()?;
    let size_bytes = body.len();
    state
        .metrics
        .body_bytes
        .inc_by(u64::try_from(size_bytes).unwrap_or(u64::MAX));
    let understood = understand(body, &served, &state.json_limits).await?;
    let record_bytes = understood.payload.len();
    exchange(&mut held, size_bytes, record_bytes)?;

    let question = Question {
        id: seen.id,
        topic: state.topics.requests(&served.model).into(),
        version: (target.wanted != Wanted::Latest).then_some(served.version),
        payload: understood.payload,
        trace: trace.continued(&span),
        deadline: clock.deadline,
        deadline_unix_ms: clock.deadline_unix_ms,
    };
    let reply = state.line.ask(question).instrument(span).await?;
    exchange(&mut held, record_bytes, reply.size_bytes())?;
    let json = write(reply, understood.format, &state.reply_limits)?;
    state
        .metrics
        .answer_bytes
        .inc_by(u64::try_from(json.len()).unwrap_or(u64::MAX));
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(json))
}

/// When a request must be answered, on both clocks.
struct Clock {
    deadline: Instant,
    deadline_unix_ms: u64,
}

impl Clock {
    fn new(began: Instant, timeout: Duration) -> Self {
        let deadline = began + timeout;
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let deadline_unix_ms = u64::try_from(unix_ms().saturating_add(left_ms)).unwrap_or(0);
        Self {
            deadline,
            deadline_unix_ms,
        }
    }
}

/// In the budget, what is held now takes the place of what it was made from.
fn exchange(held: &mut Reservation, before_bytes: usize, now_bytes: usize) -> Result<(), Error> {
    held.shrink(before_bytes);
    held.grow(now_bytes)?;
    Ok(())
}

async fn understand(
    body: Vec<u8>,
    served: &Served,
    limits: &JsonLimits,
) -> Result<Understood, Error> {
    let (signature, limits) = (served.signature.clone(), limits.clone());
    let large = body.len() > PARSED_INLINE_BYTES;
    let work = move || -> Result<Understood, Error> {
        let request = json::parse_predict(&body, &signature, &limits)?;
        if let Some(given) = request.signature_name
            && given != SIGNATURE_NAME
        {
            let given = given.chars().take(32).collect();
            return Err(Error::SignatureName { given });
        }
        let payload = millrace_wire::encode_tensors(&request.tensors).map_err(Error::Encode)?;
        Ok(Understood {
            format: request.format,
            payload,
        })
    };
    match large {
        true => web::block(work).await.map_err(|_| Error::Worker)?,
        false => work(),
    }
}

/// Takes a reply record apart and writes its outputs as JSON.
fn write(reply: millrace_kafka::Record, format: Format, limits: &Limits) -> Result<Vec<u8>, Error> {
    let headers = ResultHeaders::parse(reply.headers.iter()).map_err(BadReply::Headers)?;
    if headers.status != Status::Ok {
        let status = headers.status;
        let sentence = headers
            .error
            .unwrap_or_else(|| format!("infer answered {status}"));
        return Err(Error::Failed { status, sentence });
    }
    let value = reply.value.ok_or(BadReply::NoValue)?;
    let outputs = Record::decode(value, limits).map_err(BadReply::Record)?;
    let mut json = Vec::new();
    json::write_predictions(format, &outputs, &mut json).map_err(BadReply::Outputs)?;
    Ok(json)
}
