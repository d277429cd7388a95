//! Drains a backlog of small results into Parquet files, beside the bare Parquet writer that gets
//! the same rows from memory, in turns. Prints a table.
//!
//! `scripts/with-broker cargo bench -p millrace-sink --bench backlog -- --records 1000000`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use millrace_kafka::{
    Admin, Cluster, Headers, Metrics, OutRecord, Producer, ProducerSettings, TopicSpec,
};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Status, Tensor, encode_tensors};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const LONG: Duration = Duration::from_secs(600);
const PARTITIONS: i32 = 3;
const ROUNDS: usize = 3;

struct Scene {
    brokers: String,
    prefix: String,
    folder: tempfile::TempDir,
    records: u64,
    scores: u64,
}

struct Measured {
    rows_per_second: f64,
    cpu_us_per_row: f64,
    peak_mib: u64,
}

fn main() {
    let (records, scores) = (option("--records", 1_000_000), option("--scores", 10));
    let brokers =
        std::env::var("MILLRACE_KAFKA__BROKERS").expect("run it with scripts/with-broker");
    let scene = Scene {
        brokers,
        prefix: format!("bench-{}", uuid::Uuid::new_v4().simple()),
        folder: tempfile::tempdir().unwrap(),
        records,
        scores,
    };
    scene.fill_topic();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{records} results of {scores} scores and a label, zstd level 1\n"
    )
    .unwrap();
    writeln!(
        out,
        "| | rows/s | CPU µs/row | peak MiB | of the bare writer |"
    )
    .unwrap();
    writeln!(out, "|---|---:|---:|---:|---:|").unwrap();
    for round in 0..ROUNDS {
        let files = scene.folder.path().join(format!("round{round}"));
        let sink = scene.drain(round, &files);
        let bare = scene.bare(&files);
        let ratio = sink.rows_per_second / bare.rows_per_second;
        for (name, measured) in [("bare writer", &bare), ("sink", &sink)] {
            let Measured {
                rows_per_second,
                cpu_us_per_row,
                peak_mib,
            } = measured;
            writeln!(
                out,
                "| {name} | {rows_per_second:.0} | {cpu_us_per_row:.2} | {peak_mib} | {} |",
                if name == "sink" {
                    format!("{ratio:.2}")
                } else {
                    String::new()
                }
            )
            .unwrap();
        }
    }
}

/// The number after a flag.
fn option(flag: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag);
    arguments
        .nth(1)
        .map_or(default, |number| number.parse().unwrap())
}

impl Scene {
    fn topic(&self) -> String {
        format!("{}.results.digits", self.prefix)
    }

    fn fill_topic(&self) {
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

    fn result(&self, topic: &std::sync::Arc<str>, index: u64, partition: i32) -> OutRecord {
        let headers = ResultHeaders {
            id: format!("{index:032x}"),
            model: "digits".to_owned(),
            version: Some(1),
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
        let scores: Vec<u8> = (0..self.scores)
            .flat_map(|place| noise(index * self.scores + place).to_le_bytes())
            .collect();
        let label = (index % 10).to_le_bytes().to_vec();
        let tensors = [
            Tensor::fixed(
                "scores",
                DType::Float32,
                vec![1, usize::try_from(self.scores).unwrap()],
                scores.into(),
            )
            .unwrap(),
            Tensor::fixed("label", DType::Int64, vec![1], label.into()).unwrap(),
        ];
        OutRecord {
            topic: std::sync::Arc::clone(topic),
            partition: Some(partition),
            key: None,
            value: Some(encode_tensors(&tensors).unwrap()),
            headers: pairs,
        }
    }

    /// Runs a sink until all is written. Counts from the first rows that are.
    fn drain(&self, round: usize, files: &Path) -> Measured {
        let mut sink = self.start(round, files);
        let id = sink.0.id();
        let (begun, first, cpu_before) = loop {
            let rows = sink.rows();
            if rows > 0 {
                break (Instant::now(), rows, cpu_of(id));
            }
            thread::sleep(Duration::from_millis(50));
        };
        while sink.rows() < self.records {
            assert!(begun.elapsed() < LONG, "the sink is stuck");
            thread::sleep(Duration::from_millis(50));
        }
        let (elapsed, cpu) = (begun.elapsed(), cpu_of(id) - cpu_before);
        let peak_mib = peak_mib(id);
        sink.0.kill().unwrap();
        sink.0.wait().unwrap();
        measured(self.records - first, elapsed, cpu, peak_mib)
    }

    /// Writes the rows of the files again, from memory, each to a file that is synced.
    fn bare(&self, files: &Path) -> Measured {
        let mut batches = Vec::new();
        read_all(files, &mut batches);
        let folder = self.folder.path().join("bare");
        fs::create_dir_all(&folder).unwrap();
        let (begun, cpu_before) = (Instant::now(), cpu_of(std::process::id()));
        for (index, batch) in batches.iter().enumerate() {
            let mut file = File::create(folder.join(index.to_string())).unwrap();
            file.write_all(&encode(batch)).unwrap();
            file.sync_all().unwrap();
        }
        let (elapsed, cpu) = (begun.elapsed(), cpu_of(std::process::id()) - cpu_before);
        measured(self.records, elapsed, cpu, peak_mib(std::process::id()))
    }

    fn start(&self, round: usize, files: &Path) -> Sink {
        let port_file = self.folder.path().join(format!("{round}.port"));
        let config = self.folder.path().join(format!("{round}.toml"));
        let text = format!(
            "[kafka]\nbrokers = {:?}\n[topics]\nprefix = {:?}\n[telemetry.log]\nlevel = \"warn\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\nport_file = {port_file:?}\n\
             [[pipelines]]\nname = \"round{round}\"\nmodels = [\"digits\"]\n\
             [pipelines.destination]\ntype = \"files\"\nurl = {files:?}\n\
             [pipelines.roll]\nrows = 50000\nage = \"1s\"\n",
            self.brokers, self.prefix
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-sink"));
        Sink(
            command.arg("--config").arg(config).spawn().unwrap(),
            port_file,
        )
    }
}

struct Sink(Child, PathBuf);

impl Sink {
    /// Rows that are written so far, by the metrics page.
    fn rows(&self) -> u64 {
        let page = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(fs::read_to_string(&self.1)?.trim())?;
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

/// A number from 0 to 1 that does not compress.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
fn noise(seed: u64) -> f32 {
    let mixed = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(31)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f32 / (1u64 << 24) as f32
}

fn read_all(folder: &Path, batches: &mut Vec<RecordBatch>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, batches);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap());
            let builder = builder.unwrap().with_batch_size(1 << 20);
            batches.extend(builder.build().unwrap().map(Result::unwrap));
        }
    }
}

/// With the properties that the sink has by default.
fn encode(rows: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_max_row_group_bytes(Some(64 << 20))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "for printing")]
fn measured(rows: u64, elapsed: Duration, cpu: Duration, peak_mib: u64) -> Measured {
    Measured {
        rows_per_second: rows as f64 / elapsed.as_secs_f64(),
        cpu_us_per_row: cpu.as_secs_f64() * 1e6 / rows as f64,
        peak_mib,
    }
}

/// User and system time of a process, in hundredths of a second.
fn cpu_of(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn peak_mib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
