//! A line of its own per test: topics, records of results, sink processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use millrace_kafka::{
    Admin, Cluster, Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer,
    ProducerSettings, Record, TopicSpec,
};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Status, Tensor, encode_tensors};
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::Process;

pub(crate) const PARTITIONS: i32 = 3;
pub(crate) const LONG: Duration = Duration::from_secs(60);
const MODEL: &str = "digits";

/// Where a record is: partition and offset of the results topic.
pub(crate) type Place = (i32, i64);

/// What should be in the store for each place: the value of its one row, or `None` for a failure.
pub(crate) type Ledger = BTreeMap<Place, Option<i32>>;

pub(crate) struct Rig {
    pub(crate) prefix: String,
    pub(crate) folder: TempDir,
    /// When the table's transactions and the files are closed.
    pub(crate) rolls: [&'static str; 2],
    pub(crate) brokers: String,
    producer: Producer,
    ledger: Arc<Mutex<Ledger>>,
    sent: i32,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let rig = Self::without_dead_letters();
        rig.add_topic("dead-letters");
        rig
    }

    /// A line that cannot take dead letters until their topic is made.
    pub(crate) fn without_dead_letters() -> Self {
        let brokers = std::env::var("MILLRACE_KAFKA__BROKERS").unwrap_or_default();
        assert!(
            !brokers.is_empty(),
            "these tests need a Kafka broker: run them with scripts/with-broker, or set MILLRACE_KAFKA__BROKERS"
        );
        let prefix = format!("sink-{}", Uuid::new_v4().simple());
        let cluster = Cluster::at(&brokers);
        let admin = Admin::connect(&cluster).unwrap();
        admin.wait_for_broker(LONG).unwrap();
        let results = TopicSpec {
            name: format!("{prefix}.results.digits"),
            partitions: PARTITIONS,
            replication: 1,
            config: BTreeMap::new(),
        };
        admin.create_topics(&[results]).unwrap();
        let settings = ProducerSettings {
            cluster,
            ..ProducerSettings::default()
        };
        Self {
            producer: Producer::start(&settings, &Metrics::default()).unwrap(),
            prefix,
            folder: tempfile::tempdir().unwrap(),
            rolls: [
                r#"{ rows = 100, age = "20ms" }"#,
                r#"{ rows = 100, age = "100ms" }"#,
            ],
            brokers,
            ledger: Arc::default(),
            sent: 0,
        }
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}.results.{MODEL}", self.prefix)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("results.db")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Everything sent and acknowledged so far that should have a row.
    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap().clone()
    }

    /// Sends results of one row each, every tenth a failure, round robin over the partitions.
    pub(crate) fn send(&mut self, count: i32) {
        for _ in 0..count {
            let value = self.sent;
            self.sent += 1;
            let failed = value % 10 == 7;
            let record = self.result(value, if failed { Status::Internal } else { Status::Ok });
            let ledger = Arc::clone(&self.ledger);
            let row = (!failed).then_some(value);
            self.send_record(record, move |place| {
                ledger.lock().unwrap().insert(place, row);
            });
        }
    }

    /// Makes another topic of the line, with one partition.
    pub(crate) fn add_topic(&self, name: &str) {
        let admin = Admin::connect(&Cluster::at(&self.brokers)).unwrap();
        let topic = TopicSpec {
            name: format!("{}.{name}", self.prefix),
            partitions: 1,
            replication: 1,
            config: BTreeMap::new(),
        };
        admin.create_topics(&[topic]).unwrap();
    }

    /// Sends results to another topic of the line.
    pub(crate) fn send_to(&self, topic: &str, count: i32) {
        for value in 0..count {
            let mut record = self.result(value, Status::Ok);
            record.topic = format!("{}.{topic}", self.prefix).into();
            record.partition = Some(0);
            self.send_record(record, |_| {});
        }
    }

    /// Sends a record that cannot become rows.
    pub(crate) fn send_poison(&mut self) {
        let mut record = self.result(self.sent, Status::Ok);
        record.value = Some(b"not Arrow".to_vec());
        self.sent += 1;
        self.send_record(record, |_| {});
    }

    /// Sends a good result of several hundred kilobytes.
    pub(crate) fn send_large(&mut self) {
        let mut record = self.result(self.sent, Status::Ok);
        let bytes: Vec<u8> = (0..100_000u32)
            .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let y = Tensor::fixed("y", DType::Int32, vec![1, 100_000], bytes.into()).unwrap();
        record.value = Some(encode_tensors(&[y]).unwrap());
        self.sent += 1;
        self.send_record(record, |_| {});
    }

    /// Makes another topic of the line and answers its full name.
    pub(crate) fn new_topic(&self, name: &str, config: &[(&str, &str)]) -> String {
        let name = format!("{}.{name}", self.prefix);
        let config = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let spec = TopicSpec {
            name: name.clone(),
            partitions: 2,
            replication: 1,
            config: config.collect(),
        };
        let admin = Admin::connect(&Cluster::at(&self.brokers)).unwrap();
        admin.create_topics(&[spec]).unwrap();
        name
    }

    /// Waits until the broker has acknowledged all that was sent.
    pub(crate) fn wait_acknowledged(&self) {
        wait_until("the broker acknowledges", || {
            self.producer.in_flight_records() == 0
        });
    }

    /// Sends a result with these outputs, all in one partition so that they keep their order.
    pub(crate) fn send_outputs(&self, outputs: &[Tensor]) {
        let mut record = self.result(0, Status::Ok);
        record.value = Some(encode_tensors(outputs).unwrap());
        self.send_record(record, |_| {});
    }

    /// Sends the result of a request that failed.
    pub(crate) fn send_failure(&self) {
        self.send_record(self.result(0, Status::Internal), |_| {});
    }

    fn send_record(&self, record: OutRecord, acknowledged: impl FnOnce(Place) + Send + 'static) {
        let on_delivery = |result: Result<millrace_kafka::Delivered, _>| {
            let delivered = result.expect("the broker takes the record");
            acknowledged((delivered.partition, delivered.offset));
        };
        self.producer
            .send_blocking(record, on_delivery, LONG)
            .expect("the producer has room");
    }

    fn result(&self, value: i32, status: Status) -> OutRecord {
        let headers = ResultHeaders {
            id: format!("id-{value}"),
            model: MODEL.to_owned(),
            // Several versions answer by turns, so that rows go to several folders.
            version: Some(i64::from(1 + value % 7 % 2)),
            weights_sha256: None,
            status,
            error: (status != Status::Ok).then(|| "the model failed".to_owned()),
            source: Source {
                topic: format!("{}.requests.{MODEL}", self.prefix),
                partition: 0,
                offset: i64::from(value),
            },
        };
        let mut pairs = Headers::new();
        for (name, value) in headers.to_pairs() {
            pairs.push(name, Some(value));
        }
        let bytes = value.to_le_bytes().to_vec();
        let y = Tensor::fixed("y", DType::Int32, vec![1], bytes.into()).unwrap();
        OutRecord {
            topic: self.topic().into(),
            partition: Some(value % PARTITIONS),
            key: Some(format!("key-{value}").into_bytes()),
            value: (status == Status::Ok).then(|| encode_tensors(&[y]).unwrap()),
            headers: pairs,
        }
    }

    /// Starts a sink that writes to both stores; `extra` is TOML for the top of its settings.
    pub(crate) fn start(&self, extra: &str) -> Process {
        let pipelines = format!(
            r#"
            [[pipelines]]
            name = "table"
            models = ["{MODEL}"]
            destination = {{ type = "sqlite", path = "{database}" }}
            roll = {table_roll}
            [[pipelines]]
            name = "files"
            models = ["{MODEL}"]
            destination = {{ type = "files", url = "{files}" }}
            roll = {files_roll}
            "#,
            database = self.database().display(),
            files = self.files().display(),
            table_roll = self.rolls[0],
            files_roll = self.rolls[1],
        );
        self.start_with(extra, &pipelines)
    }

    /// Starts a sink with these pipelines, in TOML.
    pub(crate) fn start_with(&self, extra: &str, pipelines: &str) -> Process {
        let program = Command::new(env!("CARGO_BIN_EXE_millrace-sink"));
        self.start_by(program, extra, pipelines)
    }

    /// Starts a sink as the last part of a command, such as one that traces it.
    pub(crate) fn start_by(&self, mut command: Command, extra: &str, pipelines: &str) -> Process {
        let name = Uuid::new_v4().simple().to_string();
        let port_file = self.folder.path().join(format!("{name}.port"));
        let config = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            r#"
            {extra}
            [kafka]
            brokers = "{brokers}"
            [kafka.options]
            "session.timeout.ms" = "6000"
            "topic.metadata.refresh.interval.ms" = "1000"
            [topics]
            prefix = "{prefix}"
            [admin]
            listen = "127.0.0.1:0"
            port_file = "{port_file}"
            {pipelines}
            "#,
            brokers = self.brokers,
            prefix = self.prefix,
            port_file = port_file.display(),
        );
        fs::write(&config, text).unwrap();
        let child = command.arg("--config").arg(&config).spawn().unwrap();
        Process::new(child, port_file, config)
    }

    /// The dead letters of the line, as raw records, once there are at least `count`.
    pub(crate) fn dead_letters(&self, count: usize) -> Vec<Record> {
        self.records_of(&format!("{}.dead-letters", self.prefix), count)
    }

    /// The committed records of a topic, once there are at least `count`.
    pub(crate) fn records_of(&self, topic: &str, count: usize) -> Vec<Record> {
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let collect = Arc::clone(&records);
        let settings = FollowerSettings::whole_topic(Cluster::at(&self.brokers), topic.to_owned());
        let on_record = move |record| collect.lock().unwrap().push(record);
        let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
        wait_until(&format!("{count} records are in {topic}"), || {
            records.lock().unwrap().len() >= count
        });
        follower.wait_caught_up(LONG).unwrap();
        follower.stop(LONG).unwrap();
        records.lock().unwrap().clone()
    }

    /// Number of partitions of a topic, if it exists.
    pub(crate) fn partitions(&self, topic: &str) -> Option<usize> {
        let admin = Admin::connect(&Cluster::at(&self.brokers)).unwrap();
        admin.partition_count(topic).unwrap()
    }

    /// How many records the pipeline's group has not committed.
    pub(crate) fn lag(&self, pipeline: &str) -> i64 {
        let admin = Admin::connect(&Cluster::at(&self.brokers)).unwrap();
        let group = format!("{}.sink.{pipeline}", self.prefix);
        let partitions = admin.lag(&group, &self.topic()).unwrap();
        partitions.iter().map(|partition| partition.lag).sum()
    }
}

/// How often a test kills the sink; `make faults` asks for more.
pub(crate) fn kills() -> i32 {
    let asked = std::env::var("SINK_KILLS").ok();
    asked.map_or(5, |kills| kills.parse().expect("a number"))
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < LONG,
            "waited {LONG:?} in vain until {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}
