//! Acknowledgements: from librdkafka's events to the callbacks of records.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult as NativeResult, ProducerContext};
use rdkafka::{ClientContext, Statistics};
use tracing::error;

use crate::closing;
use crate::context::Context;
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::metrics::{Metrics, Topic, TopicResult};
use crate::quota::Quota;
use crate::sending::{Delivered, DeliveryError, DeliveryResult};

/// A delivery callback without its type, which comes back when the record is
/// refused after all.
pub(crate) trait Callback: Send {
    fn call(self: Box<Self>, result: DeliveryResult);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<F: FnOnce(DeliveryResult) + Send + 'static> Callback for F {
    fn call(self: Box<Self>, result: DeliveryResult) {
        self(result);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What is kept for a record until its acknowledgement.
pub(crate) struct Pending {
    /// Never locked: the mutex makes the callback `Sync`, as rdkafka asks.
    pub(crate) callback: Mutex<Box<dyn Callback>>,
    pub(crate) bytes: usize,
    pub(crate) topic: Arc<TopicCounters>,
}

/// Counters of one topic, looked up once per topic instead of per record.
pub(crate) struct TopicCounters {
    pub(crate) topic: Arc<str>,
    pub(crate) bytes: Counter,
    ok: Counter,
    poison: Counter,
    transient: Counter,
    fatal: Counter,
}

/// Called by librdkafka's events on the polling thread.
pub(crate) struct Deliveries {
    pub(crate) context: Context,
    pub(crate) quota: Quota,
    metrics: Metrics,
    topics: RwLock<Vec<Arc<TopicCounters>>>,
    fatal: OnceLock<Error>,
}

impl Deliveries {
    pub(crate) fn new(max_queue_bytes: usize, metrics: &Metrics) -> Self {
        Self {
            context: Context::new("producer", "", metrics),
            quota: Quota::new(max_queue_bytes),
            metrics: metrics.clone(),
            topics: RwLock::default(),
            fatal: OnceLock::new(),
        }
    }

    /// The error after which the client accepts nothing more, if it occurred.
    pub(crate) fn fatal(&self) -> Option<&Error> {
        self.fatal.get()
    }

    pub(crate) fn set_fatal(&self, error: Error) {
        // The first fatal error is the cause; later ones follow from it.
        let _ = self.fatal.set(error);
    }

    pub(crate) fn count_busy(&self) {
        self.metrics.producer_busy.inc();
    }

    pub(crate) fn publish_queue_bytes(&self) {
        let bytes = i64::try_from(self.quota.bytes()).unwrap_or(i64::MAX);
        self.metrics.producer_queue_bytes.set(bytes);
    }

    pub(crate) fn counters(&self, topic: &Arc<str>) -> Arc<TopicCounters> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let same =
            |known: &&Arc<TopicCounters>| Arc::ptr_eq(&known.topic, topic) || known.topic == *topic;
        if let Some(known) = topics.iter().find(same) {
            return Arc::clone(known);
        }
        drop(topics);
        let counters = Arc::new(TopicCounters::new(topic, &self.metrics));
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.push(Arc::clone(&counters));
        counters
    }
}

impl TopicCounters {
    fn new(topic: &Arc<str>, metrics: &Metrics) -> Self {
        let result = |result| {
            let label = TopicResult {
                topic: topic.to_string(),
                result,
            };
            metrics.produced_records.get_or_create_owned(&label)
        };
        let label = Topic {
            topic: topic.to_string(),
        };
        Self {
            topic: Arc::clone(topic),
            bytes: metrics.produced_bytes.get_or_create_owned(&label),
            ok: result("ok"),
            poison: result("poison"),
            transient: result("transient"),
            fatal: result("fatal"),
        }
    }

    fn count(&self, result: &DeliveryResult) {
        let counter = match result {
            Ok(_) => &self.ok,
            Err(error) => match error.failure {
                Failure::Poison => &self.poison,
                Failure::Transient => &self.transient,
                Failure::Fatal => &self.fatal,
            },
        };
        counter.inc();
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.set_fatal(Error::kafka(
                format!("the producer failed ({reason})"),
                error.clone(),
            ));
        }
        self.context.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.context.stats(statistics);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, native: &NativeResult<'_>, pending: Box<Pending>) {
        let Pending {
            callback,
            bytes,
            topic,
        } = *pending;
        let result = match native {
            Ok(message) => Ok(Delivered {
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((source, _)) => Err(DeliveryError {
                topic: Arc::clone(&topic.topic),
                failure: failure::classify(source),
                source: source.clone(),
            }),
        };
        if let Err(failed) = &result
            && failed.source.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
        {
            self.set_fatal(Error::kafka("producing", failed.source.clone()));
        }
        topic.count(&result);
        self.quota.give_back(bytes);
        let callback = callback
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        // A callback that panics must not take the acknowledgements of other
        // records with it.
        let called = catch_unwind(AssertUnwindSafe(|| callback.call(result)));
        if let Err(panic) = called {
            let message = closing::message_of(&*panic);
            error!(topic = %topic.topic, message, "a delivery callback panicked");
        }
    }
}
