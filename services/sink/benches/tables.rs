//! Drains a backlog of small results into a table, beside the bare writer that gets the same rows from memory, in turns:
//! COPY of bytes that PostgreSQL itself gave out, and a prepared INSERT in SQLite. Prints a table.
//!
//! `scripts/with-broker scripts/with-databases cargo bench -p millrace-sink --bench tables -- --records 300000`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use millrace_kafka::{
    Admin, Cluster, Headers, Metrics, OutRecord, Producer, ProducerSettings, TopicSpec,
};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Status, Tensor, encode_tensors};
use rusqlite::types::Value;
use tokio_postgres::{Client, NoTls};

const LONG: Duration = Duration::from_secs(600);
const PARTITIONS: i32 = 3;
const ROUNDS: usize = 3;
/// Rows of a transaction, as the sink has them.
const BATCH: usize = 5_000;

struct Scene {
    brokers: String,
    prefix: String,
    folder: tempfile::TempDir,
    records: u64,
    runtime: tokio::runtime::Runtime,
    postgres: Client,
    url: String,
}

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--records");
    let records = arguments
        .nth(1)
        .map_or(300_000, |records| records.parse().unwrap());
    let scene = Scene::new(records);
    scene.fill_topic();
    let mut out = std::io::stdout();
    writeln!(out, "{records} results of 10 scores and a label\n").unwrap();
    writeln!(out, "| | sink, rows/s | bare writer, rows/s | ratio |").unwrap();
    writeln!(out, "|---|---:|---:|---:|").unwrap();
    for round in 0..ROUNDS {
        let pairs = [
            ("PostgreSQL", scene.postgres(round)),
            ("SQLite", scene.sqlite(round)),
        ];
        for (name, (sink, bare)) in pairs {
            let ratio = sink / bare;
            writeln!(out, "| {name} | {sink:.0} | {bare:.0} | {ratio:.2} |").unwrap();
        }
    }
}

impl Scene {
    fn new(records: u64) -> Self {
        let variable = |name: &str, script: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("run it with {script}"))
        };
        let brokers = variable("MILLRACE_KAFKA__BROKERS", "scripts/with-broker");
        let url = variable("TEST_POSTGRES_URL", "scripts/with-databases");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (postgres, connection) = runtime
            .block_on(tokio_postgres::connect(&url, NoTls))
            .unwrap();
        runtime.spawn(async move { connection.await.unwrap() });
        Self {
            brokers,
            prefix: format!("bench-{}", uuid::Uuid::new_v4().simple()),
            folder: tempfile::tempdir().unwrap(),
            records,
            runtime,
            postgres,
            url,
        }
    }

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
            let record = result(&name, index, partition);
            let delivered = |result: Result<millrace_kafka::Delivered, _>| {
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

    /// Rows per second of a sink with this destination, from the first rows that are there.
    fn drain(&self, name: &str, destination: &str, rows: impl Fn() -> u64) -> f64 {
        let config = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            r#"
            [kafka]
            brokers = "{brokers}"
            [topics]
            prefix = "{prefix}"
            [admin]
            listen = "127.0.0.1:0"
            [telemetry.log]
            level = "warn"
            [[pipelines]]
            name = "{name}"
            models = ["digits"]
            destination = {{ {destination} }}
            "#,
            brokers = self.brokers,
            prefix = self.prefix,
        );
        fs::write(&config, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_millrace-sink"))
            .arg("--config")
            .arg(config)
            .spawn()
            .unwrap();
        let _sink = Killed(child);
        let wait = |least: u64| {
            let begun = Instant::now();
            loop {
                let found = rows();
                if found >= least {
                    return (Instant::now(), found);
                }
                assert!(begun.elapsed() < LONG, "the sink is stuck");
                thread::sleep(Duration::from_millis(20));
            }
        };
        let (begun, first) = wait(1);
        let (ended, last) = wait(self.records);
        rate(last - first, ended - begun)
    }

    fn postgres(&self, round: usize) -> (f64, f64) {
        let table = format!("bench_{}_{round}", uuid::Uuid::new_v4().simple());
        let destination = format!(
            r#"type = "postgres", url = "{}", table = "{table}""#,
            self.url
        );
        // The progress is far cheaper to ask than the count of the rows.
        let name = format!("postgres{round}");
        let query = format!(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM millrace_progress WHERE pipeline = '{name}'
             AND topic = '{}'", self.topic()
        );
        let rows = || {
            let answer = self.runtime.block_on(self.postgres.query_one(&query, &[]));
            answer.map_or(0, |row| u64::try_from(row.get::<_, i64>(0)).unwrap())
        };
        let sink = self.drain(&name, &destination, rows);
        let bare = self.runtime.block_on(bare_copy(&self.postgres, &table));
        (sink, bare)
    }

    fn sqlite(&self, round: usize) -> (f64, f64) {
        let name = format!("sqlite{round}");
        let path = self.folder.path().join(format!("{name}.db"));
        let destination = format!(r#"type = "sqlite", path = "{}""#, path.display());
        let rows = || {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let database = rusqlite::Connection::open_with_flags(&path, flags);
            let query = "SELECT coalesce(sum(next_offset), 0) FROM millrace_progress";
            let count = database.and_then(|file| file.query_row(query, [], |row| row.get(0)));
            count.map_or(0, |count: i64| u64::try_from(count).unwrap())
        };
        let sink = self.drain(&name, &destination, rows);
        (sink, bare_insert(&path))
    }
}

/// Copies the rows out into memory, then in again, with the same indexes and as many rows a transaction.
async fn bare_copy(client: &Client, table: &str) -> f64 {
    let mut pieces = Vec::new();
    let count: i64 = client
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await
        .unwrap()
        .get(0);
    let count = usize::try_from(count).unwrap();
    for first in (0..count).step_by(BATCH) {
        let query = format!(
            "COPY (SELECT * FROM {table} ORDER BY partition, \"offset\" OFFSET {first} LIMIT {BATCH})
             TO STDOUT (FORMAT binary)"
        );
        let mut piece = Vec::new();
        let mut stream = pin!(client.copy_out(&query).await.unwrap());
        while let Some(part) = stream.next().await {
            piece.extend_from_slice(&part.unwrap());
        }
        pieces.push(Bytes::from(piece));
    }
    let make = format!("CREATE TABLE {table}_bare (LIKE {table} INCLUDING ALL); CHECKPOINT");
    client.batch_execute(&make).await.unwrap();
    let begun = Instant::now();
    for piece in pieces {
        client.batch_execute("BEGIN").await.unwrap();
        let copy = format!("COPY {table}_bare FROM STDIN (FORMAT binary)");
        let mut sink = pin!(client.copy_in(&copy).await.unwrap());
        sink.send(piece).await.unwrap();
        sink.finish().await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
    }
    let bare = rate(count as u64, begun.elapsed());
    let clean = format!("DROP TABLE {table}, {table}_bare");
    client.batch_execute(&clean).await.unwrap();
    bare
}

/// Reads the rows into memory, then inserts them into a table of the same form.
fn bare_insert(path: &PathBuf) -> f64 {
    let source = rusqlite::Connection::open(path).unwrap();
    let mut query = source.prepare("SELECT * FROM results").unwrap();
    let columns = query.column_count();
    let rows: Vec<Vec<Value>> = query
        .query_map([], |row| (0..columns).map(|index| row.get(index)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let form = "SELECT sql FROM sqlite_master WHERE name = 'results'";
    let form: String = source.query_row(form, [], |row| row.get(0)).unwrap();
    let mut bare = rusqlite::Connection::open(path.with_extension("bare")).unwrap();
    bare.pragma_update(None, "journal_mode", "wal").unwrap();
    bare.pragma_update(None, "synchronous", "full").unwrap();
    bare.execute_batch(&form).unwrap();
    let statement = format!(
        "INSERT INTO results VALUES ({})",
        vec!["?"; columns].join(",")
    );
    let count = rows.len() as u64;
    let begun = Instant::now();
    for batch in rows.chunks(BATCH) {
        let transaction = bare.transaction().unwrap();
        let mut insert = transaction.prepare_cached(&statement).unwrap();
        for row in batch {
            insert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    rate(count, begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(rows: u64, elapsed: Duration) -> f64 {
    rows as f64 / elapsed.as_secs_f64()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn result(topic: &std::sync::Arc<str>, index: u64, partition: i32) -> OutRecord {
    let headers = ResultHeaders {
        id: format!("{index:032x}"),
        model: "digits".to_owned(),
        version: Some(1),
        status: Status::Ok,
        error: None,
        source: Source {
            topic: "bench.requests.digits".to_owned(),
            partition,
            offset: i64::try_from(index).unwrap(),
        },
    };
    let mut pairs = Headers::new();
    for (name, value) in headers.to_pairs() {
        pairs.push(name, Some(value));
    }
    let scores: Vec<u8> = (0..10u16)
        .flat_map(|class| (f32::from(class) / 7.0).to_le_bytes())
        .collect();
    let outputs = [
        Tensor::fixed("scores", DType::Float32, vec![1, 10], scores.into()).unwrap(),
        Tensor::fixed(
            "label",
            DType::Int64,
            vec![1],
            3i64.to_le_bytes().to_vec().into(),
        )
        .unwrap(),
    ];
    OutRecord {
        topic: std::sync::Arc::clone(topic),
        partition: Some(partition),
        key: None,
        value: Some(encode_tensors(&outputs).unwrap()),
        headers: pairs,
    }
}
