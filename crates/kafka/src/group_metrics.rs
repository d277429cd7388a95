//! The metrics of one group member, looked up once instead of per record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::budget::Budget;
use crate::metrics::{Group, GroupEnd, GroupKind, GroupTopic, Metrics, Seconds};
use crate::pace::Pace;
use crate::partitions::{Ends, Partitions};

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
    drain_estimate: Seconds,
    /// The lag of every topic of which there were ever partitions here.
    lags: HashMap<Arc<str>, Lag>,
    pace: Pace,
}

/// How far behind the group is with one topic.
struct Lag {
    seconds: Seconds,
    records: Gauge,
}

impl GroupMetrics {
    pub(crate) fn new(group: &str, metrics: &Metrics) -> Self {
        let label = Group {
            group: group.to_owned(),
        };
        // What may never happen is there with 0, so that its first time is seen.
        for kind in ["ok", "transient", "fatal"] {
            let group = group.to_owned();
            drop(metrics.commits.get_or_create(&GroupKind { group, kind }));
        }
        for kind in ["assigned", "revoked", "lost"] {
            let group = group.to_owned();
            drop(metrics.rebalances.get_or_create(&GroupKind { group, kind }));
        }
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
            drain_estimate: metrics.drain_estimate_seconds.get_or_create_owned(&label),
            lags: HashMap::new(),
            pace: Pace::new(Instant::now()),
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

    pub(crate) fn publish_lag(&mut self, partitions: &Partitions, now: Instant) {
        let now_unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            });
        let held = partitions.oldest_unix_ms();
        for (topic, lag) in &self.lags {
            if !held.iter().any(|(of, _)| of == topic) {
                lag.seconds.set(0.0);
            }
        }
        for (topic, oldest) in held {
            let age_ms = oldest.map_or(0, |oldest| now_unix_ms.saturating_sub(oldest));
            let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
            self.lag(topic).seconds.set(age.as_secs_f64());
        }
        let lag_records = self.lags.values().map(|lag| lag.records.get()).sum();
        self.pace.look(self.ends.done.get(), now);
        let estimate = self.pace.drain_estimate(lag_records);
        self.drain_estimate.set(estimate.as_secs_f64());
    }

    fn lag(&mut self, topic: Arc<str>) -> &Lag {
        let label = GroupTopic {
            group: self.group.clone(),
            topic: topic.to_string(),
        };
        let all = &self.all;
        self.lags.entry(topic).or_insert_with(|| Lag {
            seconds: all.lag_seconds.get_or_create_owned(&label),
            records: all.lag_records.get_or_create_owned(&label),
        })
    }
}
