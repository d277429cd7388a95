//! The plain loop that the benchmark holds `millrace-infer` against: consume a record, produce its key and value to
//! another topic, nothing else. No model, no order of completion, no drain, offsets committed by librdkafka's timer.
//!
//! It reads and writes with the options that this crate gives its own clients.
//! Usage: `echo BROKERS FROM TO COUNT BYTES`; of each value only the first BYTES are written.
//! After COUNT acknowledged records it says so on its standard output; it ends when its standard input is closed.

#![allow(
    clippy::print_stdout,
    reason = "whoever started this program reads what it prints"
)]

use std::env;
use std::error::Error;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message};

/// Deliveries are served once in so many records: serving an empty queue costs as much as copying a record.
const RECORDS_PER_POLL: u64 = 64;

struct Arguments {
    brokers: String,
    from: String,
    to: String,
    count: u64,
    bytes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::from_command_line()?;
    println!("librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let consumer = consumer(&arguments)?;
    let producer = producer(&arguments.brokers, &acknowledged)?;
    echo(&consumer, &producer, &arguments)?;
    while acknowledged.load(Ordering::Relaxed) < arguments.count {
        producer.poll(Duration::from_millis(1));
    }
    println!("done");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Gives back when everything is sent, not yet acknowledged.
fn echo(
    consumer: &BaseConsumer,
    producer: &BaseProducer<Deliveries>,
    arguments: &Arguments,
) -> Result<(), Box<dyn Error>> {
    let mut sent = 0;
    while sent < arguments.count {
        if let Some(message) = consumer.poll(Duration::from_millis(10)) {
            send(producer, arguments, &message?)?;
            sent += 1;
            if !sent.is_multiple_of(RECORDS_PER_POLL) {
                continue;
            }
        }
        producer.poll(Duration::ZERO);
    }
    Ok(())
}

fn send(
    producer: &BaseProducer<Deliveries>,
    arguments: &Arguments,
    message: &BorrowedMessage<'_>,
) -> Result<(), KafkaError> {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&arguments.to);
    record.key = message.key();
    record.payload = message
        .payload()
        .map(|value| &value[..value.len().min(arguments.bytes)]);
    while let Err((error, unsent)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error);
        }
        producer.poll(Duration::from_millis(1));
        record = unsent;
    }
    Ok(())
}

impl Arguments {
    fn from_command_line() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let [brokers, from, to, count, bytes] = arguments.as_slice() else {
            return Err("usage: echo BROKERS FROM TO COUNT BYTES".into());
        };
        Ok(Self {
            brokers: brokers.clone(),
            from: from.clone(),
            to: to.clone(),
            count: count.parse()?,
            bytes: bytes.parse()?,
        })
    }
}

fn consumer(arguments: &Arguments) -> Result<BaseConsumer, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("group.id", format!("echo.{}", arguments.to))
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.message.max.bytes", (1 << 20).to_string())
        .set("fetch.max.bytes", (16 << 20).to_string())
        .create()?;
    consumer.subscribe(&[&arguments.from])?;
    Ok(consumer)
}

fn producer(
    brokers: &str,
    acknowledged: &Arc<AtomicU64>,
) -> Result<BaseProducer<Deliveries>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .set("message.max.bytes", (16 << 20).to_string())
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", (64 << 10).to_string())
        .set("socket.nagle.disable", "true")
        .create_with_context(Deliveries(Arc::clone(acknowledged)))
}

/// Counts acknowledged records; a refused one ends the program, since the measurement would be void.
struct Deliveries(Arc<AtomicU64>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => panic!("a record was not delivered: {error}"),
        };
    }
}
