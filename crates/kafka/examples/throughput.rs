//! Measures this crate against a real broker: produce, consume, and consume
//! to produce, for records of a given size.
//!
//! `MILLRACE_KAFKA__BROKERS=host:port cargo run --release -p millrace-kafka
//! --example throughput -- RECORDS BYTES…`
#![expect(clippy::print_stdout, reason = "a report for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millrace_kafka::{
    Admin, Cluster, Compression, DeliveryResult, GroupConsumer, GroupSettings, Headers, Intake,
    IntakeError, Metrics, OutRecord, Producer, ProducerSettings, Record, StartAt, Ticket,
    TopicPartition, TopicSpec,
};

const PATIENCE: Duration = Duration::from_secs(300);
const PARTITIONS: i32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::var("MILLRACE_KAFKA__BROKERS")?;
    let cluster = Cluster::at(brokers);
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().ok_or("how many records?")?.parse()?;
    println!("{:?}", Admin::connect(&cluster)?.describe()?);
    for bytes in arguments {
        measure(&cluster, count, bytes.parse()?)?;
    }
    Ok(())
}

fn measure(cluster: &Cluster, count: usize, bytes: usize) -> Result<(), Box<dyn Error>> {
    let run = format!("bench-{}-{bytes}", std::process::id());
    let (source, target) = (format!("{run}.source"), format!("{run}.target"));
    let specs = [&source, &target].map(|name| TopicSpec {
        name: name.clone(),
        partitions: PARTITIONS,
        replication: 1,
        config: BTreeMap::new(),
    });
    let admin = Admin::connect(cluster)?;
    admin.create_topics(&specs)?;

    let produced = Measured::of(|| produce(cluster, &source, count, bytes))?;
    produced.print("produce", count, bytes);
    let consumed = Measured::of(|| consume(cluster, &source, count, None))?;
    consumed.print("consume", count, bytes);
    let producer = start_producer(cluster)?;
    let echo = Echo {
        producer: producer.clone(),
        topic: Arc::from(target.as_str()),
    };
    let echoed = Measured::of(|| consume(cluster, &source, count, Some(echo)))?;
    echoed.print("echo", count, bytes);
    producer.stop(PATIENCE)?;
    admin.delete_topics(&[&source, &target])?;
    Ok(())
}

struct Measured {
    wall: Duration,
    processor: Duration,
}

impl Measured {
    fn of(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Self, Box<dyn Error>> {
        let (wall, processor) = (Instant::now(), processor_time()?);
        work()?;
        Ok(Self {
            wall: wall.elapsed(),
            processor: processor_time()? - processor,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a report for people")]
    fn print(&self, what: &str, count: usize, bytes: usize) {
        let rate = count as f64 / self.wall.as_secs_f64();
        println!(
            "{what:8} {count} x {bytes} B: {:.0} records/s, {:.1} MB/s, {:.2} us wall and {:.2} us CPU per record",
            rate,
            rate * bytes as f64 / 1e6,
            self.wall.as_secs_f64() * 1e6 / count as f64,
            self.processor.as_secs_f64() * 1e6 / count as f64,
        );
    }
}

/// User and system time of this process, in ticks of 10 ms.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text
        .rsplit(')')
        .next()
        .ok_or("unexpected /proc/self/stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap_or(0))
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn start_producer(cluster: &Cluster) -> Result<Producer, Box<dyn Error>> {
    let settings = ProducerSettings {
        cluster: cluster.clone(),
        compression: Compression::None,
        ..ProducerSettings::default()
    };
    Ok(Producer::start(&settings, &Metrics::default())?)
}

fn produce(
    cluster: &Cluster,
    topic: &str,
    count: usize,
    bytes: usize,
) -> Result<(), Box<dyn Error>> {
    let producer = start_producer(cluster)?;
    let topic: Arc<str> = Arc::from(topic);
    let value: Vec<u8> = (0..=255).cycle().take(bytes).collect();
    let mut sending = Duration::ZERO;
    for partition in (0..PARTITIONS).cycle().take(count) {
        let record = OutRecord {
            topic: Arc::clone(&topic),
            partition: Some(partition),
            key: None,
            value: Some(value.clone()),
            headers: Headers::new(),
        };
        let begin = Instant::now();
        let sent = producer.send(record, |result: DeliveryResult| {
            result.expect("delivered");
        });
        sending += begin.elapsed();
        if let Err(busy) = sent {
            producer
                .send_blocking(busy.record, busy.on_delivery, PATIENCE)
                .map_err(|not_sent| not_sent.reason)?;
        }
    }
    println!(
        "         send itself: {:.2} us per record",
        sending.as_secs_f64() * 1e6 / f64::from(u32::try_from(count)?)
    );
    Ok(producer.stop(PATIENCE)?)
}

struct Echo {
    producer: Producer,
    topic: Arc<str>,
}

fn consume(
    cluster: &Cluster,
    topic: &str,
    count: usize,
    echo: Option<Echo>,
) -> Result<(), Box<dyn Error>> {
    let kind = if echo.is_some() { "echo" } else { "consume" };
    let finished = Arc::new(AtomicUsize::new(0));
    let intake = Counter {
        finished: Arc::clone(&finished),
        echo,
    };
    let settings = GroupSettings {
        cluster: cluster.clone(),
        group: format!("{topic}.{kind}"),
        topics: vec![topic.to_owned()],
        max_in_flight_bytes: 32 << 20,
        ..GroupSettings::default()
    };
    let consumer = GroupConsumer::start(settings, intake, &Metrics::default())?;
    let until = Instant::now() + PATIENCE;
    while finished.load(Ordering::Relaxed) < count && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(consumer.stop(PATIENCE)?)
}

struct Counter {
    finished: Arc<AtomicUsize>,
    echo: Option<Echo>,
}

impl Intake for Counter {
    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<StartAt>, IntakeError> {
        Ok(vec![StartAt::Committed; partitions.len()])
    }

    fn record(&mut self, record: Record, ticket: Ticket) {
        let Some(echo) = &self.echo else {
            ticket.done();
            self.finished.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let answer = OutRecord {
            topic: Arc::clone(&echo.topic),
            partition: Some(record.partition),
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let finished = Arc::clone(&self.finished);
        let on_delivery = move |result: DeliveryResult| {
            result.expect("delivered");
            ticket.done();
            finished.fetch_add(1, Ordering::Relaxed);
        };
        echo.producer
            .send(answer, on_delivery)
            .expect("the consumer's budget is below the producer's");
    }

    fn revoking(&mut self, _partitions: &[TopicPartition]) {}

    fn revoked(&mut self, _partitions: &[TopicPartition]) {}

    fn tick(&mut self) {}
}
