use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use millrace_wire::DType;
use rusqlite::types::ValueRef;

use crate::destinations::table::alike::{self, Database};
use crate::destinations::table::fixtures::{
    extremes, hostile, large, odd_floats, own, plan, sentence, tensors, texts, write,
};
use crate::testing::{
    batch, fixed, kafka_record, parse, parsed, record_of_failure, record_with, record_with_texts,
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
        self.open(plan("results")).unwrap()
    }

    fn open(&self, plan: Plan) -> anyhow::Result<SqliteWriter> {
        SqliteWriter::open(&self.path, plan)
    }

    fn refusal(&self, plan: Plan) -> String {
        format!("{:#}", self.open(plan).err().unwrap())
    }

    fn reader(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn run(&self, statement: &str) {
        self.reader().execute_batch(statement).unwrap();
    }

    /// Each row as text, its columns separated by bars.
    fn rows(&self, query: &str) -> Vec<String> {
        let reader = self.reader();
        let mut query = reader.prepare(query).unwrap();
        let columns = query.column_count();
        let rows = query.query_map([], |row| {
            let cell = |index| match row.get_ref(index).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => value.to_string(),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                ValueRef::Blob(bytes) => format!("{bytes:x?}"),
            };
            Ok((0..columns).map(cell).collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn count(&self) -> usize {
        self.rows("SELECT 1 FROM results").len()
    }
}

impl Database for Rig {
    const MARK: char = '"';

    fn plan(&self) -> Plan {
        plan("results")
    }

    fn open(&self, plan: Plan) -> Box<dyn Writer> {
        Box::new(Rig::open(self, plan).unwrap())
    }

    fn rows(&self, query: &str) -> Vec<String> {
        Rig::rows(self, query)
    }
}

#[test]
fn rows_and_progress_arrive_together() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    assert_eq!(writer.claim(&own()).unwrap(), 0);
    let records = vec![record_with(3, &[0.5, 1.5]), record_of_failure(4)];
    writer.write(&batch(0, records)).unwrap();
    let rows = rig.rows("SELECT \"offset\", \"row\", y FROM results ORDER BY 1, 2");
    assert_eq!(rows, ["3|0|0.5", "3|1|1.5", "4|0|NULL"]);
    assert_eq!(rig.writer().claim(&own()).unwrap(), 5);
}

#[test]
fn row_carries_what_the_headers_say() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    writer.write(&batch(0, vec![record_of_failure(0)])).unwrap();
    let rows = rig
        .rows("SELECT topic, id, model, version, status, error, request, recorded_at FROM results");
    assert_eq!(
        rows,
        [
            "mill.results.digits|id-0|digits|3|INTERNAL|the model failed|mill.requests.digits/0/0|1700000000000"
        ]
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
    alike::former_owner_writes_nothing(&Rig::new());
}

#[test]
fn commit_that_seemed_to_fail_is_found_in_the_table() {
    alike::commit_that_seemed_to_fail_is_found_in_the_table(&Rig::new());
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
    assert_eq!(rig.count(), 1);
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
fn what_is_wrong_is_clear_at_the_start() {
    let rig = Rig::new();
    let absent = Plan {
        create: false,
        ..plan("results")
    };
    assert!(
        rig.refusal(absent)
            .contains("is not there, and create is off")
    );
    rig.run("CREATE TABLE results (a)");
    assert!(
        rig.refusal(plan("results"))
            .contains("has no column \"topic\"")
    );
    rig.run("CREATE TABLE other (topic INTEGER)");
    let said = rig.refusal(plan("other"));
    assert!(
        said.contains("column \"topic\" of type INTEGER, and the sink writes Utf8"),
        "{said}"
    );
}

#[test]
fn table_of_the_former_form_goes_on() {
    let rig = Rig::new();
    rig.run(
        "CREATE TABLE results (
            source_topic TEXT NOT NULL, source_partition INTEGER NOT NULL,
            source_offset INTEGER NOT NULL, instance INTEGER NOT NULL, id TEXT NOT NULL, key BLOB,
            model TEXT NOT NULL, version INTEGER, status TEXT NOT NULL, error TEXT,
            request TEXT NOT NULL, recorded_at_unix_ms INTEGER, outputs TEXT,
            PRIMARY KEY (source_topic, source_partition, source_offset, instance));
         INSERT INTO results VALUES ('mill.results.digits', 0, 0, 0, 'id-0', NULL, 'digits', 3, 'OK', NULL, '', 0, '{\"y\":1}');
         CREATE TABLE millrace_progress (pipeline TEXT NOT NULL, topic TEXT NOT NULL,
            partition INTEGER NOT NULL, next_offset INTEGER NOT NULL, owner_epoch INTEGER NOT NULL,
            PRIMARY KEY (pipeline, topic, partition));
         INSERT INTO millrace_progress VALUES ('table', 'mill.results.digits', 0, 1, 4)",
    );
    write(&mut rig.writer(), vec![record_with(1, &[0.5])]);
    let rows = rig.rows("SELECT \"offset\", y, outputs FROM results ORDER BY 1");
    assert_eq!(rows, ["0|NULL|{\"y\":1}", "1|0.5|NULL"]);
}

#[test]
fn every_type_round_trips() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![extremes(0)]);
    let columns =
        "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16,
                   float32, float64, string, bytes";
    let rows = rig.rows(&format!("SELECT {columns} FROM results ORDER BY row"));
    let small = f64::from(0.1f32);
    let large = f64::from(f32::MAX);
    let least = f64::MIN_POSITIVE;
    let expected = [
        format!("0|-128|-32768|-2147483648|-9223372036854775808|0|0|0|0|1.5|1.5|{small}|0.1||[]"),
        format!(
            "1|127|32767|2147483647|9223372036854775807|255|65535|4294967295|18446744073709551615|-65504|-1.5|{large}|{least}|it's \"1\\n\u{2028}größe😀'); DROP TABLE results; --|[0, ff, 27]"
        ),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn floats_that_are_no_numbers_round_trip() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![odd_floats(0)]);
    let rows = rig.rows("SELECT float64, float32 FROM results ORDER BY row");
    // SQLite has one zero.
    assert_eq!(rows, ["NaN|NaN", "inf|inf", "-inf|-inf", "0|0"]);
}

#[test]
fn tensors_are_json() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![tensors(0), record_of_failure(1)]);
    let rows = rig.rows("SELECT matrix, floats, empty, texts, raws FROM results ORDER BY offset");
    let expected = [
        r#"[[1,2,3],[4,5,6]]|[1.5,"NaN","Infinity","-Infinity"]|[[],[]]|["a,\"b\"",""]|[{"b64":"AP8="}]"#,
        "NULL|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn large_tensors_round_trip() {
    let rig = Rig::new();
    let records = (0..10).map(|offset| large(offset, 60_000)).collect();
    write(&mut rig.writer(), records);
    let rows = rig.rows("SELECT json_array_length(y), json_extract(y, '$[59999]') FROM results");
    assert_eq!(rows, vec!["60000|59999"; 10]);
}

#[test]
fn columns_are_added_when_outputs_grow_and_types_never_change() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    write(&mut writer, vec![record_with_texts(1, &["seven"])]);
    let rows = rig.rows("SELECT y, label FROM results ORDER BY offset");
    assert_eq!(rows, ["1|NULL", "NULL|seven"]);
    for tensor in [
        texts("y", &["text"]),
        fixed("label", DType::Int32, &[1], vec![0; 4]),
        fixed("label", DType::Int32, &[1, 1], vec![0; 4]),
    ] {
        let name = tensor.name().to_owned();
        let error = writer
            .write(&batch(2, vec![parsed(2, vec![tensor])]))
            .unwrap_err();
        assert!(
            sentence(&error).contains(&format!("column {name:?}")),
            "{error:?}"
        );
    }
}

#[test]
fn without_evolve_the_first_outputs_shape_the_table_and_others_are_refused() {
    let rig = Rig::new();
    let plan = Plan {
        evolve: false,
        ..plan("results")
    };
    let mut writer = rig.open(plan).unwrap();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    let more = batch(1, vec![record_with_texts(1, &["seven"])]);
    let said = sentence(&writer.write(&more).unwrap_err());
    assert!(said.contains("no column \"label\""), "{said}");
    rig.run("ALTER TABLE results ADD COLUMN label TEXT");
    writer.write(&more).unwrap();
}

#[test]
fn constraint_of_the_operator_refuses_its_record_only() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[0.5])]);
    rig.run("CREATE TRIGGER small BEFORE INSERT ON results WHEN new.y > 1 BEGIN SELECT RAISE(ABORT, 'too large'); END");
    let error = writer
        .write(&batch(1, vec![record_with(1, &[2.0])]))
        .unwrap_err();
    assert!(sentence(&error).contains("too large"), "{error:?}");
    writer
        .write(&batch(1, vec![record_with(1, &[0.7])]))
        .unwrap();
}

#[test]
fn upsert_keeps_the_newest_result_of_each_key() {
    alike::upsert_keeps_the_newest_result_of_each_key(&Rig::new());
}

#[test]
fn hostile_names_and_texts_are_stored_verbatim() {
    let rig = Rig::new();
    let mut writer = rig.open(plan("my \"results\"; DROP")).unwrap();
    write(&mut writer, vec![hostile(0)]);
    write(&mut writer, vec![hostile(1)]);
    let rows = rig.rows("SELECT \"y\"\"; DROP TABLE results; --\", \"`y`\", \"select\" FROM \"my \"\"results\"\"; DROP\"");
    assert_eq!(rows, vec![["'); DROP TABLE results; --"; 3].join("|"); 2]);
}

#[test]
fn check_finds_what_a_start_would_and_changes_nothing() {
    let rig = Rig::new();
    let check = || SqliteWriter::check(&rig.path, &plan("results"));
    assert!(check().unwrap().ends_with("will be made at the start"));
    assert!(!rig.path.exists());
    drop(rig.writer());
    assert!(check().unwrap().ends_with("fits"));
    rig.run("ALTER TABLE results DROP COLUMN id");
    assert!(format!("{:#}", check().unwrap_err()).contains("no column \"id\""));
    let nowhere = SqliteWriter::check(Path::new("/no/such/folder/results.db"), &plan("results"));
    assert!(format!("{:#}", nowhere.unwrap_err()).contains("folder is not there"));
}

#[test]
fn renamed_pipeline_does_not_write_rows_twice() {
    alike::renamed_pipeline_does_not_write_rows_twice(&Rig::new());
}

#[test]
fn many_sinks_may_open_a_new_database_at_once() {
    for _ in 0..20 {
        let rig = Rig::new();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let rig = &rig;
                scope.spawn(move || {
                    let plan = Plan {
                        pipeline: format!("p{number}"),
                        ..plan("results")
                    };
                    let mut writer = rig.open(plan).unwrap();
                    assert_eq!(writer.claim(&own()).unwrap(), 0);
                });
            }
        });
    }
}
