//! What this crate counts. Labels are topics, groups and small enumerations.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Records handed to the intake. Counter, by group and topic.
pub const CONSUMED_RECORDS: &str = "millrace_kafka_consumed_records";
/// Bytes of keys, values and headers handed to the intake. Counter.
pub const CONSUMED_BYTES: &str = "millrace_kafka_consumed_bytes";
/// Records whose ticket ended, by how: `done`, `abandoned` (dropped without an
/// outcome; the offset stays), `late` (after the partition was given up).
pub const ENDED_RECORDS: &str = "millrace_kafka_ended_records";
/// Bytes handed out and not ended yet. Gauge, by group.
pub const IN_FLIGHT_BYTES: &str = "millrace_kafka_in_flight_bytes";
/// Records handed out and not ended yet. Gauge, by group.
pub const IN_FLIGHT_RECORDS: &str = "millrace_kafka_in_flight_records";
/// Partitions assigned. Gauge, by group.
pub const ASSIGNED_PARTITIONS: &str = "millrace_kafka_assigned_partitions";
/// Records in the broker that the group has not committed yet. Gauge.
pub const LAG_RECORDS: &str = "millrace_kafka_lag_records";
/// Age, by its own timestamp, of the oldest record that is read and not
/// finished; 0 when none waits. Markers of transactions do not move it. Gauge.
pub const LAG_SECONDS: &str = "millrace_kafka_lag_seconds";
/// Seconds until nothing lags, at the pace of the last half minute. Gauge.
pub const DRAIN_ESTIMATE_SECONDS: &str = "millrace_kafka_drain_estimate_seconds";
/// Age of the oldest unfinished record that holds a commit back. Gauge.
pub const OLDEST_UNFINISHED_SECONDS: &str = "millrace_kafka_oldest_unfinished_seconds";
/// Times that reading paused because the budget was spent. Counter, by group.
pub const PAUSES: &str = "millrace_kafka_pauses";
/// Assignment changes, by kind: `assigned`, `revoked`, `lost`. Counter.
pub const REBALANCES: &str = "millrace_kafka_rebalances";
/// Drains that reached their deadline with unfinished records. Counter.
pub const DRAIN_TIMEOUTS: &str = "millrace_kafka_drain_timeouts";
/// Offset commits, by result: `ok`, `transient`, `fatal`. Counter.
pub const COMMITS: &str = "millrace_kafka_commits";
/// Records acknowledged or refused, by topic and result: `ok`, `poison`,
/// `transient`, `fatal`. Counter.
pub const PRODUCED_RECORDS: &str = "millrace_kafka_produced_records";
/// Bytes accepted for sending. Counter, by topic.
pub const PRODUCED_BYTES: &str = "millrace_kafka_produced_bytes";
/// Bytes accepted and not acknowledged yet. Gauge, by client.
pub const PRODUCER_QUEUE_BYTES: &str = "millrace_kafka_producer_queue_bytes";
/// Records refused because the producer's budget was spent. Counter.
pub const PRODUCER_BUSY: &str = "millrace_kafka_producer_busy";
/// Transactions, by result: `committed`, `fenced`, `refused`, `aborted`,
/// `unknown`, `fatal`. Counter.
pub const TRANSACTIONS: &str = "millrace_kafka_transactions";
/// The results of [`TRANSACTIONS`].
const TRANSACTION_RESULTS: [&str; 6] = [
    "committed",
    "fenced",
    "refused",
    "aborted",
    "unknown",
    "fatal",
];
/// Records read by followers. Counter, by topic.
pub const FOLLOWED_RECORDS: &str = "millrace_kafka_followed_records";
/// Errors that clients report, by client and failure class. Counter.
pub const CLIENT_ERRORS: &str = "millrace_kafka_client_errors";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct GroupTopic {
    pub(crate) group: String,
    pub(crate) topic: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct GroupEnd {
    pub(crate) group: String,
    pub(crate) end: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Group {
    pub(crate) group: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct GroupKind {
    pub(crate) group: String,
    pub(crate) kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TopicResult {
    pub(crate) topic: String,
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Topic {
    pub(crate) topic: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TransactionResult {
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ClientFailure {
    pub(crate) client: &'static str,
    pub(crate) failure: &'static str,
}

pub(crate) type Seconds = Gauge<f64, AtomicU64>;

/// The crate's metrics; cheap to clone, shared by all clients of a process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) consumed_records: Family<GroupTopic, Counter>,
    pub(crate) consumed_bytes: Family<GroupTopic, Counter>,
    pub(crate) ended_records: Family<GroupEnd, Counter>,
    pub(crate) in_flight_bytes: Family<Group, Gauge>,
    pub(crate) in_flight_records: Family<Group, Gauge>,
    pub(crate) assigned_partitions: Family<Group, Gauge>,
    pub(crate) lag_records: Family<GroupTopic, Gauge>,
    pub(crate) lag_seconds: Family<GroupTopic, Seconds>,
    pub(crate) drain_estimate_seconds: Family<Group, Seconds>,
    pub(crate) oldest_unfinished_seconds: Family<Group, Seconds>,
    pub(crate) pauses: Family<Group, Counter>,
    pub(crate) rebalances: Family<GroupKind, Counter>,
    pub(crate) drain_timeouts: Family<Group, Counter>,
    pub(crate) commits: Family<GroupKind, Counter>,
    pub(crate) produced_records: Family<TopicResult, Counter>,
    pub(crate) produced_bytes: Family<Topic, Counter>,
    pub(crate) producer_queue_bytes: Gauge,
    pub(crate) producer_busy: Counter,
    pub(crate) transactions: Family<TransactionResult, Counter>,
    pub(crate) followed_records: Family<Topic, Counter>,
    pub(crate) client_errors: Family<ClientFailure, Counter>,
}

impl Metrics {
    /// Creates the metrics and registers them; call it once per process.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // What may never happen is there with 0, so that its first time is seen.
        for result in TRANSACTION_RESULTS {
            drop(
                metrics
                    .transactions
                    .get_or_create(&TransactionResult { result }),
            );
        }
        metrics.register_consumer(registry);
        metrics.register_offsets(registry);
        metrics.register_others(registry);
        metrics
    }

    /// Records of `topic` that this process's member of `group` has still to
    /// commit, by the last statistics; 0 before the first.
    #[must_use]
    pub fn lag_records(&self, group: &str, topic: &str) -> i64 {
        let label = GroupTopic {
            group: group.to_owned(),
            topic: topic.to_owned(),
        };
        self.lag_records.get(&label).map_or(0, |gauge| gauge.get())
    }

    pub(crate) fn count_transaction(&self, result: &'static str) {
        let label = TransactionResult { result };
        self.transactions.get_or_create(&label).inc();
    }

    fn register_consumer(&self, registry: &mut Registry) {
        registry.register(
            CONSUMED_RECORDS,
            "Records handed to the intake",
            self.consumed_records.clone(),
        );
        registry.register(
            CONSUMED_BYTES,
            "Bytes of records handed to the intake",
            self.consumed_bytes.clone(),
        );
        registry.register(
            ENDED_RECORDS,
            "Records whose ticket ended",
            self.ended_records.clone(),
        );
        registry.register(
            IN_FLIGHT_BYTES,
            "Bytes handed out and not ended",
            self.in_flight_bytes.clone(),
        );
        registry.register(
            IN_FLIGHT_RECORDS,
            "Records handed out and not ended",
            self.in_flight_records.clone(),
        );
        registry.register(
            PAUSES,
            "Pauses because the budget was spent",
            self.pauses.clone(),
        );
    }

    fn register_offsets(&self, registry: &mut Registry) {
        registry.register(
            ASSIGNED_PARTITIONS,
            "Partitions assigned",
            self.assigned_partitions.clone(),
        );
        registry.register(
            LAG_RECORDS,
            "Records not yet committed by the group",
            self.lag_records.clone(),
        );
        registry.register(
            LAG_SECONDS,
            "Age of the oldest record that is read and not finished",
            self.lag_seconds.clone(),
        );
        registry.register(
            DRAIN_ESTIMATE_SECONDS,
            "Time until nothing lags, at the pace of the last half minute",
            self.drain_estimate_seconds.clone(),
        );
        registry.register(
            OLDEST_UNFINISHED_SECONDS,
            "Age of the oldest unfinished record",
            self.oldest_unfinished_seconds.clone(),
        );
        registry.register(
            REBALANCES,
            "Changes of the assignment",
            self.rebalances.clone(),
        );
        registry.register(
            DRAIN_TIMEOUTS,
            "Drains that reached their deadline",
            self.drain_timeouts.clone(),
        );
        registry.register(COMMITS, "Offset commits", self.commits.clone());
    }

    fn register_others(&self, registry: &mut Registry) {
        registry.register(
            PRODUCED_RECORDS,
            "Records acknowledged or refused",
            self.produced_records.clone(),
        );
        registry.register(
            PRODUCED_BYTES,
            "Bytes accepted for sending",
            self.produced_bytes.clone(),
        );
        registry.register(
            PRODUCER_QUEUE_BYTES,
            "Bytes accepted and not acknowledged",
            self.producer_queue_bytes.clone(),
        );
        registry.register(
            PRODUCER_BUSY,
            "Records refused because the budget was spent",
            self.producer_busy.clone(),
        );
        registry.register(
            TRANSACTIONS,
            "Transactions ended",
            self.transactions.clone(),
        );
        registry.register(
            FOLLOWED_RECORDS,
            "Records read by followers",
            self.followed_records.clone(),
        );
        registry.register(
            CLIENT_ERRORS,
            "Errors reported by clients",
            self.client_errors.clone(),
        );
    }
}
