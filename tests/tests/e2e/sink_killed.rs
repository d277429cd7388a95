//! Sink may be killed at any moment: SQLite and Parquet hold every result exactly once.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::thread;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use e2e::{Infer, Line, PATIENCE, Process, Tap, wait_for};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::digit_records::send_images;

const RECORDS: usize = 6_000;
const KILLS: usize = 4;

#[test]
fn killing_sink_loses_and_duplicates_nothing_in_sqlite_and_parquet() {
    let line = Line::new(&["digits"], 3);
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer(Infer {
        max_rows: 1,
        ..Infer::default()
    });
    infer.wait_ready();
    let database = line.dir().join("results.sqlite");
    let files = line.dir().join("parquet");

    for kill in 0..KILLS {
        let sink = start_sink(&line, &database, &files);
        let first = kill * RECORDS / KILLS;
        thread::scope(|scope| {
            scope.spawn(|| send_images(&line, first..first + RECORDS / KILLS));
            wait_for(PATIENCE, "rows to kill the sink over", || {
                (rows_in_sqlite(&database) > first).then_some(())
            });
            sink.kill_9();
        });
    }
    results.wait_for(RECORDS);
    let sink = start_sink(&line, &database, &files);
    wait_for(PATIENCE, "every result in SQLite", || {
        (rows_in_sqlite(&database) >= RECORDS).then_some(())
    });
    assert!(
        sink.terminate().success(),
        "a clean stop, which closes the open Parquet files"
    );

    assert_eq!(rows_in_sqlite(&database), RECORDS);
    assert_eq!(distinct_in_sqlite(&database), RECORDS);
    let offsets = offsets_in_parquet(&files);
    assert!(
        offsets.values().all(|&count| count == 1),
        "no result is in two files"
    );
    assert_eq!(offsets.len(), RECORDS);
}

fn start_sink(line: &Line, database: &Path, files: &Path) -> Process {
    let mut sink = line.sink(&format!(
        "[[pipelines]]\nname = \"table\"\nmodels = [\"digits\"]\n\
         destination = {{ type = \"sqlite\", path = {database:?} }}\n\
         [[pipelines]]\nname = \"files\"\nmodels = [\"digits\"]\n\
         destination = {{ type = \"files\", url = {files:?} }}\n\
         roll = {{ rows = 200 }}\n"
    ));
    sink.wait_ready();
    sink
}

fn rows_in_sqlite(database: &Path) -> usize {
    count(database, "SELECT count(*) FROM results")
}

fn distinct_in_sqlite(database: &Path) -> usize {
    count(
        database,
        "SELECT count(*) FROM (SELECT DISTINCT partition, offset FROM results)",
    )
}

/// A number out of the database; 0 while it is not there yet.
fn count(database: &Path, query: &str) -> usize {
    let read = || -> rusqlite::Result<i64> {
        let connection = rusqlite::Connection::open_with_flags(
            database,
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?;
        connection.query_row(query, [], |row| row.get(0))
    };
    usize::try_from(read().unwrap_or(0)).expect("a count")
}

/// How often each (partition, offset) stands in the Parquet files that a reader of the folder sees.
fn offsets_in_parquet(folder: &Path) -> HashMap<(i32, i64), usize> {
    let mut found = HashMap::new();
    for file in parquet_files(folder) {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(File::open(&file).expect("the file opens"));
        for batch in reader
            .and_then(|reader| reader.build())
            .expect("a whole Parquet file")
        {
            count_offsets(&batch.expect("a batch"), &mut found);
        }
    }
    found
}

fn count_offsets(batch: &RecordBatch, found: &mut HashMap<(i32, i64), usize>) {
    let column = |name| batch.column_by_name(name).expect("a column of coordinates");
    let partitions = column("partition").as_primitive::<Int32Type>();
    let offsets = column("offset").as_primitive::<Int64Type>();
    for (partition, offset) in partitions.values().iter().zip(offsets.values()) {
        *found.entry((*partition, *offset)).or_default() += 1;
    }
}

fn parquet_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(parquet_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
        {
            files.push(path);
        }
    }
    files
}
