//! Topics, clients and waiting for the tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millrace_kafka::{
    Admin, Cluster, GroupConsumer, GroupSettings, Headers, Intake, IntakeError, Metrics, OutRecord,
    Producer, ProducerSettings, Record, StartAt, Ticket, TopicPartition, TopicSpec,
};

/// Longer than anything here takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn cluster() -> Cluster {
    let brokers = std::env::var("MILLRACE_KAFKA__BROKERS").expect(
        "these tests need a Kafka broker: set MILLRACE_KAFKA__BROKERS=host:port, \
         or run them through scripts/with-broker",
    );
    Cluster::at(brokers)
}

pub(crate) fn cluster_with(options: &[(&str, &str)]) -> Cluster {
    let mut cluster = cluster();
    for (key, value) in options {
        cluster
            .options
            .insert((*key).to_owned(), (*value).to_owned());
    }
    cluster
}

pub(crate) fn admin() -> Admin {
    Admin::connect(&cluster()).unwrap()
}

pub(crate) fn random_name(what: &str) -> String {
    format!("test.{what}.{}", uuid::Uuid::new_v4().simple())
}

pub(crate) fn new_topic(partitions: i32) -> String {
    new_topic_with(partitions, &[])
}

pub(crate) fn new_topic_with(partitions: i32, config: &[(&str, &str)]) -> String {
    let name = random_name("topic");
    let config: BTreeMap<String, String> = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let spec = TopicSpec {
        name: name.clone(),
        partitions,
        replication: 1,
        config,
    };
    admin().create_topics(&[spec]).unwrap();
    name
}

/// Waits until `condition` holds; panics with `what` when it never does.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn producer() -> Producer {
    let settings = ProducerSettings {
        cluster: cluster(),
        ..ProducerSettings::default()
    };
    Producer::start(&settings, &Metrics::default()).unwrap()
}

pub(crate) fn record(topic: &str, partition: i32, value: impl AsRef<[u8]>) -> OutRecord {
    OutRecord {
        topic: Arc::from(topic),
        partition: Some(partition),
        key: None,
        value: Some(value.as_ref().to_vec()),
        headers: Headers::new(),
    }
}

/// Writes `count` records with values 0, 1, … to each of the partitions and
/// waits for their acknowledgement.
pub(crate) fn fill(topic: &str, partitions: i32, count: usize) {
    let producer = producer();
    let delivered = Arc::new(AtomicUsize::new(0));
    for index in 0..count {
        for partition in 0..partitions {
            let delivered = Arc::clone(&delivered);
            let on_delivery = move |result: Result<_, _>| {
                result.unwrap();
                delivered.fetch_add(1, Ordering::SeqCst);
            };
            producer
                .send(record(topic, partition, index.to_string()), on_delivery)
                .unwrap();
        }
    }
    producer.stop(PATIENCE).unwrap();
    let expected = count * usize::try_from(partitions).unwrap();
    assert_eq!(delivered.load(Ordering::SeqCst), expected);
}

pub(crate) fn group_settings(group: &str, topic: &str) -> GroupSettings {
    GroupSettings {
        cluster: cluster(),
        group: group.to_owned(),
        topics: vec![topic.to_owned()],
        commit_interval: Duration::from_millis(50),
        ..GroupSettings::default()
    }
}

/// What a collecting intake does with tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tickets {
    /// Finishes each at once.
    Finish,
    /// Keeps them for the test.
    Hold,
    /// Keeps them, and finishes those that are about to be given up.
    HoldUntilRevoking,
}

/// What an intake has seen, shared with the test.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) sequences: Mutex<Vec<u64>>,
    pub(crate) tickets: Mutex<Vec<(i64, Ticket)>>,
    pub(crate) assigned: Mutex<Vec<TopicPartition>>,
    pub(crate) revoking: Mutex<Vec<TopicPartition>>,
    pub(crate) revoked: Mutex<Vec<TopicPartition>>,
    pub(crate) ticks: AtomicUsize,
    /// While the test holds it, the polling thread stands still in its tick.
    pub(crate) busy: Mutex<()>,
    pub(crate) longest_silence: Mutex<Duration>,
}

impl Seen {
    pub(crate) fn count(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    pub(crate) fn offsets(&self, partition: i32) -> Vec<i64> {
        let records = self.records.lock().unwrap();
        let of_partition = records
            .iter()
            .filter(|record| record.partition == partition);
        of_partition.map(|record| record.offset).collect()
    }

    pub(crate) fn held(&self) -> usize {
        self.tickets.lock().unwrap().len()
    }

    /// Finishes the held tickets whose offset is chosen.
    pub(crate) fn finish(&self, chosen: impl Fn(i64) -> bool) {
        let mut tickets = self.tickets.lock().unwrap();
        let all = std::mem::take(&mut *tickets);
        for (offset, ticket) in all {
            if chosen(offset) {
                ticket.done();
            } else {
                tickets.push((offset, ticket));
            }
        }
    }

    /// Partitions held now.
    pub(crate) fn owned(&self) -> usize {
        self.assigned.lock().unwrap().len() - self.revoked.lock().unwrap().len()
    }
}

pub(crate) struct Collector {
    pub(crate) seen: Arc<Seen>,
    pub(crate) tickets: Tickets,
    pub(crate) start: StartAt,
    last_tick: Instant,
}

impl Collector {
    pub(crate) fn new(tickets: Tickets) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let collector = Self {
            seen: Arc::clone(&seen),
            tickets,
            start: StartAt::Committed,
            last_tick: Instant::now(),
        };
        (collector, seen)
    }

    /// Starts a member that collects.
    pub(crate) fn start(settings: GroupSettings, tickets: Tickets) -> (GroupConsumer, Arc<Seen>) {
        let (collector, seen) = Self::new(tickets);
        let consumer = GroupConsumer::start(settings, collector, &Metrics::default()).unwrap();
        (consumer, seen)
    }
}

impl Intake for Collector {
    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<StartAt>, IntakeError> {
        self.seen
            .assigned
            .lock()
            .unwrap()
            .extend_from_slice(partitions);
        Ok(vec![self.start; partitions.len()])
    }

    fn record(&mut self, record: Record, ticket: Ticket) {
        assert_eq!(ticket.partition().partition, record.partition);
        let assigned = self.seen.assigned.lock().unwrap();
        assert!(assigned.contains(ticket.partition()), "never assigned");
        drop(assigned);
        self.seen.sequences.lock().unwrap().push(ticket.sequence());
        let offset = record.offset;
        self.seen.records.lock().unwrap().push(record);
        match self.tickets {
            Tickets::Finish => ticket.done(),
            _ => self.seen.tickets.lock().unwrap().push((offset, ticket)),
        }
    }

    fn revoking(&mut self, partitions: &[TopicPartition]) {
        self.seen
            .revoking
            .lock()
            .unwrap()
            .extend_from_slice(partitions);
        if self.tickets == Tickets::HoldUntilRevoking {
            self.seen.finish(|_| true);
        }
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        self.seen
            .revoked
            .lock()
            .unwrap()
            .extend_from_slice(partitions);
    }

    fn tick(&mut self) {
        drop(self.seen.busy.lock().unwrap());
        self.seen.ticks.fetch_add(1, Ordering::SeqCst);
        let mut longest = self.seen.longest_silence.lock().unwrap();
        *longest = longest.max(self.last_tick.elapsed());
        self.last_tick = Instant::now();
    }
}
