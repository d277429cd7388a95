//! Writing records to a test's topics and reading topics back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_kafka::{
    Cluster, Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer, ProducerSettings,
    Record,
};
use prometheus_client::registry::Registry;

use crate::line::{Line, PATIENCE};
use crate::wait::wait_for;

/// Writes records to one topic and knows how many the broker has acknowledged.
pub struct Feed {
    producer: Producer,
    topic: Arc<str>,
    sent: AtomicUsize,
    acknowledged: Arc<AtomicUsize>,
}

impl Feed {
    /// A producer for a topic of the line, for example `requests.digits`.
    pub fn new(line: &Line, topic: &str) -> Self {
        let settings = ProducerSettings {
            cluster: cluster(line),
            ..ProducerSettings::default()
        };
        let producer = Producer::start(&settings, &metrics()).expect("a producer starts");
        Self {
            producer,
            topic: line.topic(topic).into(),
            sent: AtomicUsize::new(0),
            acknowledged: Arc::default(),
        }
    }

    /// Writes one record to a partition, or to any partition.
    pub fn send(&self, partition: Option<i32>, value: Option<Vec<u8>>, headers: &[(&str, &str)]) {
        self.write((partition, None), value, headers);
    }

    /// Writes one record with a key, which says its partition.
    pub fn send_keyed(&self, key: &str, value: Option<Vec<u8>>, headers: &[(&str, &str)]) {
        self.write((None, Some(key.as_bytes().to_vec())), value, headers);
    }

    fn write(
        &self,
        (partition, key): (Option<i32>, Option<Vec<u8>>),
        value: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) {
        let mut record_headers = Headers::default();
        for (name, value) in headers {
            record_headers.push((*name).to_owned(), Some(value.as_bytes().to_vec()));
        }
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition,
            key,
            value,
            headers: record_headers,
        };
        let acknowledged = Arc::clone(&self.acknowledged);
        let count = move |outcome: Result<_, _>| {
            outcome.expect("the broker takes the record");
            acknowledged.fetch_add(1, Ordering::Relaxed);
        };
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.producer
            .send_blocking(record, count, PATIENCE)
            .expect("the producer takes the record");
    }

    /// Waits until everything sent so far is acknowledged.
    pub fn flush(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        wait_for(PATIENCE, &format!("{sent} acknowledgements"), || {
            (self.acknowledged.load(Ordering::Relaxed) >= sent).then_some(())
        });
    }
}

/// Everything that has been written to a topic, in the order of its partitions.
pub struct Tap {
    records: Arc<Mutex<Vec<Record>>>,
    topic: String,
    _follower: Follower,
}

impl Tap {
    /// Reads a topic of the line from its beginning, and goes on reading.
    pub fn open(line: &Line, topic: &str) -> Self {
        let topic = line.topic(topic);
        let records = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&records);
        let settings = FollowerSettings::whole_topic(cluster(line), &topic);
        let keep = move |record| sink.lock().expect("no reader panics").push(record);
        let follower = Follower::start(settings, keep, &metrics()).expect("a follower starts");
        Self {
            records,
            topic,
            _follower: follower,
        }
    }

    /// What has been read so far.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().expect("no writer panics").clone()
    }

    /// How many have been read so far.
    pub fn count(&self) -> usize {
        self.records.lock().expect("no writer panics").len()
    }

    /// Waits for at least this many records.
    pub fn wait_for(&self, count: usize) -> Vec<Record> {
        self.wait_within(PATIENCE, count)
    }

    /// Waits so long for at least this many records.
    pub fn wait_within(&self, deadline: Duration, count: usize) -> Vec<Record> {
        wait_for(
            deadline,
            &format!("{count} records in {}", self.topic),
            || (self.count() >= count).then_some(()),
        );
        self.records()
    }
}

/// The first header of this name, as text.
pub fn header<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    std::str::from_utf8(record.headers.get_first(name)?).ok()
}

fn cluster(line: &Line) -> Cluster {
    Cluster {
        brokers: line.brokers().to_owned(),
        ..Cluster::default()
    }
}

fn metrics() -> Metrics {
    Metrics::register(&mut Registry::default())
}
