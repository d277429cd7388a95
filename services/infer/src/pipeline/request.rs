//! A record on its way through the pipeline.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millrace_boot::trace::{Place, Span, TraceId};
use millrace_claims::Object;
use millrace_kafka as kafka;
use millrace_wire as wire;
use millrace_wire::headers::{RequestHeaders, Source};

use super::Served;
use super::decoding::Images;
use super::lane::Lane;
use super::outcome::Outcome;
use crate::batch::{Answer, Priority};

/// A record as it came, its headers read.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) priority: Priority,
    pub(crate) record: kafka::Record,
    pub(crate) ticket: kafka::Ticket,
    pub(crate) lane: Arc<Lane<Outcome>>,
    /// Empty where they could not be read.
    pub(crate) headers: RequestHeaders,
    /// Where the value lies that the record does not have itself; it is fetched before it is decoded.
    pub(crate) claim: Option<Object>,
    /// From here until the result is acknowledged.
    pub(crate) span: Span,
}

impl Arrival {
    /// Whether its value is still to be fetched.
    pub(crate) fn lacks_value(&self) -> bool {
        self.claim.is_some() && self.record.value.as_ref().is_none_or(Vec::is_empty)
    }

    /// Whether nobody waits for the answer any more, by our clock.
    pub(crate) fn is_late(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = self.headers.deadline_unix_ms.map(Duration::from_millis);
        deadline.is_some_and(|deadline| deadline <= now.unwrap_or_default())
    }
}

/// One record, from the poll thread until its result is acknowledged.
#[derive(Debug)]
pub(crate) struct Request {
    /// The record without its value, which is in `content`.
    pub(crate) record: kafka::Record,
    pub(crate) content: Content,
    /// The version that it was routed to; `None` if it was refused before.
    pub(crate) served: Option<Arc<Served>>,
    /// Empty where the record's headers could not be read.
    pub(crate) headers: RequestHeaders,
    pub(crate) priority: Priority,
    pub(crate) lane: Arc<Lane<Outcome>>,
    pub(crate) sequence: u64,
    /// The record itself has no value: it was fetched.
    is_claimed: bool,
    /// Where its span is in the trace; its result carries it on.
    place: Option<Place>,
    open: Mutex<Option<Open>>,
    /// Only for a record that was cut into several pieces.
    answer: Option<Mutex<Answer>>,
}

/// What ends with a request.
#[derive(Debug)]
struct Open {
    ticket: kafka::Ticket,
    span: Span,
}

/// The record's value.
#[derive(Debug)]
pub(crate) enum Content {
    /// Decoded, and it fits the signature.
    Instances(wire::Record),
    /// As it came, because it was refused.
    Bytes(Option<Vec<u8>>),
}

/// Rows of a request that run together.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) request: Arc<Request>,
    /// Which piece of the request this is.
    pub(crate) piece: usize,
    pub(crate) rows: Range<usize>,
    /// The record's images, if it has some. They go when its last part has run, which may be long before its result
    /// leaves in its turn: decoding waits for their memory, and the turn may wait for decoding.
    pub(crate) images: Option<Arc<Images>>,
}

impl Request {
    pub(crate) fn new(arrival: Arrival, content: Content, served: Option<Arc<Served>>) -> Self {
        Self {
            sequence: arrival.ticket.sequence(),
            record: arrival.record,
            content,
            served,
            headers: arrival.headers,
            priority: arrival.priority,
            lane: arrival.lane,
            is_claimed: arrival.claim.is_some(),
            place: arrival.span.place(),
            open: Mutex::new(Some(Open {
                ticket: arrival.ticket,
                span: arrival.span,
            })),
            answer: None,
        }
    }

    /// The record runs in several pieces.
    pub(crate) fn in_pieces(self, pieces: usize) -> Self {
        Self {
            answer: (pieces > 1).then(|| Mutex::new(Answer::of(pieces))),
            ..self
        }
    }

    /// The caller's id, or else the record's coordinates.
    pub(crate) fn id(&self) -> String {
        self.headers
            .id
            .clone()
            .unwrap_or_else(|| self.source().to_string())
    }

    /// When nobody waits for the answer any more, by our clock.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadline = UNIX_EPOCH + Duration::from_millis(self.headers.deadline_unix_ms?);
        let left = deadline.duration_since(SystemTime::now());
        Instant::now().checked_add(left.unwrap_or(Duration::ZERO))
    }

    /// Where the record came from.
    pub(crate) fn source(&self) -> Source {
        Source {
            topic: self.record.topic.to_string(),
            partition: self.record.partition,
            offset: self.record.offset,
        }
    }

    /// The value as it came.
    pub(crate) fn original_value(&self) -> Option<&[u8]> {
        match &self.content {
            _ if self.is_claimed => Some(&[]),
            Content::Instances(record) => Some(record.payload()),
            Content::Bytes(bytes) => bytes.as_deref(),
        }
    }

    /// Whether somebody asked for a copy of the result, even if in vain.
    pub(crate) fn wants_reply(&self) -> bool {
        self.headers.reply_to.is_some() || self.headers.reply_to_error.is_some()
    }

    /// The hold of the partition under which the record was read; `None` once it is finished.
    pub(crate) fn tenure(&self) -> Option<kafka::Tenure> {
        self.open().as_ref().map(|open| open.ticket.tenure())
    }

    /// Whether the partition is still ours.
    pub(crate) fn is_current(&self) -> bool {
        self.open()
            .as_ref()
            .is_some_and(|open| open.ticket.is_current())
    }

    /// The outcome is durable: the record's offset may be committed.
    pub(crate) fn finish(&self) {
        let open = self.open().take();
        if let Some(open) = open {
            open.ticket.done();
        }
    }

    /// The answer that is put together from pieces, if this record was cut.
    pub(crate) fn answer(&self) -> Option<MutexGuard<'_, Answer>> {
        let answer = self.answer.as_ref()?;
        Some(answer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where its span is in the trace; `None` where no traces are collected.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place
    }

    /// For logs: the trace of this process, or else the one that the record names.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        let named = || Place::parse(self.headers.traceparent.as_ref()?.as_bytes());
        self.place.or_else(named).map(|place| place.trace_id())
    }

    /// Says in the trace why there is no answer.
    pub(crate) fn fail(&self, sentence: &str) {
        if self.place.is_some_and(|place| place.is_sampled())
            && let Some(open) = self.open().as_mut()
        {
            open.span.fail(sentence);
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
