//! Carries a trace from process to process in two text headers, as W3C Trace Context writes them.
//!
//! Where no OTLP endpoint is set, [`TraceContext::of`] answers `None`: a service then passes the headers on as they came.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A place in a trace, as the values of the headers `traceparent` and `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: String,
    /// What tracing systems add for themselves, if anything.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// The place of `span`, to be sent along; `None` when no traces are collected here.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        if !context.span().span_context().is_valid() {
            return None;
        }
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&context, &mut headers);
        Some(Self {
            traceparent: headers.remove(TRACEPARENT)?,
            tracestate: headers.remove(TRACESTATE).filter(|state| !state.is_empty()),
        })
    }

    /// Makes `span`, which must not have been entered yet, a child of this place. A malformed `traceparent` is ignored,
    /// as the standard asks: the span then begins a trace of its own.
    pub fn adopt(&self, span: &Span) {
        let mut headers = HashMap::from([(TRACEPARENT.to_owned(), self.traceparent.clone())]);
        if let Some(state) = &self.tracestate {
            headers.insert(TRACESTATE.to_owned(), state.clone());
        }
        let parent = TraceContextPropagator::new().extract(&headers);
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!(%error, "span has no trace to join");
        }
    }
}
