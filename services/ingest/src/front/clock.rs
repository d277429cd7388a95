//! When a request must be answered, on this process's clock and on everybody's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// One request's deadline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) deadline: Instant,
    pub(crate) deadline_unix_ms: u64,
}

impl Clock {
    /// The deadline of a request that began `timeout` before it.
    pub(crate) fn new(began: Instant, timeout: Duration) -> Self {
        let deadline = began + timeout;
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let deadline_unix_ms = u64::try_from(unix_ms().saturating_add(left_ms)).unwrap_or(0);
        Self {
            deadline,
            deadline_unix_ms,
        }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.deadline <= Instant::now()
    }
}

/// Now, as leases and deadlines count it.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
