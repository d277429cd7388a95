//! The producer's inside: librdkafka's producer and the thread that polls it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use tokio::sync::watch;
use tracing::warn;

use crate::closing;
use crate::deliveries::{Deliveries, Pending};
use crate::error::Error;
use crate::failure;
use crate::group::Control;
use crate::metrics::Metrics;
use crate::producer::ProducerSettings;
use crate::record::OutRecord;
use crate::sending::{DeliveryResult, NotSent, SendError};
use crate::state::{self, State};

/// `BaseProducer::poll` of rdkafka 0.39 serves events for exactly this long
/// and never returns earlier, so it bounds how late a stop is noticed. It rounds
/// what is left down to whole milliseconds and spends the last one spinning: at
/// 20 ms an idle producer took 5 % of a core.
const POLL: Duration = Duration::from_millis(100);

/// How long the records of a producer that nobody holds any more are retried.
const LET_GO_DEADLINE: Duration = Duration::from_secs(30);

/// How long librdkafka may take to report the records that were given up.
const PURGE_DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct Outbox {
    client: BaseProducer<Deliveries>,
    max_record_bytes: usize,
    stopping: AtomicBool,
    control: Control,
    ended: OnceLock<Receiver<Result<(), Error>>>,
    outcome: Mutex<Option<Result<(), Error>>>,
}

impl Outbox {
    pub(crate) fn start(
        settings: &ProducerSettings,
        config: ClientConfig,
        metrics: &Metrics,
    ) -> Result<(Arc<Self>, watch::Receiver<State>), Error> {
        let deliveries = Deliveries::new(settings.max_queue_bytes, metrics);
        let client = config
            .create_with_context(deliveries)
            .map_err(|source| Error::Settings {
                client: "producer",
                source,
            })?;
        let outbox = Arc::new(Self {
            client,
            max_record_bytes: settings.max_record_bytes,
            stopping: AtomicBool::new(false),
            control: Control::default(),
            ended: OnceLock::new(),
            outcome: Mutex::default(),
        });
        let (sender, states) = watch::channel(State::Starting);
        let ended = closing::spawn("produce", {
            let outbox = Arc::clone(&outbox);
            move || outbox.run(&sender)
        })?;
        outbox.ended.get_or_init(|| ended);
        Ok((outbox, states))
    }

    pub(crate) fn send<F>(&self, record: OutRecord, on_delivery: F) -> Result<(), Box<NotSent<F>>>
    where
        F: FnOnce(DeliveryResult) + Send + 'static,
    {
        let bytes = record.size_bytes();
        if let Err(reason) = self.admit(bytes) {
            return Err(Box::new(NotSent {
                record,
                on_delivery,
                reason,
            }));
        }
        let counters = self.deliveries().counters(&record.topic);
        let pending = Box::new(Pending {
            callback: Mutex::new(Box::new(on_delivery)),
            bytes,
            topic: Arc::clone(&counters),
        });
        match self.hand_over(&record, pending) {
            Ok(()) => {
                counters.bytes.inc_by(bytes as u64);
                Ok(())
            }
            Err((source, pending)) => {
                self.deliveries().quota.give_back(bytes);
                Err(Box::new(NotSent {
                    record,
                    on_delivery: callback_of(*pending),
                    reason: self.reason_of(source, bytes),
                }))
            }
        }
    }

    /// Takes the record's bytes from the budget, or says why not.
    fn admit(&self, bytes: usize) -> Result<(), SendError> {
        if let Some(error) = self.deliveries().fatal() {
            return Err(SendError::Fatal(error.clone()));
        }
        if self.stopping.load(Ordering::Acquire) {
            return Err(SendError::Stopping);
        }
        if bytes > self.max_record_bytes {
            return Err(self.too_large(bytes));
        }
        if !self.deliveries().quota.try_take(bytes) {
            self.deliveries().count_busy();
            return Err(SendError::Busy);
        }
        Ok(())
    }

    fn hand_over(
        &self,
        record: &OutRecord,
        pending: Box<Pending>,
    ) -> Result<(), (KafkaError, Box<Pending>)> {
        let native = BaseRecord {
            topic: &record.topic,
            partition: record.partition,
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: None,
            headers: record.headers.to_native(),
            delivery_opaque: pending,
        };
        self.client
            .send(native)
            .map_err(|(error, native)| (error, native.delivery_opaque))
    }

    fn reason_of(&self, source: KafkaError, bytes: usize) -> SendError {
        match source.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => SendError::Busy,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => self.too_large(bytes),
            Some(RDKafkaErrorCode::Fatal) => {
                let error = Error::kafka("producing", source);
                self.deliveries().set_fatal(error.clone());
                SendError::Fatal(error)
            }
            _ => SendError::Refused {
                failure: failure::classify(&source),
                source,
            },
        }
    }

    fn too_large(&self, size_bytes: usize) -> SendError {
        SendError::TooLarge {
            size_bytes,
            limit_bytes: self.max_record_bytes,
        }
    }

    /// Waits until the record would fit into the budget.
    pub(crate) fn wait_for_room(&self, record: &OutRecord, until: Instant) -> bool {
        let quota = &self.deliveries().quota;
        quota.wait_for_room(record.size_bytes(), until)
    }

    pub(crate) fn in_flight_records(&self) -> usize {
        self.deliveries().quota.records()
    }

    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.deliveries().quota.bytes()
    }

    fn deliveries(&self) -> &Deliveries {
        self.client.client().context()
    }

    /// Nobody can send any more: deliver what there is and end.
    pub(crate) fn let_go(&self) {
        self.stopping.store(true, Ordering::Release);
        self.control.stop_by(Instant::now() + LET_GO_DEADLINE);
    }

    pub(crate) fn stop(&self, deadline: Duration) -> Result<(), Error> {
        self.stopping.store(true, Ordering::Release);
        self.control.stop_by(Instant::now() + deadline);
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = &*outcome {
            return outcome.clone();
        }
        let grace = PURGE_DEADLINE + Duration::from_secs(1);
        let result = self
            .ended
            .get()
            .and_then(|ended| ended.recv_timeout(deadline + grace).ok())
            .unwrap_or_else(|| {
                Err(Error::TimedOut {
                    what: "stopping the producer".to_owned(),
                    waited: deadline,
                })
            });
        *outcome = Some(result.clone());
        result
    }

    /// The polling thread.
    fn run(&self, states: &watch::Sender<State>) -> Result<(), Error> {
        let deadline = loop {
            self.client.poll(POLL);
            self.deliveries().publish_queue_bytes();
            self.announce(states);
            if let Some(deadline) = self.control.stop_at() {
                break deadline;
            }
        };
        state::announce(states, State::Stopping);
        while self.in_flight_records() > 0 && Instant::now() < deadline {
            self.client.poll(Duration::from_millis(1));
        }
        let result = self.purge();
        self.deliveries().publish_queue_bytes();
        state::announce(states, State::Stopped);
        result
    }

    /// Ends what is still unacknowledged; every callback is called.
    fn purge(&self) -> Result<(), Error> {
        let count = self.in_flight_records();
        if count == 0 {
            return Ok(());
        }
        warn!(count, "records were not acknowledged before the deadline");
        self.client.purge(PurgeConfig::default().queue().inflight());
        let until = Instant::now() + PURGE_DEADLINE;
        while self.in_flight_records() > 0 && Instant::now() < until {
            self.client.poll(Duration::from_millis(1));
        }
        Err(Error::Undelivered { count })
    }

    fn announce(&self, states: &watch::Sender<State>) {
        let deliveries = self.deliveries();
        let next = if let Some(error) = deliveries.fatal() {
            State::Failed(error.clone())
        } else if deliveries.context.is_broker_down() {
            State::BrokerDown
        } else if deliveries.context.is_connected() {
            State::Running { partitions: 0 }
        } else {
            return;
        };
        state::announce(states, next);
    }
}

/// The callback of a record that librdkafka refused, with its type again.
fn callback_of<F: 'static>(pending: Pending) -> F {
    let callback = pending
        .callback
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let callback = callback.into_any().downcast::<F>();
    *callback.expect("send has just boxed a callback of this very type")
}
