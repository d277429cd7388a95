//! One request's way through ingest, from its head to the answer of infer.

use std::sync::Arc;
use std::time::Duration;

use millrace_boot::trace::{Kind, Span};
use millrace_kafka::{Delivered, Record as ReplyRecord};
use millrace_wire::headers::ResultHeadersRef;
use millrace_wire::{Limits, Record, Status};
use tokio::time::Instant;
use tracing::debug;
use tracing::field::display;

use super::admission::{Place, Reservation};
use super::catalog::Served;
use super::clock::{Clock, unix_ms};
use super::error::{BadReply, Error};
use super::large::Packed;
use super::line::{OnSent, Question};
use super::pending::RequestId;
use super::statistics::Asking;
use super::trace_context::TraceContext;
use super::{Front, Head, Target, Wanted, records};
use crate::access::Caller;
use crate::later::once::{self, Once};
use crate::later::wish::Wish;

/// A larger body is parsed beside the worker, which has other callers.
const PARSED_INLINE_BYTES: usize = 256 << 10;

/// A request that was let in. Dropping it, as when a caller hangs up, gives
/// back everything that it holds.
pub(crate) struct Exchange {
    front: Front,
    served: Arc<Served>,
    id: RequestId,
    caller: Caller,
    wish: Wish,
    /// The version, where the caller asked for one.
    version: Option<i64>,
    began: Instant,
    /// How long the caller said that the answer is of use.
    asked_timeout: Option<Duration>,
    began_unix_ms: i64,
    clock: Clock,
    trace: TraceContext,
    span: Span,
    held: Reservation,
    place: Option<Place>,
}

/// What infer answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// One column per output.
    pub(crate) outputs: Record,
    pub(crate) model: String,
    pub(crate) version: i64,
    /// SHA-256 of the weights that answered, if infer says so.
    pub(crate) weights_sha256: Option<String>,
}

impl Exchange {
    pub(super) fn begin(
        front: Front,
        head: Head,
        target: &Target,
        served: Served,
    ) -> Result<Self, Error> {
        let limit = front.limits.timeout;
        let timeout = head.timeout.map_or(limit, |asked| asked.min(limit));
        let clock = Clock::new(head.at, timeout);
        if clock.has_passed() {
            return Err(Error::Expired { timeout });
        }
        let name = || format!("predict {}", served.model);
        let span = Span::enter(head.trace.place(), Kind::Server, name);
        let mut span = span.begun_before(head.at.elapsed());
        span.set("millrace.model", served.model.as_str());
        let dropped = u64::from(head.trace.dropped);
        front.metrics.trace_dropped.inc_by(dropped);
        Ok(Self {
            id: head.id,
            caller: head.caller,
            wish: head.wish,
            asked_timeout: head.timeout,
            began_unix_ms: unix_ms(),
            version: (target.wanted != Wanted::Latest).then_some(served.version),
            began: head.at,
            clock,
            trace: head.trace,
            span,
            held: front.admission.reserve(),
            place: None,
            served: Arc::new(served),
            front,
        })
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// Who will answer, and what its inputs are.
    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    /// The id under which this request travels.
    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// The caller says in the body that he waits so long from when the request
    /// began; what the head and the settings say holds too.
    ///
    /// # Errors
    /// [`Error::Expired`]
    pub(crate) fn answer_within(&mut self, timeout: Duration) -> Result<(), Error> {
        let clock = Clock::new(self.began, timeout.min(self.front.limits.timeout));
        if clock.has_passed() {
            return Err(Error::Expired { timeout });
        }
        if clock.deadline < self.clock.deadline {
            self.clock = clock;
        }
        let asked = self.asked_timeout.map_or(timeout, |it| it.min(timeout));
        self.asked_timeout = Some(asked);
        Ok(())
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the caller wishes besides an answer.
    pub(crate) fn wish(&self) -> &Wish {
        &self.wish
    }

    /// The version, where the caller asked for one.
    pub(crate) fn version(&self) -> Option<i64> {
        self.version
    }

    /// When the request was let in, as other processes count time.
    pub(crate) fn began_unix_ms(&self) -> i64 {
        self.began_unix_ms
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.clock.deadline
    }

    /// The bytes held on behalf of this request, to grow as its body arrives.
    pub(crate) fn held(&mut self) -> &mut Reservation {
        &mut self.held
    }

    /// Says that the body is there, with so many bytes; from here on the
    /// request counts as one in flight. A caller that is slow to send does not.
    ///
    /// # Errors
    /// [`Error::Full`]
    pub(crate) fn received(&mut self, size_bytes: usize) -> Result<(), Error> {
        self.held.set(size_bytes)?;
        self.place = Some(self.front.admission.enter()?);
        let size = u64::try_from(size_bytes).unwrap_or(u64::MAX);
        self.front.metrics.body_bytes.inc_by(size);
        Ok(())
    }

    /// Does work on a body of `size_bytes`: at once, or beside the worker when
    /// there is so much of it that other callers would wait.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn parse<T: Send + 'static>(
        &mut self,
        size_bytes: usize,
        work: impl FnOnce(&Served) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let done = self.work_on(size_bytes, work).await;
        self.front
            .metrics
            .parsed(&self.served.model, began.elapsed());
        self.judged(done)
    }

    async fn work_on<T: Send + 'static>(
        &self,
        size_bytes: usize,
        work: impl FnOnce(&Served) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if size_bytes <= PARSED_INLINE_BYTES {
            return work(&self.served);
        }
        let served = Arc::clone(&self.served);
        let done = tokio::task::spawn_blocking(move || work(&served)).await;
        done.map_err(|_| Error::Worker)?
    }

    /// Says in the trace and in the log why there is no answer, if there is none.
    fn judged<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &outcome {
            if self.span.is_live() {
                self.span.fail(&error.to_string());
            }
            let trace_id = self.span.place().map(|place| display(place.trace_id()));
            debug!(trace_id, id = %self.id, model = self.served.model, %error, "not answered");
        }
        outcome
    }

    /// Sends one Arrow record to infer and waits for what it answers. With an
    /// idempotency key that was used before, the answer is the one of then.
    ///
    /// # Errors
    /// No reply in time, a reply that cannot be read, or a failure of infer.
    pub(crate) async fn ask(&mut self, payload: Vec<u8>) -> Result<Answer, Error> {
        let asking = Asking {
            began: self.began,
            asked: Instant::now(),
        };
        let answer = self.ask_infer(payload).await;
        let exemplar = self.span.place().and_then(|place| place.exemplar());
        let metrics = &self.front.metrics;
        metrics.waited(&self.served.model, asking.asked.elapsed(), exemplar);
        let answer = self.judged(answer);
        let rows = answer.as_ref().ok().map(|answer| answer.outputs.rows());
        let Served { model, version, .. } = self.served();
        // Infer may have chosen another one, such as the canary.
        let version = answer.as_ref().map_or(*version, |answer| answer.version);
        self.front.statistics.count((model, version), asking, rows);
        answer
    }

    async fn ask_infer(&mut self, payload: Vec<u8>) -> Result<Answer, Error> {
        self.held.set(payload.len())?;
        let on_sent = match once::claim(self, &payload).await? {
            Once::Answered(result) => return self.answer_of(result).await,
            Once::Ours(on_sent) => on_sent,
        };
        let payload = self.front.large.pack(payload, self.clock.deadline).await?;
        let deadline_unix_ms = self.clock.deadline_unix_ms;
        let question = self.question(payload, deadline_unix_ms, on_sent);
        let reply = self.front.line.ask(question).await?;
        self.answer_of(reply).await
    }

    /// Sends one Arrow record to infer, whose answer nobody waits for, and says
    /// where it is once the broker has it.
    ///
    /// # Errors
    /// The record did not reach the broker, as far as is known.
    pub(crate) async fn submit(
        &mut self,
        payload: Vec<u8>,
        on_sent: Option<OnSent>,
    ) -> Result<Delivered, Error> {
        let longest = self.front.later.retention;
        let useful_for = self.asked_timeout.map_or(longest, |it| it.min(longest));
        let deadline_unix_ms = Clock::new(Instant::now(), useful_for).deadline_unix_ms;
        let payload = self.front.large.pack(payload, self.clock.deadline).await?;
        let question = self.question(payload, deadline_unix_ms, on_sent);
        Ok(self.front.line.submit(question).await?)
    }

    fn question(
        &mut self,
        payload: Packed,
        deadline_unix_ms: u64,
        on_sent: Option<OnSent>,
    ) -> Question {
        let topic: Arc<str> = self.front.topics.requests(&self.served.model).into();
        let (trace, sending) = std::mem::take(&mut self.trace).sent_within(&self.span, &topic);
        Question {
            id: self.id,
            topic,
            version: self.version,
            payload,
            trace,
            sending,
            deadline: self.clock.deadline,
            deadline_unix_ms,
            on_sent,
        }
    }

    /// Takes the record apart that answers this request.
    async fn answer_of(&mut self, reply: ReplyRecord) -> Result<Answer, Error> {
        let large = self.front.large.clone();
        let reply = large
            .unpack(reply, &mut self.held, self.clock.deadline)
            .await?;
        self.held.set(reply.size_bytes())?;
        let answer = Answer::of(reply, &self.front.limits.reply)?;
        Ok(Answer {
            model: self.served.model.clone(),
            ..answer
        })
    }
}

impl Answer {
    /// Takes a reply or result record apart.
    ///
    /// # Errors
    /// A record that cannot be read, or a failure of infer.
    pub(crate) fn of(reply: ReplyRecord, limits: &Limits) -> Result<Self, Error> {
        let headers = ResultHeadersRef::parse(reply.headers.iter()).map_err(BadReply::Headers)?;
        if headers.status != Status::Ok {
            let status = headers.status;
            let sentence = headers
                .error
                .map_or_else(|| format!("infer answered {status}"), Into::into);
            return Err(Error::Failed { status, sentence });
        }
        let weights_sha256 = headers.weights_sha256.map(str::to_owned);
        let value = reply.value.ok_or(BadReply::NoValue)?;
        let outputs = records::decode(value, limits).map_err(BadReply::Record)?;
        let version = headers.version.ok_or(BadReply::NoVersion)?;
        Ok(Self {
            outputs,
            model: headers.model.to_owned(),
            version,
            weights_sha256,
        })
    }
}
