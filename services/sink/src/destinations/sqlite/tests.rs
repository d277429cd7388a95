use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::testing::{
    TOPIC, batch, kafka_record, parse, partition, record_of_failure, record_with,
};

struct Rig {
    _folder: TempDir,
    path: PathBuf,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        Self {
            _folder: folder,
            path,
        }
    }

    fn writer(&self) -> SqliteWriter {
        self.named("table")
    }

    fn named(&self, pipeline: &str) -> SqliteWriter {
        SqliteWriter::open(&settings(&self.path), pipeline).unwrap()
    }

    fn reader(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn rows(&self) -> Vec<(i64, i64, Option<String>)> {
        let reader = self.reader();
        let mut query = reader
            .prepare("SELECT source_offset, instance, outputs FROM results ORDER BY 1, 2")
            .unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }
}

fn settings(path: &Path) -> SqliteSettings {
    SqliteSettings {
        path: path.to_owned(),
    }
}

fn own() -> TopicPartition {
    partition(TOPIC, 0)
}

#[test]
fn rows_and_progress_arrive_together() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    assert_eq!(writer.claim(&own()).unwrap(), 0);
    let records = vec![record_with(3, &[0.5, 1.5]), record_of_failure(4)];
    writer.write(&batch(0, records)).unwrap();
    let outputs = |text: &str| Some(text.to_owned());
    let expected = [
        (3, 0, outputs(r#"{"y":0.5}"#)),
        (3, 1, outputs(r#"{"y":1.5}"#)),
        (4, 0, None),
    ];
    assert_eq!(rig.rows(), expected);
    assert_eq!(rig.writer().claim(&own()).unwrap(), 5);
}

#[test]
fn row_carries_what_the_headers_say() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    writer.write(&batch(0, vec![record_of_failure(0)])).unwrap();
    let query =
        "SELECT source_topic || ' ' || id || ' ' || model || ' ' || version || ' ' || status
                 || ' ' || error || ' ' || request || ' ' || recorded_at_unix_ms FROM results";
    let row: String = rig.reader().query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(
        row,
        "mill.results.digits id-0 digits 3 INTERNAL the model failed mill.requests.digits/0/0 1700000000000"
    );
}

#[test]
fn key_is_text_where_it_can_be() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let keys = [
        Some(b"it's; DROP TABLE results".to_vec()),
        Some(vec![0xFF]),
        None,
    ];
    let mut records = Vec::new();
    for (offset, key) in (0..).zip(keys) {
        let mut record = kafka_record(offset, millrace_wire::Status::Internal, None);
        record.key = key;
        records.push(parse(record));
    }
    writer.write(&batch(0, records)).unwrap();
    let query = "SELECT group_concat(typeof(key), ' ') FROM results";
    let types: String = rig.reader().query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(types, "text blob null");
}

#[test]
fn former_owner_writes_nothing() {
    let rig = Rig::new();
    let (mut former, mut next) = (rig.writer(), rig.writer());
    former.claim(&own()).unwrap();
    next.claim(&own()).unwrap();
    let error = former
        .write(&batch(0, vec![record_with(0, &[1.0])]))
        .unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    assert!(rig.rows().is_empty());
    next.write(&batch(0, vec![record_with(0, &[2.0])])).unwrap();
    assert_eq!(rig.rows().len(), 1);
}

#[test]
fn commit_that_seemed_to_fail_is_found_in_the_table() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let rows = batch(0, vec![record_with(0, &[1.0])]);
    writer.write(&rows).unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(rig.rows().len(), 1);
}

#[test]
fn locked_database_is_waited_for() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let other = rig.reader();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let rows = batch(0, vec![record_with(0, &[1.0])]);
    let error = writer.write(&rows).unwrap_err();
    assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    other.execute_batch("ROLLBACK").unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(rig.rows().len(), 1);
}

#[test]
fn deleted_database_is_noticed() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    std::fs::remove_file(&rig.path).unwrap();
    for _ in 0..2 {
        let error = writer
            .write(&batch(0, vec![record_with(0, &[1.0])]))
            .unwrap_err();
        assert!(matches!(error, WriteError::Fatal(_)), "{error:?}");
    }
    assert!(!rig.path.exists(), "not made anew in the wrong place");
}

#[test]
fn table_of_another_form_is_refused_at_the_start() {
    let rig = Rig::new();
    rig.reader()
        .execute_batch("CREATE TABLE results (a)")
        .unwrap();
    let error = SqliteWriter::open(&settings(&rig.path), "table")
        .err()
        .unwrap();
    assert!(format!("{error:#}").contains("source_topic"), "{error:#}");
}

#[test]
fn renamed_pipeline_does_not_write_rows_twice() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    writer
        .write(&batch(0, vec![record_with(0, &[1.0])]))
        .unwrap();
    let mut renamed = rig.named("renamed");
    assert_eq!(renamed.claim(&own()).unwrap(), 0);
    let error = renamed
        .write(&batch(0, vec![record_with(0, &[1.0])]))
        .unwrap_err();
    assert!(matches!(&error, WriteError::Fatal(cause) if cause.to_string().contains("renamed")));
    assert_eq!(rig.rows().len(), 1);
}

#[test]
fn many_sinks_may_open_a_new_database_at_once() {
    for _ in 0..20 {
        let rig = Rig::new();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let rig = &rig;
                scope.spawn(move || {
                    let mut writer = rig.named(&format!("p{number}"));
                    assert_eq!(writer.claim(&own()).unwrap(), 0);
                });
            }
        });
    }
}
