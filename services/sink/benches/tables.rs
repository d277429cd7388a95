//! Drains a backlog of small results into a table, beside the bare writer that gets the same rows from memory, in turns:
//! COPY of bytes that PostgreSQL itself gave out, and a prepared INSERT in SQLite. Prints a table.
//!
//! `scripts/with-broker scripts/with-databases cargo bench --workspace --bench tables -- --records 300000`
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up has failed"
)]

mod scene;

use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rusqlite::types::Value;
use tokio_postgres::{Client, NoTls};

use scene::{Backlog, Measured, ROUNDS, cpu_of, measured, option};

/// Rows of a transaction, as the sink has them.
const BATCH: usize = 5_000;

struct Scene {
    backlog: Backlog,
    runtime: tokio::runtime::Runtime,
    postgres: Client,
    url: String,
}

/// Sink and bare writer, and what the server itself took for each row, where there is one.
struct Pair {
    name: &'static str,
    sink: Measured,
    bare: Measured,
    server_cpu: Option<[f64; 2]>,
}

fn main() {
    let records = option("--records", 300_000);
    let scene = Scene::new(Backlog::new(records, option("--scores", 10)));
    let mut out = std::io::stdout();
    let scores = scene.backlog.scores;
    writeln!(out, "{records} results of {scores} scores and a label\n").unwrap();
    let head =
        "| | sink, rows/s | bare writer, rows/s | ratio | CPU µs/row, each with its server |";
    writeln!(out, "{head}\n|---|---:|---:|---:|---|").unwrap();
    for round in 0..ROUNDS {
        for pair in [scene.postgres(round), scene.sqlite(round)] {
            let Pair {
                name, sink, bare, ..
            } = &pair;
            let (sink_rate, bare_rate) = (sink.rows_per_second, bare.rows_per_second);
            let ratio = sink_rate / bare_rate;
            let [of_sink, of_bare] = pair
                .server_cpu
                .map_or([String::new(), String::new()], |cpu| {
                    cpu.map(|cpu| format!(" + {cpu:.1}"))
                });
            let (sink_cpu, bare_cpu) = (sink.cpu_us_per_row, bare.cpu_us_per_row);
            writeln!(
                out,
                "| {name} | {sink_rate:.0} | {bare_rate:.0} | {ratio:.2} | {sink_cpu:.1}{of_sink}, bare {bare_cpu:.1}{of_bare} |"
            )
            .unwrap();
        }
    }
}

impl Scene {
    fn new(backlog: Backlog) -> Self {
        let url = std::env::var("TEST_POSTGRES_URL").expect("run it with scripts/with-databases");
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
            backlog,
            runtime,
            postgres,
            url,
        }
    }

    fn postgres(&self, round: usize) -> Pair {
        let table = format!("bench_{}_{round}", uuid::Uuid::new_v4().simple());
        let name = format!("postgres{round}");
        let rest = format!(
            "destination = {{ type = \"postgres\", url = \"{}?sslmode=disable\", table = {table:?} }}",
            self.url
        );
        let sink = self.backlog.start(&name, &rest);
        let drained = self.backlog.drain(&sink);
        let server = self.server_cpu(&format!("application_name = 'millrace-sink {name}'"));
        drop(sink);
        let bare = self.runtime.block_on(bare_copy(&self.postgres, &table));
        let own = "pid = pg_backend_pid()";
        let before = self.server_cpu(own);
        let bare = self.runtime.block_on(bare.measure(&self.postgres));
        let own = self.server_cpu(own) - before;
        let clean = format!("DROP TABLE {table}, {table}_bare");
        self.runtime
            .block_on(self.postgres.batch_execute(&clean))
            .unwrap();
        let per_row = |cpu| measured(self.backlog.records, LONG_ENOUGH, cpu).cpu_us_per_row;
        Pair {
            name: "PostgreSQL",
            sink: drained,
            bare,
            server_cpu: Some([per_row(server), per_row(own)]),
        }
    }

    /// Processor time of a session's process so far; the server is on this machine.
    fn server_cpu(&self, session: &str) -> Duration {
        let query = format!("SELECT pid FROM pg_stat_activity WHERE {session}");
        let row = self.runtime.block_on(self.postgres.query_one(&query, &[]));
        cpu_of(u32::try_from(row.unwrap().get::<_, i32>(0)).unwrap())
    }

    fn sqlite(&self, round: usize) -> Pair {
        let name = format!("sqlite{round}");
        let path = self.backlog.folder.path().join(format!("{name}.db"));
        let rest = format!("destination = {{ type = \"sqlite\", path = {path:?} }}");
        let sink = self.backlog.start(&name, &rest);
        let drained = self.backlog.drain(&sink);
        drop(sink);
        Pair {
            name: "SQLite",
            sink: drained,
            bare: bare_insert(&path),
            server_cpu: None,
        }
    }
}

/// Only to divide by rows.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// The rows of a table as bytes, and an empty table of the same form.
struct BareCopy {
    table: String,
    pieces: Vec<Bytes>,
    count: usize,
}

/// Copies the rows out into memory, as many together as the sink has in a transaction.
async fn bare_copy(client: &Client, table: &str) -> BareCopy {
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
    BareCopy {
        table: format!("{table}_bare"),
        pieces,
        count,
    }
}

impl BareCopy {
    async fn measure(self, client: &Client) -> Measured {
        let (begun, cpu_before) = (Instant::now(), cpu_of(std::process::id()));
        for piece in self.pieces {
            client.batch_execute("BEGIN").await.unwrap();
            let copy = format!("COPY {} FROM STDIN (FORMAT binary)", self.table);
            let mut sink = pin!(client.copy_in(&copy).await.unwrap());
            sink.send(piece).await.unwrap();
            sink.finish().await.unwrap();
            client.batch_execute("COMMIT").await.unwrap();
        }
        let cpu = cpu_of(std::process::id()) - cpu_before;
        measured(self.count as u64, begun.elapsed(), cpu)
    }
}

/// Reads the rows into memory, then inserts them into a table of the same form.
fn bare_insert(path: &Path) -> Measured {
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
    let (begun, cpu_before) = (Instant::now(), cpu_of(std::process::id()));
    for batch in rows.chunks(BATCH) {
        let transaction = bare.transaction().unwrap();
        let mut insert = transaction.prepare_cached(&statement).unwrap();
        for row in batch {
            insert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    let cpu = cpu_of(std::process::id()) - cpu_before;
    measured(rows.len() as u64, begun.elapsed(), cpu)
}
