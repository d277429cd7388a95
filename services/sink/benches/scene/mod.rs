//! What the benchmarks share: a backlog of results in Kafka, a sink that drains it, and the clocks.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use millrace_kafka::{
    Admin, Cluster, Headers, Metrics, OutRecord, Producer, ProducerSettings, TopicSpec,
};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Status, Tensor, encode_tensors};

pub(crate) const LONG: Duration = Duration::from_secs(600);
pub(crate) const ROUNDS: usize = 3;
const PARTITIONS: i32 = 3;

/// Results that wait in a topic of their own.
pub(crate) struct Backlog {
    pub(crate) brokers: String,
    pub(crate) prefix: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) records: u64,
    pub(crate) scores: u64,
}

/// What one run took.
pub(crate) struct Measured {
    pub(crate) rows_per_second: f64,
    pub(crate) cpu_us_per_row: f64,
}

/// The number after a flag.
pub(crate) fn option(flag: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag);
    arguments
        .nth(1)
        .map_or(default, |number| number.parse().unwrap())
}

impl Backlog {
    /// Fills a topic with this many results of this many scores each, and a label.
    pub(crate) fn new(records: u64, scores: u64) -> Self {
        let brokers =
            std::env::var("MILLRACE_KAFKA__BROKERS").expect("run it with scripts/with-broker");
        let backlog = Self {
            brokers,
            prefix: format!("bench-{}", uuid::Uuid::new_v4().simple()),
            folder: tempfile::tempdir().unwrap(),
            records,
            scores,
        };
        backlog.fill();
        backlog
    }

    pub(crate) fn topic(&self) -> String {
        format!("{}.results.digits", self.prefix)
    }

    fn fill(&self) {
        let cluster = Cluster::at(&self.brokers);
        let admin = Admin::connect(&cluster).unwrap();
        let topic = |name: String, partitions| TopicSpec {
            name,
            partitions,
            replication: 1,
            config: BTreeMap::new(),
        };
        let letters = topic(format!("{}.dead-letters", self.prefix), 1);
        admin
            .create_topics(&[topic(self.topic(), PARTITIONS), letters])
            .unwrap();
        let settings = ProducerSettings {
            cluster,
            ..ProducerSettings::default()
        };
        let producer = Producer::start(&settings, &Metrics::default()).unwrap();
        let name = self.topic().into();
        for (index, partition) in (0..self.records).zip((0..PARTITIONS).cycle()) {
            let record = self.result(&name, index, partition);
            let delivered = |result: Result<_, _>| {
                result.expect("the broker takes it");
            };
            producer
                .send_blocking(record, delivered, LONG)
                .expect("there is room");
        }
        while producer.in_flight_records() > 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn result(&self, topic: &Arc<str>, index: u64, partition: i32) -> OutRecord {
        let headers = ResultHeaders {
            id: format!("{index:032x}"),
            model: "digits".to_owned(),
            version: Some(1),
            weights_sha256: None,
            status: Status::Ok,
            error: None,
            source: Source {
                topic: "mill.requests.digits".to_owned(),
                partition,
                offset: i64::try_from(index).unwrap(),
            },
        };
        let mut pairs = Headers::new();
        for (name, value) in headers.to_pairs() {
            pairs.push(name, Some(value));
        }
        OutRecord {
            topic: Arc::clone(topic),
            partition: Some(partition),
            key: None,
            value: Some(encode_tensors(&self.tensors(index)).unwrap()),
            headers: pairs,
        }
    }

    fn tensors(&self, index: u64) -> [Tensor; 2] {
        let scores: Vec<u8> = (0..self.scores)
            .flat_map(|place| noise(index * self.scores + place).to_le_bytes())
            .collect();
        let shape = vec![1, usize::try_from(self.scores).unwrap()];
        let label = (index % 10).to_le_bytes().to_vec();
        [
            Tensor::fixed("scores", DType::Float32, shape, scores.into()).unwrap(),
            Tensor::fixed("label", DType::Int64, vec![1], label.into()).unwrap(),
        ]
    }

    /// Starts a sink with one pipeline of this name; `rest` is the rest of its settings.
    pub(crate) fn start(&self, name: &str, rest: &str) -> Sink {
        let port_file = self.folder.path().join(format!("{name}.port"));
        let config = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            "[kafka]\nbrokers = {:?}\n[topics]\nprefix = {:?}\n[telemetry.log]\nlevel = \"warn\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\nport_file = {port_file:?}\n\
             [[pipelines]]\nname = {name:?}\nmodels = [\"digits\"]\n{rest}\n",
            self.brokers, self.prefix
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-sink"));
        let child = command.arg("--config").arg(config).spawn().unwrap();
        Sink { child, port_file }
    }

    /// Waits until the sink has written all. Counts from the first rows that it has.
    pub(crate) fn drain(&self, sink: &Sink) -> Measured {
        let (begun, first, cpu_before) = loop {
            let rows = sink.rows();
            if rows > 0 {
                break (Instant::now(), rows, cpu_of(sink.id()));
            }
            thread::sleep(Duration::from_millis(10));
        };
        while sink.rows() < self.records {
            assert!(begun.elapsed() < LONG, "the sink is stuck");
            thread::sleep(Duration::from_millis(50));
        }
        let (elapsed, cpu) = (begun.elapsed(), cpu_of(sink.id()) - cpu_before);
        measured(self.records - first, elapsed, cpu)
    }
}

/// A running sink; killed when dropped.
pub(crate) struct Sink {
    child: Child,
    port_file: PathBuf,
}

impl Sink {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Rows that are written so far, by the metrics page.
    fn rows(&self) -> u64 {
        let page = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(fs::read_to_string(&self.port_file)?.trim())?;
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        };
        let page = page().unwrap_or_default();
        let line = page
            .lines()
            .find(|line| line.starts_with("millrace_sink_rows_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number from 0 to 1 that does not compress.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
fn noise(seed: u64) -> f32 {
    let mixed = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(31)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f32 / (1u64 << 24) as f32
}

#[expect(clippy::cast_precision_loss, reason = "for printing")]
pub(crate) fn measured(rows: u64, elapsed: Duration, cpu: Duration) -> Measured {
    Measured {
        rows_per_second: rows as f64 / elapsed.as_secs_f64(),
        cpu_us_per_row: cpu.as_secs_f64() * 1e6 / rows as f64,
    }
}

/// User and system time of a process, in hundredths of a second.
pub(crate) fn cpu_of(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The most memory that a process ever had.
pub(crate) fn peak_mib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1024
}
