//! What every handler needs; one per process, shared by all workers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_wire::Limits;
use millrace_wire::json::JsonLimits;

use crate::admission::Admission;
use crate::body::BodyLimits;
use crate::catalog::Catalog;
use crate::line::Line;
use crate::metrics::Metrics;
use crate::pending::Pending;

/// The parts of a running ingest that answer requests.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) catalog: Catalog,
    pub(crate) line: Line,
    pub(crate) pending: Pending,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) topics: Topics,
    pub(crate) default_model: Option<String>,
    pub(crate) request_timeout: Duration,
    pub(crate) body_limits: BodyLimits,
    pub(crate) json_limits: JsonLimits,
    pub(crate) reply_limits: Limits,
}

/// The names of the topics, all from one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    prefix: String,
}

impl Topics {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(crate) fn requests(&self, model: &str) -> String {
        format!("{}.requests.{model}", self.prefix)
    }

    pub(crate) fn replies(&self) -> String {
        format!("{}.replies", self.prefix)
    }

    pub(crate) fn models(&self) -> String {
        format!("{}.models", self.prefix)
    }
}

/// Now, as leases count it.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
