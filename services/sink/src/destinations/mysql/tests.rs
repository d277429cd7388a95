use std::env;

use millrace_wire::DType;
use uuid::Uuid;

use super::*;
use crate::destinations::table::alike::{self, Database};
use crate::destinations::table::fixtures::{
    extremes, hostile, large, odd_floats, own, plan, recorded_at, sentence, settings, tensors,
    texts, write,
};
use crate::testing::{batch, fixed, parsed, record_of_failure, record_with, record_with_texts};

/// A database of its own in the server that `scripts/with-databases` starts.
struct Rig {
    database: String,
    url: String,
}

impl Rig {
    fn new() -> Self {
        let url = env::var("TEST_MARIADB_URL")
            .expect("these tests need MariaDB: run them with scripts/with-databases");
        let database = format!("sink_{}", Uuid::new_v4().simple());
        let mut connection = Conn::new(url.as_str()).unwrap();
        let create = format!("CREATE DATABASE {database} CHARACTER SET utf8mb4");
        connection.query_drop(create).unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        let url = format!("{server}/{database}");
        Self { database, url }
    }

    fn reader(&self) -> Conn {
        Conn::new(self.url.as_str()).unwrap()
    }

    fn run(&self, statement: &str) {
        self.reader().query_drop(statement).unwrap();
    }

    fn writer(&self) -> MysqlWriter {
        self.open(plan("results")).unwrap()
    }

    fn open(&self, plan: Plan) -> anyhow::Result<MysqlWriter> {
        MysqlWriter::open(&settings(&self.url), plan)
    }

    fn refusal(&self, plan: Plan) -> String {
        format!("{:#}", self.open(plan).err().unwrap())
    }

    /// Each row as text, its columns separated by bars.
    fn rows(&self, query: &str) -> Vec<String> {
        let rows: Vec<mysql::Row> = self.reader().query(query).unwrap();
        let cell = |value: Value| match value {
            Value::NULL => "NULL".to_owned(),
            Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => format!("{other:?}"),
        };
        rows.into_iter()
            .map(|row| {
                row.unwrap()
                    .into_iter()
                    .map(cell)
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect()
    }

    fn count(&self) -> String {
        self.rows("SELECT count(*) FROM results").remove(0)
    }
}

impl Database for Rig {
    const MARK: char = '`';

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
    let rows = rig.rows(
        "SELECT `offset`, `row`, y, status, error, id, `key`, recorded_at FROM results ORDER BY 1, 2",
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
    write(&mut rig.writer(), vec![extremes(0)]);
    let columns = "bool, `int8`, `int16`, `int32`, `int64`, uint8, uint16, uint32, uint64, float16,
                   bfloat16, float32 = CAST(0.1 AS FLOAT), float64, string, HEX(bytes)";
    let rows = rig.rows(&format!("SELECT {columns} FROM results ORDER BY `row`"));
    let expected = [
        "0|-128|-32768|-2147483648|-9223372036854775808|0|0|0|0|1.5|1.5|1|0.1||",
        "1|127|32767|2147483647|9223372036854775807|255|65535|4294967295|18446744073709551615|-65504|-1.5|0|2.2250738585072014e-308|it's \"1\\n\u{2028}größe😀'); DROP TABLE results; --|00FF27",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn floats_that_are_no_numbers_are_refused_for_their_record() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let error = writer.write(&batch(0, vec![odd_floats(0)])).unwrap_err();
    assert!(
        sentence(&error).contains("finite numbers only"),
        "{error:?}"
    );
    writer
        .write(&batch(0, vec![record_with(0, &[-0.0])]))
        .unwrap();
    // It prints no sign of zero.
    assert_eq!(rig.rows("SELECT y FROM results"), ["0"]);
}

#[test]
fn tensors_are_json() {
    let rig = Rig::new();
    write(&mut rig.writer(), vec![tensors(0), record_of_failure(1)]);
    let columns = "matrix, floats, empty, texts, raws, JSON_VALID(matrix)";
    let rows = rig.rows(&format!("SELECT {columns} FROM results ORDER BY `offset`"));
    let expected = [
        r#"[[1,2,3],[4,5,6]]|[1.5,"NaN","Infinity","-Infinity"]|[[],[]]|["a,\"b\"",""]|[{"b64":"AP8="}]|1"#,
        "NULL|NULL|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn large_tensors_and_many_rows_round_trip() {
    let rig = Rig::new();
    let records = (0..40).map(|offset| large(offset, 60_000)).collect();
    write(&mut rig.writer(), records);
    let rows = rig.rows(
        "SELECT count(*), min(JSON_LENGTH(y)), max(JSON_EXTRACT(y, '$[59999]')) FROM results",
    );
    assert_eq!(rows, ["40|60000|59999.0"]);
    let many = (40..3_000).map(|offset| large(offset, 1)).collect();
    write(&mut rig.writer(), many);
    assert_eq!(rig.count(), "3000");
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
fn locked_partition_is_waited_for() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let mut other = rig.reader();
    other.query_drop("START TRANSACTION").unwrap();
    other
        .query_drop("UPDATE millrace_progress SET next_offset = 7")
        .unwrap();
    let rows = batch(0, vec![record_with(0, &[1.0])]);
    let error = writer.write(&rows).unwrap_err();
    assert!(matches!(error, WriteError::Transient(_)), "{error:?}");
    other.query_drop("ROLLBACK").unwrap();
    writer.write(&rows).unwrap();
    assert_eq!(rig.count(), "1");
}

#[test]
fn what_no_column_holds_is_refused_for_its_record() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let error = writer
        .write(&batch(0, vec![recorded_at(0, i64::MAX)]))
        .unwrap_err();
    assert!(sentence(&error).contains("out of range"), "{error:?}");
    write(&mut writer, vec![record_with(0, &[0.5])]);
    rig.run("ALTER TABLE results ADD CONSTRAINT small CHECK (y < 1)");
    let error = writer
        .write(&batch(1, vec![record_with(1, &[2.0])]))
        .unwrap_err();
    assert!(sentence(&error).contains("small"), "{error:?}");
    rig.run("ALTER TABLE results MODIFY id VARCHAR(4)");
    let error = writer
        .write(&batch(1, vec![record_with(10, &[0.7])]))
        .unwrap_err();
    assert!(
        sentence(&error).contains("Data too long for column 'id'"),
        "{error:?}"
    );
    // A NUL is a character like any other here.
    rig.run("ALTER TABLE results MODIFY id LONGTEXT");
    writer
        .write(&batch(1, vec![record_with_texts(1, &["b\0c"])]))
        .unwrap();
    assert_eq!(
        rig.rows("SELECT HEX(label) FROM results WHERE label IS NOT NULL"),
        ["620063"]
    );
}

#[test]
fn row_larger_than_a_packet_is_refused() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    writer.claim(&own()).unwrap();
    let text = "x".repeat(17 << 20);
    let error = writer.write(&batch(0, vec![record_with_texts(0, &[&text])]));
    assert!(sentence(&error.unwrap_err()).contains("acket"));
    writer
        .write(&batch(0, vec![record_with_texts(0, &["small"])]))
        .unwrap();
    assert_eq!(rig.count(), "1");
}

#[test]
fn columns_are_added_when_outputs_grow_and_types_never_change() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    write(&mut writer, vec![record_with_texts(1, &["seven"])]);
    let rows = rig.rows("SELECT y, label FROM results ORDER BY `offset`");
    assert_eq!(rows, ["1|NULL", "NULL|seven"]);
    for tensor in [
        texts("y", &["text"]),
        fixed("label", DType::Float64, &[1], vec![0; 8]),
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
fn hostile_names_and_texts_are_stored_verbatim() {
    let rig = Rig::new();
    let mut writer = rig.open(plan("my `results`; DROP")).unwrap();
    write(&mut writer, vec![hostile(0)]);
    write(&mut writer, vec![hostile(1)]);
    let rows = rig.rows(
        "SELECT `y\"; DROP TABLE results; --`, ```y```, `select` FROM `my ``results``; DROP`",
    );
    assert_eq!(rows, vec![["'); DROP TABLE results; --"; 3].join("|"); 2]);
}

#[test]
fn what_is_wrong_is_clear_at_the_start() {
    let rig = Rig::new();
    let absent = Plan {
        create: false,
        ..plan("results")
    };
    assert!(
        rig.refusal(absent.clone())
            .contains("is not there, and create is off")
    );
    rig.run("CREATE TABLE results (topic TEXT, `partition` TEXT)");
    let said = rig.refusal(absent.clone());
    assert!(
        said.contains("column \"partition\" of type text, and the sink writes Int32"),
        "{said}"
    );
    rig.run("ALTER TABLE results DROP COLUMN `partition`");
    assert!(rig.refusal(absent).contains("ADD COLUMN `partition` INT"));
    rig.run("CREATE TABLE old (topic TEXT) ENGINE = MyISAM");
    assert!(rig.refusal(plan("old")).contains("without transactions"));
}

#[test]
fn wrong_credentials_and_addresses_are_clear_at_the_start_and_hide_the_password() {
    let rig = Rig::new();
    let cases = [
        (
            rig.url.replace("throw-away", "guessed"),
            "Access denied for user",
        ),
        (
            rig.url.replace(&rig.database, "nowhere"),
            "Unknown database 'nowhere'",
        ),
        (format!("{}?speed=high", rig.url), "speed"),
    ];
    for (url, expected) in cases {
        let error = MysqlWriter::open(&settings(&url), plan("results"))
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
    let authority = env::var("TEST_MARIADB_CA").expect("scripts/with-databases sets it");
    let encrypted = |parameters: &str| {
        let settings = settings(&format!("{}?{parameters}", rig.url));
        let mut writer = MysqlWriter::open(&settings, plan("results"))?;
        let connection = &mut writer.open.as_mut().unwrap().connection;
        let cipher: Option<(String, String)> =
            connection.query_first("SHOW STATUS LIKE 'Ssl_cipher'")?;
        anyhow::Ok(!cipher.unwrap().1.is_empty())
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
fn session_that_was_ended_is_replaced() {
    let rig = Rig::new();
    let mut writer = rig.writer();
    write(&mut writer, vec![record_with(0, &[1.0])]);
    let id = writer.open.as_ref().unwrap().connection.connection_id();
    rig.run(&format!("KILL {id}"));
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
    assert!(rig.rows("SHOW TABLES LIKE 'results'").is_empty());
}

#[test]
fn renamed_pipeline_does_not_write_rows_twice() {
    alike::renamed_pipeline_does_not_write_rows_twice(&Rig::new());
}

#[test]
fn check_finds_what_a_start_would_and_changes_nothing() {
    let rig = Rig::new();
    let check = || MysqlWriter::check(&settings(&rig.url), plan("results"));
    assert!(check().unwrap().ends_with("will be made at the start"));
    assert!(rig.rows("SHOW TABLES").is_empty());
    drop(rig.writer());
    assert!(check().unwrap().ends_with("fits"));
    rig.run("ALTER TABLE results DROP COLUMN id");
    assert!(format!("{:#}", check().unwrap_err()).contains("ADD COLUMN `id` LONGTEXT"));
}
