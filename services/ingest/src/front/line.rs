//! The line to infer: one record out, one reply record back, within the deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_boot::trace::Span;
use millrace_kafka::{Delivered, DeliveryError, Headers, OutRecord, Producer, Record, SendError};
use millrace_wire::headers::{Claim, ReplyTo, RequestHeaders};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::large::Packed;
use super::outlet::Outlet;
use super::pending::{Outcome, Pending, RequestId};
use super::trace_context::TraceContext;

/// Why no reply came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("ingest is not ready: its place on the replies topic is not known yet")]
    NotReady,
    #[error("too many request bytes wait for the broker; it is slow or cannot be reached")]
    Busy,
    #[error(
        "request needs a record of {size_bytes} bytes, larger than the limit of {limit_bytes} bytes \
         (limits.record_bytes); with claims.url set, it would go to a store"
    )]
    TooLarge {
        size_bytes: usize,
        limit_bytes: usize,
    },
    #[error("request {id} did not reach the broker: {error}")]
    Undelivered {
        id: RequestId,
        error: Box<DeliveryError>,
    },
    #[error("request {id} did not reach the broker within {} ms", .waited.as_millis())]
    NotSent { id: RequestId, waited: Duration },
    #[error("request {id} could not be sent: {error}")]
    Refused {
        id: RequestId,
        error: Box<SendError>,
    },
    #[error(
        "request {id} was not answered within {} ms; its result may still reach the results topic",
        .waited.as_millis()
    )]
    TimedOut { id: RequestId, waited: Duration },
    #[error("ingest is stopping")]
    Stopping,
}

/// What is asked of a model.
pub(crate) struct Question {
    pub(crate) id: RequestId,
    /// The model's request topic.
    pub(crate) topic: Arc<str>,
    /// The version, where the caller asked for one.
    pub(crate) version: Option<i64>,
    /// One Arrow record, or where it is.
    pub(crate) payload: Packed,
    pub(crate) trace: TraceContext,
    /// Ends when the broker has the record.
    pub(crate) sending: Span,
    /// When nobody waits any more, on this process's clock and on everybody's.
    pub(crate) deadline: Instant,
    pub(crate) deadline_unix_ms: u64,
    /// Told where the record is, once the broker has it; dropped if that fails.
    pub(crate) on_sent: Option<OnSent>,
}

/// Is called on the producer's thread and must not block.
pub(crate) type OnSent = Box<dyn FnOnce(Delivered) + Send>;

/// Sends questions and waits for their replies; cheap to clone.
#[derive(Clone)]
pub(crate) struct Line {
    producer: Outlet,
    pending: Pending,
    /// Where replies come back; set once that place is read.
    reply_to: Arc<OnceLock<ReplyTo>>,
}

impl Line {
    pub(crate) fn new(producer: Producer, pending: Pending) -> Self {
        Self {
            producer: Outlet::new(producer),
            pending,
            reply_to: Arc::default(),
        }
    }

    /// From now on replies to this place reach [`Pending`].
    pub(crate) fn open(&self, reply_to: ReplyTo) {
        // It is the same place every time: a process reads one partition all its life.
        let _ = self.reply_to.set(reply_to);
    }

    /// From now on nothing is sent: every question is its own answer.
    pub(crate) fn loop_back(&self) {
        self.producer.loop_back(self.pending.clone());
    }

    /// Sends a question and waits for its reply record, which may be an error.
    /// When the returned future is dropped, the wait is over.
    ///
    /// # Errors
    /// [`LineError`]; none of them says that the model has not run.
    pub(crate) async fn ask(&self, question: Question) -> Result<Record, LineError> {
        let began = Instant::now();
        let (id, deadline) = (question.id, question.deadline);
        let reply_to = self.reply_to.get().ok_or(LineError::NotReady)?;
        let mut waiter = self.pending.enter(id);
        let delivered = Arc::new(AtomicBool::new(false));
        self.send_and_wait(question, reply_to, &delivered)?;
        match timeout_at(deadline, &mut waiter.outcome).await {
            Ok(Ok(Outcome::Reply(record))) => Ok(record),
            Ok(Ok(Outcome::Undelivered(error))) => {
                let error = Box::new(error);
                Err(LineError::Undelivered { id, error })
            }
            Ok(Ok(Outcome::Stopping) | Err(_)) => Err(LineError::Stopping),
            Err(_) => {
                let waited = began.elapsed();
                match delivered.load(Ordering::Acquire) {
                    true => Err(LineError::TimedOut { id, waited }),
                    false => Err(LineError::NotSent { id, waited }),
                }
            }
        }
    }

    /// Sends a question whose answer nobody waits for; says where it is once
    /// the broker has it. When the returned future is dropped, it is sent all
    /// the same.
    ///
    /// # Errors
    /// [`LineError`]; only with [`LineError::Undelivered`] and
    /// [`LineError::NotSent`] it may be in the topic after all.
    pub(crate) async fn submit(&self, question: Question) -> Result<Delivered, LineError> {
        let began = Instant::now();
        let (id, deadline) = (question.id, question.deadline);
        let (tell, told) = oneshot::channel();
        self.send(question, None, move |outcome| {
            // Whoever has left needs not know.
            let _ = tell.send(outcome);
        })?;
        match timeout_at(deadline, told).await {
            Ok(Ok(Ok(delivered))) => Ok(delivered),
            Ok(Ok(Err(error))) => {
                let error = Box::new(error);
                Err(LineError::Undelivered { id, error })
            }
            Ok(Err(_)) => Err(LineError::Stopping),
            Err(_) => {
                let waited = began.elapsed();
                Err(LineError::NotSent { id, waited })
            }
        }
    }

    fn send_and_wait(
        &self,
        question: Question,
        reply_to: &ReplyTo,
        delivered: &Arc<AtomicBool>,
    ) -> Result<(), LineError> {
        let id = question.id;
        let (pending, delivered) = (self.pending.clone(), Arc::clone(delivered));
        self.send(question, Some(reply_to), move |outcome| match outcome {
            Ok(_) => delivered.store(true, Ordering::Release),
            Err(error) => pending.undelivered(id, error),
        })
    }

    fn send(
        &self,
        mut question: Question,
        reply_to: Option<&ReplyTo>,
        on_delivery: impl FnOnce(Result<Delivered, DeliveryError>) + Send + 'static,
    ) -> Result<(), LineError> {
        let id = question.id;
        let on_sent = question.on_sent.take();
        let mut sending = std::mem::take(&mut question.sending);
        let on_delivery = move |outcome: Result<Delivered, DeliveryError>| {
            match &outcome {
                Ok(delivered) => {
                    sending.set("messaging.kafka.offset", delivered.offset);
                }
                Err(error) if sending.is_live() => sending.fail(&error.to_string()),
                Err(_) => {}
            }
            drop(sending);
            if let (Ok(delivered), Some(on_sent)) = (&outcome, on_sent) {
                on_sent(*delivered);
            }
            on_delivery(outcome);
        };
        let record = record_of(question, reply_to);
        let sent = self.producer.send(record, on_delivery);
        sent.map_err(|not_sent| match not_sent.reason {
            SendError::Busy => LineError::Busy,
            SendError::TooLarge {
                size_bytes,
                limit_bytes,
            } => LineError::TooLarge {
                size_bytes,
                limit_bytes,
            },
            SendError::Stopping => LineError::Stopping,
            error @ (SendError::Refused { .. } | SendError::Fatal(_)) => LineError::Refused {
                id,
                error: Box::new(error),
            },
        })
    }
}

fn record_of(question: Question, reply_to: Option<&ReplyTo>) -> OutRecord {
    let headers = RequestHeaders {
        id: Some(question.id.to_text()),
        reply_to: reply_to.cloned(),
        deadline_unix_ms: Some(question.deadline_unix_ms),
        version: question.version,
        traceparent: question.trace.traceparent,
        tracestate: question.trace.tracestate,
        ..RequestHeaders::default()
    };
    let mut pairs = Headers::new();
    for (name, value) in headers.to_pairs() {
        pairs.push(name, Some(value));
    }
    let claim = question.payload.claim.iter().flat_map(Claim::to_pairs);
    for (name, value) in claim {
        pairs.push(name, Some(value));
    }
    OutRecord {
        topic: question.topic,
        partition: None,
        key: None,
        value: Some(question.payload.value),
        headers: pairs,
    }
}
