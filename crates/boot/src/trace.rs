//! Spans of a trace that goes from process to process in a text header, as W3C Trace Context writes it.
//!
//! Whether a trace is recorded is decided once, where it begins, and travels along. A span that is not recorded costs
//! no allocation, and where no collector is set, nothing but one look at that: [`Span::place`] then answers `None`, and
//! a service passes on the headers as they came.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::latency::TraceLabel;
use crate::otlp::{Queue, attribute, unix_ns};

pub use crate::otlp::Value;

/// The header that carries a [`Place`]. `tracestate` beside it travels as it came.
pub const TRACEPARENT: &str = "traceparent";

/// The most links of a span; a batch of more records says how many there were in its attributes.
pub const MOST_LINKS: usize = 1024;

/// The bit of the flags that says that a trace is recorded.
const SAMPLED: u8 = 1;

/// Set once, by `install`, where a collector is.
static TRACER: OnceLock<Tracer> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Tracer {
    queue: Queue,
    /// A trace begun here is recorded if its random number is below this.
    threshold: u64,
}

impl Tracer {
    /// From now on spans go to `queue`; of the traces begun here, the share `ratio`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio of 0 to 1 of the whole range; the cast saturates"
    )]
    pub(crate) fn install(queue: Queue, ratio: f64) {
        let threshold = (ratio * u64::MAX as f64) as u64;
        // A process installs its telemetry once.
        let _ = TRACER.set(Self { queue, threshold });
    }

    fn is_chosen(&self) -> bool {
        self.threshold == u64::MAX || rand::random::<u64>() < self.threshold
    }
}

/// Whether traces are collected.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// What a span stands for, as OpenTelemetry distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answer to a request.
    Server,
    /// A record given to Kafka.
    Producer,
    /// A record taken from Kafka.
    Consumer,
    /// Anything inside a process.
    Internal,
}

/// A span's place in its trace: what travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    trace_id: u128,
    span_id: u64,
    is_sampled: bool,
}

impl Place {
    /// Reads `version-traceid-parentid-flags`: lower-case hexadecimal, ids not all zero. `None` for anything else, and
    /// the span then begins a trace of its own, as the standard asks.
    #[must_use]
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let is_known = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if traceparent.len() != 55 || !traceparent.iter().all(is_known) {
            return None;
        }
        let text = std::str::from_utf8(traceparent).ok()?;
        let mut parts = text.split('-');
        let [version, trace, span, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
        let lengths = [version, trace, span, flags].map(str::len);
        if lengths != [2, 32, 16, 2] || version == "ff" || parts.next().is_some() {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok()?;
        let span_id = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            is_sampled: flags & SAMPLED != 0,
        })
    }

    /// The header's value.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        let flags = u8::from(*is_sampled);
        format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// For logs: 32 digits.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        TraceId(self.trace_id)
    }

    /// The label of an exemplar; `None` if the trace is not recorded.
    #[must_use]
    pub fn exemplar(&self) -> Option<TraceLabel> {
        let label = || [("trace_id", self.trace_id().to_string())];
        self.is_sampled.then(label)
    }

    fn new_in(trace_id: u128, is_sampled: bool) -> Self {
        Self {
            trace_id,
            span_id: rand::random::<u64>().max(1),
            is_sampled,
        }
    }

    fn new_trace(is_sampled: bool) -> Self {
        Self::new_in(rand::random::<u128>().max(1), is_sampled)
    }
}

/// Writes a trace's id as 32 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A piece of work; it ends, and is sent, when it is dropped.
#[derive(Debug, Default)]
pub struct Span {
    place: Option<Place>,
    /// `None` if it is not recorded.
    live: Option<Box<proto::Span>>,
}

impl Span {
    /// A span that is none.
    pub const OFF: Self = Self {
        place: None,
        live: None,
    };

    /// Goes on with the caller's trace as he decided, or begins one, of which the share `telemetry.trace_ratio` is
    /// recorded. [`OFF`](Self::OFF) where no traces are collected.
    pub fn enter(parent: Option<Place>, kind: Kind, name: impl FnOnce() -> String) -> Self {
        let Some(tracer) = TRACER.get() else {
            return Self::OFF;
        };
        match parent {
            Some(parent) if parent.is_sampled => Self::live(Some(parent), kind, name()),
            Some(parent) => Self {
                place: Some(parent),
                live: None,
            },
            None if tracer.is_chosen() => Self::live(None, kind, name()),
            // That it is not recorded must be known down the line, or each process would decide anew.
            None => Self {
                place: Some(Place::new_trace(false)),
                live: None,
            },
        }
    }

    /// Goes on with a trace that is recorded, and begins none.
    pub fn follow(parent: Option<Place>, kind: Kind, name: impl FnOnce() -> String) -> Self {
        match parent {
            Some(parent) if parent.is_sampled && is_on() => Self::live(Some(parent), kind, name()),
            place => Self { place, live: None },
        }
    }

    /// One span for work on many records: it is a child of the first of those that are recorded, and linked to all.
    pub fn batch(
        places: impl Iterator<Item = Place>,
        kind: Kind,
        name: impl FnOnce() -> String,
    ) -> Self {
        if !is_on() {
            return Self::OFF;
        }
        let mut sampled = places.filter(Place::is_sampled).peekable();
        let Some(first) = sampled.peek().copied() else {
            return Self::OFF;
        };
        let mut span = Self::live(Some(first), kind, name());
        for place in sampled.take(MOST_LINKS) {
            span.link(place);
        }
        span
    }

    fn live(parent: Option<Place>, kind: Kind, name: String) -> Self {
        let place = match parent {
            Some(parent) => Place::new_in(parent.trace_id, true),
            None => Place::new_trace(true),
        };
        let parent_id = parent.map(|parent| parent.span_id.to_be_bytes().to_vec());
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        };
        let span = proto::Span {
            trace_id: place.trace_id.to_be_bytes().to_vec(),
            span_id: place.span_id.to_be_bytes().to_vec(),
            parent_span_id: parent_id.unwrap_or_default(),
            flags: SAMPLED.into(),
            name,
            kind: kind.into(),
            start_time_unix_nano: unix_ns(),
            ..proto::Span::default()
        };
        Self {
            place: Some(place),
            live: Some(Box::new(span)),
        }
    }

    /// Its place, to be sent along; of a span that is not recorded, its parent's. `None` where no traces are collected.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Whether it is recorded; what only a recorded span needs may be left undone otherwise.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// It began so long before it was made.
    #[must_use]
    pub fn begun_before(mut self, since: Duration) -> Self {
        if let Some(live) = &mut self.live {
            let since = u64::try_from(since.as_nanos()).unwrap_or(0);
            live.start_time_unix_nano = live.start_time_unix_nano.saturating_sub(since);
        }
        self
    }

    /// Says something about the work.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(live) = &mut self.live {
            live.attributes.push(attribute(key, value));
        }
    }

    /// The work failed.
    pub fn fail(&mut self, sentence: &str) {
        if let Some(live) = &mut self.live {
            live.status = Some(proto::Status {
                message: sentence.to_owned(),
                code: StatusCode::Error.into(),
            });
        }
    }

    fn link(&mut self, place: Place) {
        if let Some(live) = &mut self.live {
            live.links.push(Link {
                trace_id: place.trace_id.to_be_bytes().to_vec(),
                span_id: place.span_id.to_be_bytes().to_vec(),
                flags: u8::from(place.is_sampled).into(),
                ..Link::default()
            });
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut live) = self.live.take()
            && let Some(tracer) = TRACER.get()
        {
            live.end_time_unix_nano = unix_ns();
            tracer.queue.push(live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_place_is_written_as_it_was_read() {
        let place = Place::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(place.traceparent(), GOOD);
        assert!(place.is_sampled());
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(place.trace_id().to_string(), id);
        assert_eq!(place.exemplar(), Some([("trace_id", id.to_owned())]));
        let quiet = Place::parse(GOOD.replace("-01", "-00").as_bytes()).unwrap();
        assert!(!quiet.is_sampled());
        assert_eq!(quiet.exemplar(), None);
    }

    #[test]
    fn what_is_no_traceparent_is_no_place() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let shifted = "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-001";
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            zero_trace,
            zero_span,
            shifted,
            &GOOD[..54],
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen('-', "+", 1),
        ] {
            assert_eq!(Place::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn without_a_collector_there_are_no_spans_and_no_names_are_made() {
        let place = Place::parse(GOOD.as_bytes());
        let name = || unreachable!("nobody asks for it");
        assert_eq!(Span::enter(place, Kind::Server, name).place(), None);
        assert!(!Span::follow(place, Kind::Producer, name).is_live());
        assert!(!Span::batch(place.into_iter(), Kind::Internal, name).is_live());
    }
}
