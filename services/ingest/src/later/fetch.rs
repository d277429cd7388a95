//! `GET /v1/results/MODEL/ID`: the result of a request that was accepted with 202.

use std::time::{Duration, Instant};

use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use millrace_kafka::Record;

use crate::access::Right;
use crate::front::clock::unix_ms;
use crate::front::{Answer, Error, Front, Head};
use crate::http::Signature;
use crate::http::not_allowed;

use super::LaterError;
use super::archive::{ArchiveError, Outcome, Sought};
use super::form::{Form, Written};
use super::location::Location;
use super::stream;
use super::wish::wait_of;

/// Where results are, with the model and the location after it.
pub(super) const RESULTS: &str = "/v1/results/";

/// As long as any name that fits a Kafka topic together with its prefix.
const MAX_MODEL_BYTES: usize = 150;

/// The longest time after which a caller is told to look again.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Adds the routes of results.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes.service(web::resource(["/v1/results", "/v1/results/{path:.*}"]).to(fetch));
}

/// One request for a result.
pub(super) struct Fetch {
    front: Front,
    model: String,
    pub(super) location: Location,
    form: Form,
}

async fn fetch(request: HttpRequest, front: Data<Front>) -> Result<HttpResponse, Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(not_allowed(&request, "GET, HEAD"));
    }
    let head = Head::of_http(&request, &front)?;
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let fetch = Fetch::of(&request, &front)?;
    front.permit(&head.caller, Right::Predict, &fetch.model)?;
    front.count(&head)?;
    if !fetch.location.id.is_of(head.caller.name()) {
        return Err(LaterError::Unknown.into());
    }
    fetch.check_age(fetch.location.at_unix_ms)?;
    let max_wait = front.later.max_wait;
    if accept.to_ascii_lowercase().contains("text/event-stream") {
        return stream::answer(fetch, max_wait).await;
    }
    let wait = match wait_in(request.query_string()) {
        Some(text) => Some(wait_of(text)?),
        None => head.wish.wait,
    };
    let wait = wait.unwrap_or_default().min(max_wait);
    match fetch.find(wait).await? {
        Some(result) => Ok(fetch.written(result).await?.response()),
        None => Ok(fetch.pending()),
    }
}

impl Fetch {
    fn of(request: &HttpRequest, front: &Front) -> Result<Self, Error> {
        let tail = request.uri().path().strip_prefix(RESULTS);
        let (model, id) = tail
            .and_then(|it| it.split_once('/'))
            .ok_or(LaterError::Path)?;
        let mut location: Location = id.parse().map_err(|_| LaterError::Malformed)?;
        if !is_model(model) {
            return Err(LaterError::Malformed.into());
        }
        Ok(Self {
            front: front.clone(),
            model: model.to_owned(),
            form: std::mem::replace(&mut location.form, Form::Rows).wanted(request),
            location,
        })
    }

    /// The result record, waited for as long; `None` while it is pending.
    pub(super) async fn find(&self, wait: Duration) -> Result<Option<Record>, Error> {
        let archive = &self.front.later.archive;
        let (_waiting, until) = match wait.is_zero() {
            true => (None, None),
            false => (Some(archive.wait()?), Some(Instant::now() + wait)),
        };
        let topics = &self.front.topics;
        let sought = Sought {
            id: self.location.id,
            requests: topics.requests(&self.model).into(),
            results: topics.results(&self.model).into(),
            partition: self.location.partition,
            offset: self.location.offset,
            at_unix_ms: self.location.at_unix_ms,
        };
        match archive.find(sought, until).await? {
            Outcome::Pending => Ok(None),
            Outcome::Unknown => Err(LaterError::Unknown.into()),
            Outcome::Gone => Err(LaterError::Expired.into()),
            Outcome::Result(record) => {
                self.check_age(record.timestamp_unix_ms.unwrap_or(i64::MAX))?;
                Ok(Some(record))
            }
        }
    }

    /// The answer in a result record, which is an error if the request failed.
    pub(super) async fn written(&self, result: Record) -> Result<Written, Error> {
        let mut held = self.front.admission.reserve();
        held.grow(result.size_bytes())?;
        let until = Instant::now() + self.front.limits.timeout;
        let result = self
            .front
            .large
            .unpack(result, &mut held, until.into())
            .await?;
        let answer = Answer::of(result, &self.front.limits.reply)?;
        let signature = Signature::of(&answer);
        let mut written = self.form.clone().write(answer, &self.front)?;
        written.signature = Some(signature);
        let size = u64::try_from(written.body.len()).unwrap_or(u64::MAX);
        self.front.metrics.answer_bytes.inc_by(size);
        Ok(written)
    }

    /// The same request for an answer that is text.
    pub(super) fn into_text(self) -> Self {
        Self {
            form: self.form.into_text(),
            ..self
        }
    }

    fn check_age(&self, at_unix_ms: i64) -> Result<(), LaterError> {
        let retention = i64::try_from(self.front.later.retention.as_millis());
        let until = at_unix_ms.saturating_add(retention.unwrap_or(i64::MAX));
        match unix_ms() > until {
            true => Err(LaterError::Expired),
            false => Ok(()),
        }
    }

    fn pending(&self) -> HttpResponse {
        let age_ms = unix_ms().saturating_sub(self.location.at_unix_ms);
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        // Who waits long already is asked to come back less often.
        let retry_after = (age / 10).clamp(Duration::from_secs(1), MAX_RETRY_AFTER);
        HttpResponse::Accepted()
            .insert_header((header::RETRY_AFTER, retry_after.as_secs().to_string()))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(serde_json::json!({"state": "pending"}))
    }

    /// Whether a search may be tried again after this error.
    pub(super) fn may_go_on(error: &Error) -> bool {
        matches!(
            error,
            Error::Later(LaterError::Archive(
                ArchiveError::Kafka(_) | ArchiveError::Slow
            ))
        )
    }
}

/// Whether a topic could be called that.
fn is_model(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_MODEL_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// The value of `wait` in a query.
fn wait_in(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("wait="))
}
