//! What is counted about the store.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Attempts to use the store, by operation (`get`, `put`) and outcome (`ok`, `down`, `missing`, `wrong`, `too_large`).
const ATTEMPTS: &str = "millrace_claims_attempts";
/// Bytes that were read and written, by operation.
const BYTES: &str = "millrace_claims_bytes";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempt {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

/// Counters of one process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    attempts: Family<Attempt, Counter>,
    bytes: Family<Operation, Counter>,
}

impl Metrics {
    /// Adds every metric to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let it = metrics.clone();
        let attempts = "Attempts to use the store of large values";
        registry.register(ATTEMPTS, attempts, it.attempts);
        let bytes = "Bytes read from and written to the store of large values";
        registry.register(BYTES, bytes, it.bytes);
        metrics
    }

    pub(crate) fn count(&self, operation: &'static str, outcome: Result<usize, &'static str>) {
        if let Ok(bytes) = outcome {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.bytes
                .get_or_create(&Operation { operation })
                .inc_by(bytes);
        }
        let outcome = outcome.err().unwrap_or("ok");
        self.attempts
            .get_or_create(&Attempt { operation, outcome })
            .inc();
    }
}
