//! Every metric of ingest: names, labels and what they count.

use std::time::Duration;

use millrace_boot::{Latency, TraceLabel, TracedLatency, traced_latency};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Requests answered, by route and status. Counter.
const REQUESTS: &str = "millrace_ingest_requests";
/// Seconds from a request's head to its answer's head, by route. Histogram.
const REQUEST_DURATION_SECONDS: &str = "millrace_ingest_request_duration_seconds";
/// Seconds from a body to a record and from outputs to a body, by model. Histogram.
const PARSE_SECONDS: &str = "millrace_ingest_parse_seconds";
/// Seconds from giving a record to the producer to its reply, by model. Histogram.
const WAIT_SECONDS: &str = "millrace_ingest_wait_seconds";
/// Requests refused or failed, by reason. Counter.
const REJECTED: &str = "millrace_ingest_rejected";
/// Reply records that nobody waits for, by reason. Counter.
const REPLIES_UNMATCHED: &str = "millrace_ingest_replies_unmatched";
/// Requests being worked on. Gauge.
const IN_FLIGHT: &str = "millrace_ingest_in_flight";
/// Callers waiting for a reply record. Gauge.
const PENDING: &str = "millrace_ingest_pending";
/// Bytes of request bodies read. Counter.
const BODY_BYTES: &str = "millrace_ingest_body_bytes";
/// Bytes of answers to predictions. Counter.
const ANSWER_BYTES: &str = "millrace_ingest_answer_bytes";
/// Trace headers that were not well-formed and did not travel on. Counter.
const TRACE_HEADERS_DROPPED: &str = "millrace_ingest_trace_headers_dropped";
/// Records on the models topic that are no descriptor. Counter.
const DESCRIPTORS_REJECTED: &str = "millrace_ingest_descriptors_rejected";

/// Keys of JSON bodies that no protocol defines and that were ignored. Counter.
const JSON_KEYS_IGNORED: &str = "millrace_ingest_json_keys_ignored";

/// Records on the topic of idempotency keys that are none of ours. Counter.
const CLAIMS_REJECTED: &str = "millrace_ingest_claims_rejected";

/// How a reply record that nobody waits for came to be; a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// The id is of this process: the caller had left, or was answered already.
    LateOrDuplicate,
    /// The id is of another process on the same partition, or of an earlier life of this one.
    Foreign,
    /// There is no id, or none that ingest ever makes.
    NoId,
}

/// Handles to all counters; clones count into the same place.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<RouteStatus, Counter>,
    latency: Family<Route, Histogram, fn() -> Histogram>,
    parse: Family<Model, Latency>,
    wait: Family<Model, TracedLatency, fn() -> TracedLatency>,
    rejected: Family<Reason, Counter>,
    unmatched: Family<Reason, Counter>,
    /// Requests being worked on.
    pub(crate) in_flight: Gauge,
    /// Callers waiting for a reply record.
    pub(crate) pending: Gauge,
    /// Bytes of request bodies read.
    pub(crate) body_bytes: Counter,
    /// Bytes of answers written, without their heads.
    pub(crate) answer_bytes: Counter,
    /// Trace headers that were not well-formed and did not travel on.
    pub(crate) trace_dropped: Counter,
    /// Keys of JSON bodies that were ignored.
    json_keys_ignored: Counter,
    /// Records on the models topic that are no descriptor.
    pub(crate) descriptors_rejected: Counter,
    /// Records on the topic of idempotency keys that are none of ours.
    pub(crate) claims_rejected: Counter,
}

fn latency_histogram() -> Histogram {
    // 0.5 ms to 16 s.
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

impl Metrics {
    /// Registers everything; call it once per process.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(latency_histogram),
            parse: Family::default(),
            wait: Family::new_with_constructor(traced_latency),
            rejected: Family::default(),
            unmatched: Family::default(),
            in_flight: Gauge::default(),
            pending: Gauge::default(),
            body_bytes: Counter::default(),
            answer_bytes: Counter::default(),
            trace_dropped: Counter::default(),
            json_keys_ignored: Counter::default(),
            descriptors_rejected: Counter::default(),
            claims_rejected: Counter::default(),
        };
        registry.register(REQUESTS, "Requests answered", metrics.requests.clone());
        registry.register(
            REQUEST_DURATION_SECONDS,
            "Time from a request's head to its answer's head",
            metrics.latency.clone(),
        );
        registry.register(
            PARSE_SECONDS,
            "Time from a body to a record and from outputs to a body",
            metrics.parse.clone(),
        );
        registry.register(
            WAIT_SECONDS,
            "Time from giving a record to the producer to its reply",
            metrics.wait.clone(),
        );
        registry.register(
            REJECTED,
            "Requests refused or failed",
            metrics.rejected.clone(),
        );
        registry.register(
            REPLIES_UNMATCHED,
            "Reply records that nobody waits for",
            metrics.unmatched.clone(),
        );
        metrics.register_plain(registry);
        metrics
    }

    fn register_plain(&self, registry: &mut Registry) {
        registry.register(
            IN_FLIGHT,
            "Requests being worked on",
            self.in_flight.clone(),
        );
        registry.register(
            PENDING,
            "Callers waiting for a reply record",
            self.pending.clone(),
        );
        registry.register(
            BODY_BYTES,
            "Bytes of request bodies read",
            self.body_bytes.clone(),
        );
        registry.register(ANSWER_BYTES, "Bytes of answers", self.answer_bytes.clone());
        registry.register(
            TRACE_HEADERS_DROPPED,
            "Trace headers that were not well-formed",
            self.trace_dropped.clone(),
        );
        registry.register(
            JSON_KEYS_IGNORED,
            "Keys of JSON bodies that no protocol defines and that were ignored",
            self.json_keys_ignored.clone(),
        );
        registry.register(
            CLAIMS_REJECTED,
            "Records on the topic of idempotency keys that are none of ours",
            self.claims_rejected.clone(),
        );
        registry.register(
            DESCRIPTORS_REJECTED,
            "Records on the models topic that are no descriptor",
            self.descriptors_rejected.clone(),
        );
    }

    /// Counts one answered request of a route.
    pub(crate) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&RouteStatus { route, status })
            .inc();
        self.latency
            .get_or_create(&Route { route })
            .observe(took.as_secs_f64());
    }

    /// Counts one body that became a record, or outputs that became a body.
    pub(crate) fn parsed(&self, model: &str, took: Duration) {
        let model = model.to_owned();
        self.parse.get_or_create(&Model { model }).observe(took);
    }

    /// Counts one wait for a reply, in vain or not.
    pub(crate) fn waited(&self, model: &str, took: Duration, trace: Option<TraceLabel>) {
        let model = model.to_owned();
        let wait = self.wait.get_or_create(&Model { model });
        wait.observe(took.as_secs_f64(), trace, None);
    }

    /// Counts one refused or failed request, once.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    /// Counts keys of a JSON body that were ignored.
    pub(crate) fn ignored_keys(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.json_keys_ignored.inc_by(count);
    }

    /// Counts one reply record that no caller waits for.
    pub(crate) fn unmatched(&self, how: Unmatched) {
        let reason = match how {
            Unmatched::LateOrDuplicate => "late_or_duplicate",
            Unmatched::Foreign => "foreign",
            Unmatched::NoId => "no_id",
        };
        self.unmatched.get_or_create(&Reason { reason }).inc();
    }
}
