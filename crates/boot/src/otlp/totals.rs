//! What telemetry counts about itself.

use std::sync::LazyLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Spans that left a process or did not, by outcome: `exported`, `dropped` (the queue was full), `failed`. Counter.
const SPANS: &str = "millrace_telemetry_spans";
/// Times that all metrics were sent to the collector, by outcome: `ok`, `failed`. Counter.
const METRIC_EXPORTS: &str = "millrace_telemetry_metric_exports";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Handles to the counters.
#[derive(Debug)]
pub(crate) struct Totals {
    spans: Family<Outcome, Counter>,
    metric_exports: Family<Outcome, Counter>,
    pub(crate) exported: Counter,
    pub(crate) dropped: Counter,
    pub(crate) failed: Counter,
    pub(crate) metrics_sent: Counter,
    pub(crate) metrics_failed: Counter,
}

/// The counters of this process.
pub(crate) fn totals() -> &'static Totals {
    static TOTALS: LazyLock<Totals> = LazyLock::new(|| {
        let spans = Family::<Outcome, Counter>::default();
        let metric_exports = Family::<Outcome, Counter>::default();
        let span = |outcome| spans.get_or_create_owned(&Outcome { outcome });
        let export = |outcome| metric_exports.get_or_create_owned(&Outcome { outcome });
        Totals {
            exported: span("exported"),
            dropped: span("dropped"),
            failed: span("failed"),
            metrics_sent: export("ok"),
            metrics_failed: export("failed"),
            spans,
            metric_exports,
        }
    });
    &TOTALS
}

impl Totals {
    /// Adds them to the metrics of the process.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            SPANS,
            "Spans exported, dropped because the queue was full, or not taken by the collector",
            self.spans.clone(),
        );
        registry.register(
            METRIC_EXPORTS,
            "Times that metrics were sent to the collector",
            self.metric_exports.clone(),
        );
    }
}
