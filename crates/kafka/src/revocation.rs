//! Giving up partitions: the one path for rebalance and shutdown.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;

use crate::intake::TopicPartition;

/// Between two attempts at the last commit: while the group rebalances it
/// refuses commits, and says so at once.
pub(crate) const COMMIT_PAUSE: Duration = Duration::from_millis(50);

/// Partitions on their way out. The polling thread goes on meanwhile, so that
/// the other partitions flow and the group does not expel us.
pub(crate) struct Revocation {
    pub(crate) list: TopicPartitionList,
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) phase: Phase,
}

/// What is still to be done before the partitions are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Their records have until then to be finished.
    Draining(Instant),
    /// Their finished prefixes have until then to be committed; not tried
    /// before `next`.
    Committing { until: Instant, next: Instant },
    /// Nothing: they may go.
    Done,
}

/// When draining must end. Of the time that a stop allows, some is kept for
/// the last commit and for leaving the group.
pub(crate) fn drain_until(now: Instant, drain: Duration, stop_at: Option<Instant>) -> Instant {
    let until = now + drain;
    let Some(stop_at) = stop_at else {
        return until;
    };
    let left = stop_at.saturating_duration_since(now);
    let kept = (left / 4).min(Duration::from_secs(2));
    until.min(now + (left - kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_keeps_time_for_the_last_commit() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(drain_until(now, seconds(10), None), now + seconds(10));
        assert_eq!(
            drain_until(now, seconds(10), Some(now + seconds(60))),
            now + seconds(10)
        );
        assert_eq!(
            drain_until(now, seconds(10), Some(now + seconds(4))),
            now + seconds(3)
        );
        assert_eq!(drain_until(now, seconds(10), Some(now)), now);
    }
}
