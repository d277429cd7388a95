//! Reads both stores back, independently of the code that wrote them.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::{Connection, OpenFlags};

use crate::rig::{Ledger, Place, Rig, names_in, wait_until};

pub(crate) type Row = (Place, Option<i32>);

/// All rows of the table, with their values; none before the sink has made the table.
pub(crate) fn table_rows(rig: &Rig) -> Vec<Row> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(database) = Connection::open_with_flags(rig.database(), flags) else {
        return Vec::new();
    };
    if !database
        .column_exists(None::<&str>, "results", "y")
        .unwrap_or(false)
    {
        return Vec::new();
    }
    let mut query = database
        .prepare("SELECT partition, offset, y FROM results")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
    query
        .query_map([], row)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// All rows of all visible files, each of which must be whole.
pub(crate) fn file_rows(rig: &Rig) -> Vec<Row> {
    let folder = rig.files().join(rig.topic());
    let mut rows = Vec::new();
    for name in visible(rig) {
        let file = File::open(folder.join(&name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|file| file.build());
        let reader = reader.unwrap_or_else(|error| panic!("{name} is not whole: {error}"));
        for batch in reader {
            rows.extend(batch_rows(&batch.unwrap()));
        }
    }
    rows
}

/// All rows of the visible files of a folder and of the folders in it.
pub(crate) fn rows_below(folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in names_in(folder)
        .iter()
        .filter(|name| !name.starts_with('.'))
    {
        let path = folder.join(name);
        if path.is_dir() {
            rows.extend(rows_below(&path));
            continue;
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap());
        let reader = reader.and_then(|file| file.build());
        for batch in reader.unwrap_or_else(|error| panic!("{name} is not whole: {error}")) {
            rows.extend(batch_rows(&batch.unwrap()));
        }
    }
    rows
}

/// The names of all files that a reader of the folder sees.
pub(crate) fn visible(rig: &Rig) -> Vec<String> {
    let mut names = names_in(&rig.files().join(rig.topic()));
    names.retain(|name| !name.starts_with('.'));
    names
}

pub(crate) fn batch_rows(batch: &RecordBatch) -> Vec<Row> {
    let partition = batch["partition"].as_primitive::<Int32Type>();
    let offset = batch["offset"].as_primitive::<Int64Type>();
    let y = batch
        .column_by_name("y")
        .map(|y| y.as_primitive::<Int32Type>());
    let value = |row: usize| y.filter(|y| y.is_valid(row)).map(|y| y.value(row));
    (0..batch.num_rows())
        .map(|row| ((partition.value(row), offset.value(row)), value(row)))
        .collect()
}

/// Waits until both stores hold as many rows as the ledger, then compares them row by row.
pub(crate) fn check_exactly_once(rig: &Rig) {
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    wait_until("the table has all rows", || {
        table_rows(rig).len() >= ledger.len()
    });
    wait_until("the files have all rows", || {
        file_rows(rig).len() >= ledger.len()
    });
    check_rows("the table", table_rows(rig), &ledger);
    check_rows("the files", file_rows(rig), &ledger);
    check_names(rig);
}

pub(crate) fn check_rows(store: &str, mut rows: Vec<Row>, ledger: &Ledger) {
    rows.sort_unstable();
    let expected: Vec<Row> = ledger
        .iter()
        .map(|(place, value)| (*place, *value))
        .collect();
    if rows == expected {
        return;
    }
    let lost = expected.iter().filter(|row| !rows.contains(row)).count();
    let twice = rows
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .count();
    panic!(
        "{store}: {lost} of {} rows lost, {twice} doubled",
        expected.len()
    );
}

/// The names of one partition's files follow one another without overlap or gap.
fn check_names(rig: &Rig) {
    let mut names = visible(rig);
    names.sort();
    let mut next = (String::new(), 0i64);
    for name in names {
        let parts: Vec<&str> = name.trim_end_matches(".parquet").rsplitn(3, '-').collect();
        let (last, first, partition) = (parts[0], parts[1], parts[2].to_owned());
        let begin = if next.0 == partition { next.1 } else { 0 };
        assert_eq!(first.parse::<i64>().unwrap(), begin, "{name}");
        next = (partition, last.parse::<i64>().unwrap() + 1);
    }
}
