//! What librdkafka tells us beside records: errors, log lines, statistics and
//! changes of the assignment.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tracing::{debug, info, warn};

use crate::failure;
use crate::metrics::{ClientFailure, GroupTopic, Metrics};

/// How often librdkafka reports statistics: readiness follows a broker that
/// came back within this time.
pub(crate) const STATISTICS_INTERVAL_MS: &str = "1000";

/// A change of the assignment, to be answered by the polling thread.
pub(crate) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// Shared by a client and the thread that polls it.
pub(crate) struct Context {
    client: &'static str,
    group: String,
    metrics: Metrics,
    connected: AtomicBool,
    broker_down: AtomicBool,
    last_reason: Mutex<String>,
    rebalances: Mutex<VecDeque<Rebalance>>,
}

impl Context {
    /// `client` names the kind of client in logs and metrics; `group` is empty
    /// for clients without one.
    pub(crate) fn new(client: &'static str, group: &str, metrics: &Metrics) -> Self {
        Self {
            client,
            group: group.to_owned(),
            metrics: metrics.clone(),
            connected: AtomicBool::new(false),
            broker_down: AtomicBool::new(false),
            last_reason: Mutex::default(),
            rebalances: Mutex::default(),
        }
    }

    /// Whether a broker has answered yet.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether all brokers were lost and none has come back.
    pub(crate) fn is_broker_down(&self) -> bool {
        self.broker_down.load(Ordering::Relaxed)
    }

    pub(crate) fn next_rebalance(&self) -> Option<Rebalance> {
        let mut rebalances = self
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rebalances.pop_front()
    }

    /// librdkafka's own words about the last error that it reported.
    pub(crate) fn last_reason(&self) -> String {
        let reason = self.last_reason.lock();
        reason.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts and logs an error that a client reported.
    pub(crate) fn report(&self, error: &KafkaError, reason: &str) {
        let failure = failure::classify(error);
        let label = ClientFailure {
            client: self.client,
            failure: failure.name(),
        };
        self.metrics.client_errors.get_or_create(&label).inc();
        warn!(
            client = self.client,
            group = self.group,
            failure = failure.name(),
            reason,
            "{error}{}",
            failure::advice_suffix(error)
        );
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.client;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                warn!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Notice => info!(target: "librdkafka", client, facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                debug!(target: "librdkafka", client, facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The end of a partition is news, not an error.
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            // Said again at every attempt to connect, dozens of times a second.
            Some(RDKafkaErrorCode::AllBrokersDown)
                if self.broker_down.swap(true, Ordering::Relaxed) =>
            {
                return;
            }
            _ => {}
        }
        let mut last = self
            .last_reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reason.clone_into(&mut last);
        drop(last);
        self.report(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics
            .brokers
            .values()
            .any(|broker| broker.state == "UP");
        if up {
            self.connected.store(true, Ordering::Relaxed);
            self.broker_down.store(false, Ordering::Relaxed);
        }
        if self.group.is_empty() {
            return;
        }
        for topic in statistics.topics.values() {
            // -1 stands for partitions whose lag is not known or not ours.
            let known = topic
                .partitions
                .values()
                .map(|partition| partition.consumer_lag);
            let lag: i64 = known.filter(|lag| *lag > 0).sum();
            let label = GroupTopic {
                group: self.group.clone(),
                topic: topic.topic.clone(),
            };
            self.metrics.lag_records.get_or_create(&label).set(lag);
        }
    }
}

impl ConsumerContext for Context {
    /// Only notes the change. librdkafka waits until the partitions are
    /// assigned or unassigned, which the polling thread does once the intake
    /// has been asked; meanwhile it polls on.
    fn rebalance(
        &self,
        _consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let change = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                Rebalance::Assign(partitions.clone())
            }
            _ => Rebalance::Revoke(partitions.clone()),
        };
        let mut rebalances = self
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rebalances.push_back(change);
    }
}
