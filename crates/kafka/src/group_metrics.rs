//! The metrics of one group member, looked up once instead of per record.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::budget::Budget;
use crate::metrics::{Group, GroupEnd, GroupKind, GroupTopic, Metrics, Seconds};
use crate::partitions::Ends;

pub(crate) struct GroupMetrics {
    group: String,
    all: Metrics,
    pub(crate) ends: Ends,
    pub(crate) pauses: Counter,
    pub(crate) drain_timeouts: Counter,
    in_flight_bytes: Gauge,
    in_flight_records: Gauge,
    assigned_partitions: Gauge,
    oldest_unfinished: Seconds,
}

impl GroupMetrics {
    pub(crate) fn new(group: &str, metrics: &Metrics) -> Self {
        let label = Group {
            group: group.to_owned(),
        };
        let end = |end| {
            let group = group.to_owned();
            metrics
                .ended_records
                .get_or_create_owned(&GroupEnd { group, end })
        };
        Self {
            group: group.to_owned(),
            ends: Ends {
                done: end("done"),
                abandoned: end("abandoned"),
                late: end("late"),
            },
            pauses: metrics.pauses.get_or_create_owned(&label),
            drain_timeouts: metrics.drain_timeouts.get_or_create_owned(&label),
            in_flight_bytes: metrics.in_flight_bytes.get_or_create_owned(&label),
            in_flight_records: metrics.in_flight_records.get_or_create_owned(&label),
            assigned_partitions: metrics.assigned_partitions.get_or_create_owned(&label),
            oldest_unfinished: metrics
                .oldest_unfinished_seconds
                .get_or_create_owned(&label),
            all: metrics.clone(),
        }
    }

    /// Counters of records and bytes of one topic.
    pub(crate) fn consumed(&self, topic: &str) -> (Counter, Counter) {
        let label = GroupTopic {
            group: self.group.clone(),
            topic: topic.to_owned(),
        };
        (
            self.all.consumed_records.get_or_create_owned(&label),
            self.all.consumed_bytes.get_or_create_owned(&label),
        )
    }

    pub(crate) fn count_commit(&self, kind: &'static str) {
        let group = self.group.clone();
        let label = GroupKind { group, kind };
        self.all.commits.get_or_create(&label).inc();
    }

    pub(crate) fn count_rebalance(&self, kind: &'static str) {
        let group = self.group.clone();
        let label = GroupKind { group, kind };
        self.all.rebalances.get_or_create(&label).inc();
    }

    pub(crate) fn publish(&self, budget: &Budget, partitions: usize, oldest: Duration) {
        let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.in_flight_bytes.set(whole(budget.bytes()));
        self.in_flight_records.set(whole(budget.records()));
        self.assigned_partitions.set(whole(partitions));
        self.oldest_unfinished.set(oldest.as_secs_f64());
    }
}
