use std::env;

use millrace_wire::{DType, Status, encode_tensors};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use uuid::Uuid;

use super::*;
use crate::destinations::table::alike::{self, Database};
use crate::destinations::table::fixtures::{
    extremes, hostile, large, odd_floats, own, plan, recorded_at, sentence, settings, tensors,
    texts, upsert, with_id, write,
};
use crate::projection::Projection;
use crate::settings::TensorForm;
use crate::testing::{
    batch, fixed, kafka_record, parsed, record_of_failure, record_with, record_with_texts,
    try_parse,
};

/// A schema of its own in the server that `scripts/with-databases` starts.
struct Rig {
    schema: String,
    url: String,
    runtime: Runtime,
    reader: tokio_postgres::Client,
}

impl Rig {
    fn new() -> Self {
        let url = env::var("TEST_POSTGRES_URL")
            .expect("these tests need PostgreSQL: run them with scripts/with-databases");
        let schema = format!("sink_{}", Uuid::new_v4().simple());
        let runtime = session::runtime().unwrap();
        let connected = runtime.block_on(tokio_postgres::connect(&url, NoTls));
        let (reader, connection) = connected.unwrap();
        runtime.spawn(async move {
            let _ = connection.await;
        });
        let rig = Self {
            schema,
            url,
            runtime,
            reader,
        };
        rig.run(&format!("CREATE SCHEMA {}", rig.schema));
        rig.run(&format!("SET search_path = {}", rig.schema));
        rig
    }

    fn run(&self, statement: &str) {
        let done = self.runtime.block_on(self.reader.batch_execute(statement));
        done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    fn table(&self) -> String {
        format!("{}.results", self.schema)
    }

    fn writer(&self) -> PostgresWriter {
        self.open(plan(&self.table())).unwrap()
    }

    fn open(&self, plan: Plan) -> anyhow::Result<PostgresWriter> {
        PostgresWriter::open(&settings(&self.url), plan)
    }

    /// The refusal of a start.
    fn refusal(&self, plan: Plan) -> String {
        format!("{:#}", self.open(plan).err().unwrap())
    }

    /// Each row as text, its columns separated by bars.
    fn rows(&self, query: &str) -> Vec<String> {
        let messages = self.runtime.block_on(self.reader.simple_query(query));
        let mut rows = Vec::new();
        for message in messages.unwrap_or_else(|error| panic!("{query}: {error:?}")) {
            if let SimpleQueryMessage::Row(row) = message {
                let cell = |index| row.get(index).unwrap_or("NULL").to_owned();
                rows.push((0..row.len()).map(cell).collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    fn count(&self) -> String {
        self.rows("SELECT count(*) FROM results").remove(0)
    }
}

impl Database for Rig {
    const MARK: char = '"';

    fn plan(&self) -> Plan {
        plan(&self.table())
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
    let rows = rig.rows(
        "SELECT \"offset\", \"row\", y, status, error, id, encode(key, 'escape'), recorded_at AT TIME ZONE 'UTC'
         FROM results ORDER BY 1, 2",
    );
    let expected = [
        "3|0|0.5|OK|NULL|id-3|key-3|2023-11-14 22:13:20.003",
        "3|1|1.5|OK|NULL|id-3|key-3|2023-11-14 22:13:20.003",
        "4|0|NULL|INTERNAL|the model failed|id-4|NULL|2023-11-14 22:13:20.004",
    ];
    assert_eq!(rows, expected);
    assert_eq!(rig.writer().claim(&own()).unwrap(), 5);
}

#[test]
fn every_type_round_trips() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![extremes(0)]);
    let columns =
        "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16,
                   float32, float64, string, bytes";
    let rows = rig.rows(&format!("SELECT {columns} FROM results ORDER BY \"row\""));
    let expected = [
        "f|-128|-32768|-2147483648|-9223372036854775808|0|0|0|0|1.5|1.5|0.1|0.1||\\x",
        "t|127|32767|2147483647|9223372036854775807|255|65535|4294967295|18446744073709551615|-65504|-1.5|3.4028235e+38|2.2250738585072014e-308|it's \"1\\n\u{2028}größe😀'); DROP TABLE results; --|\\x00ff27",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn floats_that_are_no_numbers_round_trip() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![odd_floats(0)]);
    let rows = rig.rows("SELECT float64, float32 FROM results ORDER BY \"row\"");
    assert_eq!(
        rows,
        [
            "NaN|NaN",
            "Infinity|Infinity",
            "-Infinity|-Infinity",
            "-0|-0"
        ]
    );
}

#[test]
fn tensors_are_arrays() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![tensors(0), record_of_failure(1)]);
    let columns = "matrix, floats, empty, texts, raws, pg_typeof(matrix), pg_typeof(empty)";
    let rows = rig.rows(&format!(
        "SELECT {columns} FROM results ORDER BY \"offset\""
    ));
    let expected = [
        "{{1,2,3},{4,5,6}}|{1.5,NaN,Infinity,-Infinity}|{}|{\"a,\\\"b\\\"\",\"\"}|{\"\\\\x00ff\"}|integer[]|double precision[]",
        "NULL|NULL|NULL|NULL|NULL|integer[]|double precision[]",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn large_tensors_and_many_rows_round_trip() {
    let rig = Rig::new();
    let records = (0..40).map(|offset| large(offset, 60_000)).collect();
    write(&mut rig.writer(), records);
    let rows =
        rig.rows("SELECT count(*), min(cardinality(y)), max(y[60000]), sum(y[2]) FROM results");
    assert_eq!(rows, ["40|60000|59999|40"]);
}

#[test]
fn tensors_as_json_are_jsonb_and_text_columns_that_are_there_stay_text() {
    let rig = Rig::new();
    let mut projection = Projection::new(&[], TensorForm::Json, None).marking_json(true);
    let values = [0.5f32, f32::NAN].map(f32::to_le_bytes).concat();
    let mut record = |offset| {
        let value = encode_tensors(&[fixed("y", DType::Float32, &[1, 2], values.clone())]);
        let record = kafka_record(offset, Status::Ok, Some(value.unwrap()));
        try_parse(&record, &mut projection).unwrap()
    };
    write(&mut rig.writer(), vec![record(0)]);
    let rows = rig.rows("SELECT pg_typeof(y), y->0, y->>1 FROM results");
    assert_eq!(rows, ["jsonb|0.5|NaN"]);
    rig.run("ALTER TABLE results ALTER COLUMN y TYPE text");
    write(&mut rig.writer(), vec![record(1)]);
    let rows = rig.rows("SELECT pg_typeof(y), count(*) FROM results GROUP BY 1");
    assert_eq!(rows, ["text|2"]);
}

#[test]
fn tensor_of_seven_dimensions_is_json() {
    let rig = Rig::new();
    let deep = fixed("y", DType::Int8, &[1, 1, 1, 1, 1, 1, 1, 2], vec![3, 4]);
    write(&mut rig.writer(), vec![parsed(0, vec![deep])]);
    let rows = rig.rows("SELECT y #>> '{0,0,0,0,0,0}' FROM results");
    assert_eq!(rows, ["[3, 4]"]);
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
fn owner_suspended_in_a_transaction_is_ended_by_the_next_one() {
    let rig = Rig::new();
    let mut next = rig.writer();
    assert_eq!(next.claim(&own()).unwrap(), 0);
    rig.run("BEGIN; UPDATE millrace_progress SET next_offset = 7");
    let waited = next.claim(&own());
    assert!(
        matches!(waited, Err(WriteError::Transient(_))),
        "{waited:?}"
    );
    assert_eq!(next.claim(&own()).unwrap(), 0, "its transaction is undone");
}

#[test]
fn text_with_nul_is_refused_in_the_words_of_the_database() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let bad = batch(0, vec![record_with_texts(0, &["a", "b\0c"])]);
    let said = sentence(&writer.write(&bad).unwrap_err());
    assert!(
        said.contains("invalid byte sequence for encoding \"UTF8\": 0x00"),
        "{said}"
    );
    assert!(said.contains("column label"), "{said}");
    assert_eq!(rig.count(), "0");
    writer
        .write(&batch(0, vec![record_with_texts(0, &["a"])]))
        .unwrap();
    assert_eq!(rig.count(), "1");
}

#[test]
fn time_out_of_range_is_refused_for_its_record() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    // The year 294277, and what is no time for 64 bits.
    for unix_ms in [9_224_318_016_000_000, i64::MAX] {
        let error = writer
            .write(&batch(0, vec![recorded_at(0, unix_ms)]))
            .unwrap_err();
        assert!(
            sentence(&error).contains("timestamp out of range"),
            "{error:?}"
        );
    }
    writer
        .write(&batch(0, vec![recorded_at(0, 9_224_318_015_999_999)]))
        .unwrap();
}

#[test]
fn constraint_of_the_operator_refuses_its_record_only() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[0.5])]);
    rig.run("ALTER TABLE results ADD CONSTRAINT small CHECK (y < 1)");
    let error = writer
        .write(&batch(1, vec![record_with(1, &[2.0])]))
        .unwrap_err();
    assert!(sentence(&error).contains("\"small\""), "{error:?}");
    writer
        .write(&batch(1, vec![record_with(1, &[0.7])]))
        .unwrap();
    assert_eq!(rig.count(), "2");
}

#[test]
fn columns_are_added_when_outputs_grow_and_types_never_change() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    write(&mut writer, vec![record_with_texts(1, &["seven"])]);
    assert_eq!(
        rig.rows("SELECT y, label FROM results ORDER BY \"offset\""),
        ["1|NULL", "NULL|seven"]
    );
    let other = batch(2, vec![parsed(2, vec![texts("y", &["text"])])]);
    let said = sentence(&writer.write(&other).unwrap_err());
    assert!(
        said.contains("column \"y\"") && said.contains("float4") && said.contains("Utf8"),
        "{said}"
    );
    let wider = fixed("label", DType::Float64, &[1], vec![0; 8]);
    let said = sentence(
        &writer
            .write(&batch(2, vec![parsed(2, vec![wider])]))
            .unwrap_err(),
    );
    assert!(said.contains("column \"label\""), "{said}");
}

#[test]
fn without_evolve_the_first_outputs_shape_the_table_and_others_are_refused() {
    let rig = Rig::new();
    let plan = || Plan {
        evolve: false,
        ..plan(&rig.table())
    };
    let mut writer = rig.open(plan()).unwrap();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    let more = || batch(1, vec![record_with_texts(1, &["seven"])]);
    let said = sentence(&writer.write(&more()).unwrap_err());
    assert!(said.contains("no column \"label\""), "{said}");
    rig.run("ALTER TABLE results ADD COLUMN label text");
    let mut restarted = rig.open(plan()).unwrap();
    restarted.claim(&own()).unwrap();
    restarted.write(&more()).unwrap();
}

#[test]
fn two_sinks_may_add_the_same_column() {
    let rig = Rig::new();
    let (mut one, mut other) = (rig.writer(), rig.writer());
    write(&mut one, vec![record_with(0, &[1.0])]);
    write(&mut other, vec![record_with(1, &[2.0])]);
    assert_eq!(rig.count(), "2");
}

#[test]
fn upsert_keeps_the_newest_result_of_each_key() {
    alike::upsert_keeps_the_newest_result_of_each_key(&Rig::new());
}

#[test]
fn upsert_by_an_output_makes_its_index_when_the_column_is_there() {
    let rig = Rig::new();
    let mut writer = rig.open(upsert(&rig.table(), &["y"])).unwrap();
    write(&mut writer, vec![with_id(0, "a", 1), with_id(1, "b", 1)]);
    write(&mut writer, vec![with_id(2, "c", 1)]);
    assert_eq!(rig.rows("SELECT id, y FROM results"), ["c|1"]);
}

#[test]
fn hostile_names_and_texts_are_stored_verbatim() {
    let rig = Rig::new();
    let table = format!("{}.my \"results\"; DROP", rig.schema);
    let mut writer = rig.open(plan(&table)).unwrap();
    write(&mut writer, vec![hostile(0)]);
    write(&mut writer, vec![hostile(1)]);
    let rows = rig.rows("SELECT \"y\"\"; DROP TABLE results; --\", \"ctid_2\", \"select\" FROM \"my \"\"results\"\"; DROP\"");
    let text = "'); DROP TABLE results; --";
    assert_eq!(rows, vec![[text; 3].join("|"); 2]);
}

#[test]
fn what_is_wrong_is_clear_at_the_start() {
    let rig = Rig::new();
    let absent = Plan {
        create: false,
        ..plan(&rig.table())
    };
    assert!(
        rig.refusal(absent.clone())
            .contains("is not there, and create is off")
    );
    rig.run("CREATE TABLE results (topic text, partition text)");
    let said = rig.refusal(absent.clone());
    assert!(
        said.contains("column \"partition\" of type text, and the sink writes Int32"),
        "{said}"
    );
    rig.run("ALTER TABLE results DROP COLUMN partition");
    let said = rig.refusal(absent);
    assert!(said.contains("ADD COLUMN \"partition\" integer"), "{said}");
    let no_index = upsert(&format!("{}.other", rig.schema), &["id"]);
    drop(rig.open(plan(&format!("{}.other", rig.schema))).unwrap());
    assert!(rig.refusal(no_index).contains("CREATE UNIQUE INDEX"));
    let vectors = Plan {
        vectors: true,
        ..plan(&format!("{}.other", rig.schema))
    };
    assert!(rig.refusal(vectors).contains("CREATE EXTENSION vector"));
}

#[test]
fn wrong_credentials_and_addresses_are_clear_at_the_start_and_hide_the_password() {
    let rig = Rig::new();
    let cases = [
        (
            rig.url.replace("throw-away", "guessed"),
            "password authentication failed",
        ),
        (
            rig.url.replace("/postgres", "/nowhere"),
            "database \"nowhere\" does not exist",
        ),
        (format!("{}?sslmode=disable&speed=high", rig.url), "speed"),
    ];
    for (url, expected) in cases {
        let error = PostgresWriter::open(&settings(&url), plan("results"))
            .err()
            .unwrap();
        let said = format!("{error:#}");
        assert!(said.contains(expected), "{said}");
        assert!(
            !said.contains("throw-away") && !said.contains("guessed"),
            "{said}"
        );
    }
}

#[test]
fn tls_is_checked_as_sslmode_says() {
    let rig = Rig::new();
    let authority = env::var("TEST_POSTGRES_CA").expect("scripts/with-databases sets it");
    let encrypted = |parameters: &str| {
        let settings = settings(&format!("{}?{parameters}", rig.url));
        let writer = PostgresWriter::open(&settings, plan(&rig.table()))?;
        let client = &writer.open.as_ref().unwrap().session.client;
        let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let encrypted: bool = writer
            .runtime
            .block_on(client.query_one_scalar(query, &[]))?;
        anyhow::Ok(encrypted)
    };
    assert!(!encrypted("sslmode=disable").unwrap());
    for mode in ["prefer", "require"] {
        assert!(encrypted(&format!("sslmode={mode}")).unwrap());
    }
    for mode in ["verify-ca", "verify-full"] {
        assert!(encrypted(&format!("sslmode={mode}&sslrootcert={authority}")).unwrap());
        let foreign = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign-authority.pem");
        let error = encrypted(&format!("sslmode={mode}&sslrootcert={foreign}")).unwrap_err();
        assert!(format!("{error:#}").contains("certificate"), "{error:#}");
    }
}

#[test]
fn locked_table_is_waited_for() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    rig.run("BEGIN; LOCK TABLE results");
    let rows = batch(1, vec![record_with(1, &[1.0])]);
    let error = writer.write(&rows).unwrap_err();
    assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    rig.run("ROLLBACK");
    writer.write(&rows).unwrap();
    assert_eq!(rig.count(), "2");
}

#[test]
fn session_that_was_ended_is_replaced() {
    let rig = Rig::new();
    // Its own name, so that no other test loses its session.
    let plan = Plan {
        pipeline: rig.schema.clone(),
        ..plan(&rig.table())
    };
    let mut writer = rig.open(plan).unwrap();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    rig.rows(&format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE application_name = 'millrace-sink {}'",
        rig.schema
    ));
    let rows = batch(1, vec![record_with(1, &[1.0])]);
    while let Err(error) = writer.write(&rows) {
        assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    }
    assert_eq!(rig.count(), "2");
}

#[test]
fn table_that_was_dropped_stops_the_sink_and_is_not_made_anew() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    rig.run("DROP TABLE results");
    let error = writer
        .write(&batch(1, vec![record_with(1, &[1.0])]))
        .unwrap_err();
    assert!(matches!(error, WriteError::Fatal(_)), "{error:?}");
    assert_eq!(rig.rows("SELECT to_regclass('results')"), ["NULL"]);
}

#[test]
fn renamed_pipeline_does_not_write_rows_twice() {
    alike::renamed_pipeline_does_not_write_rows_twice(&Rig::new());
}

#[test]
fn many_sinks_may_make_the_tables_at_once() {
    let rig = Rig::new();
    let (url, table) = (&rig.url, &rig.table());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let mut writer = PostgresWriter::open(&settings(url), plan(table)).unwrap();
                assert_eq!(writer.claim(&own()).unwrap(), 0);
            });
        }
    });
}

#[test]
fn check_finds_what_a_start_would_and_changes_nothing() {
    let rig = Rig::new();
    let check = || PostgresWriter::check(&settings(&rig.url), plan(&rig.table()));
    assert!(check().unwrap().ends_with("will be made at the start"));
    assert_eq!(rig.rows("SELECT to_regclass('results')"), ["NULL"]);
    drop(rig.writer());
    assert!(check().unwrap().ends_with("fits"));
    rig.run("ALTER TABLE results DROP COLUMN id");
    assert!(format!("{:#}", check().unwrap_err()).contains("ADD COLUMN \"id\" text"));
}
