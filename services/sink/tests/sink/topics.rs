//! A topic as destination: exactly once, in every format, for readers of committed records.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::ipc::reader::StreamReader;
use millrace_kafka::Record;
use serde_json::Value;

use crate::process::Process;
use crate::rig::{Ledger, Place, Rig, wait_until};

/// One pipeline, named `topic`, into a topic.
fn pipeline(destination: &str) -> String {
    format!(
        r#"
        [[pipelines]]
        name = "topic"
        models = ["digits"]
        destination = {{ type = "topic", transaction_timeout = "6s", {destination} }}
        roll = {{ rows = 100, age = "20ms" }}
        "#
    )
}

fn json_of(record: &Record) -> Value {
    serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()
}

/// Coordinates of the result that a row came from.
fn place_of(row: &Value) -> Place {
    let partition = row["partition"].as_i64().unwrap();
    (
        i32::try_from(partition).unwrap(),
        row["offset"].as_i64().unwrap(),
    )
}

/// Waits until every result is in the topic, then holds the rows against the ledger: each once.
fn check_exactly_once(rig: &Rig, topic: &str) {
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    let records = rig.records_of(topic, ledger.len());
    let mut rows = Ledger::new();
    for record in &records {
        let row = json_of(record);
        let y = row["y"].as_i64().map(|y| i32::try_from(y).unwrap());
        let before = rows.insert(place_of(&row), y);
        assert_eq!(before, None, "doubled: {row}");
    }
    assert_eq!(rows, ledger);
}

#[test]
fn killed_sink_neither_loses_nor_doubles_records_of_a_topic() {
    let mut rig = Rig::new();
    let topic = rig.new_topic("rows", &[]);
    let pipeline = pipeline(&format!(r#"topic = "{topic}", format = "json""#));
    for _ in 0..5 {
        let sink = rig.start_with("instance = \"0\"", &pipeline);
        rig.send(4000);
        rig.wait_acknowledged();
        // Dies among its transactions: some are committed, some are to come.
        wait_until("the sink has committed something", || {
            sink.metric("millrace_sink_rows_total{pipeline=\"topic\"}") > 0
        });
        let moment = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 4;
        std::thread::sleep(Duration::from_millis(moment));
        sink.kill();
    }
    let sink = rig.start_with("instance = \"0\"", &pipeline);
    check_exactly_once(&rig, &topic);
    assert!(sink.stop().success());
    assert_eq!(rig.lag("topic"), 0, "the transactions hold the progress");
    check_exactly_once(&rig, &topic);
}

#[test]
fn sink_that_slept_while_another_took_over_writes_nothing_more_to_the_topic() {
    let mut rig = Rig::new();
    let topic = rig.new_topic("rows", &[]);
    let quick = pipeline(&format!(r#"topic = "{topic}""#));
    // Long enough that it sleeps with records in hand.
    let slow = quick
        .replace("20ms", "5s")
        .replace("rows = 100", "rows = 100000");
    let sleeper = rig.start_with("", &slow);
    rig.send(300);
    wait_until("the first sink has records in hand", || {
        sleeper.waiting(&rig, "topic") > 0
    });
    sleeper.signal("STOP");
    rig.send(300);
    let successor = rig.start_with("", &quick);
    check_exactly_once(&rig, &topic);
    sleeper.signal("CONT");
    rig.send(300);
    check_exactly_once(&rig, &topic);
    wait_until("the sleeper is well again or gone", || {
        is_well_or_gone(&sleeper)
    });
    assert!(successor.stop().success());
    rig.send(300);
    check_exactly_once(&rig, &topic);
}

fn is_well_or_gone(sink: &Process) -> bool {
    sink.get("/ready").contains("true") || sink.get("/live").is_empty()
}

#[test]
fn record_that_the_topic_refuses_is_dead_lettered_alone() {
    let mut rig = Rig::new();
    let topic = rig.new_topic("small", &[("max.message.bytes", "100000")]);
    let _sink = rig.start_with("", &pipeline(&format!(r#"topic = "{topic}""#)));
    rig.send(50);
    rig.send_large();
    rig.send(50);
    let letters = rig.dead_letters(1);
    check_exactly_once(&rig, &topic);
    assert_eq!(letters.len(), 1);
}

#[test]
fn arrow_topic_holds_one_stream_per_result() {
    let mut rig = Rig::new();
    let topic = rig.new_topic("arrow", &[]);
    let _sink = rig.start_with(
        "",
        &pipeline(&format!(r#"topic = "{topic}", format = "arrow""#)),
    );
    rig.send(100);
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    for record in rig.records_of(&topic, ledger.len()) {
        let value = record.value.unwrap();
        let mut stream = StreamReader::try_new(&value[..], None).unwrap();
        let rows = stream.next().unwrap().unwrap();
        assert_eq!(rows.num_rows(), 1);
        let partition = rows["partition"].as_primitive::<Int32Type>().value(0);
        let offset = rows["offset"].as_primitive::<Int64Type>().value(0);
        let expected = ledger[&(partition, offset)];
        let y = rows
            .column_by_name("y")
            .map(|y| y.as_primitive::<Int32Type>());
        assert_eq!(y.and_then(|y| y.iter().next().flatten()), expected);
        let id = rows["id"].as_string::<i32>().value(0);
        assert_eq!(record.headers.get_first("mr-id"), Some(id.as_bytes()));
        assert_eq!(record.key.unwrap(), rows["key"].as_binary::<i32>().value(0));
    }
}

#[test]
fn avro_topic_is_read_by_confluent_deserializer_through_the_registry() {
    let registry = Registry::start();
    let mut rig = Rig::new();
    let topic = rig.new_topic("avro", &[]);
    let destination = format!(
        r#"topic = "{topic}", format = "avro", registry = {{ url = "{}" }}"#,
        registry.url()
    );
    let _sink = rig.start_with("", &pipeline(&destination));
    rig.send(100);
    rig.wait_acknowledged();
    let ledger = rig.ledger();
    rig.records_of(&topic, ledger.len());
    let mut rows = Ledger::new();
    for row in registry.read(&rig, &topic) {
        assert_eq!(row["model"], "digits");
        let y = row["y"].as_i64().map(|y| i32::try_from(y).unwrap());
        assert_eq!(y.is_none(), row["status"] != "OK");
        rows.insert(place_of(&row), y);
    }
    assert_eq!(rows, ledger);
}

#[test]
fn registry_that_is_away_is_waited_for() {
    let mut rig = Rig::new();
    let topic = rig.new_topic("avro", &[]);
    let registry = Registry::reserve();
    let destination = format!(
        r#"topic = "{topic}", format = "avro", registry = {{ url = "{}" }}"#,
        registry.url()
    );
    let sink = rig.start_with("", &pipeline(&destination));
    rig.send(20);
    wait_until("the sink says what it waits for", || {
        sink.get("/ready").contains("schema registry")
    });
    let registry = registry.start_now();
    rig.records_of(&topic, 20);
    assert_eq!(registry.read(&rig, &topic).len(), 20);
}

/// A real schema registry, ended when dropped.
struct Registry {
    port: u16,
    process: Option<Child>,
}

impl Registry {
    fn start() -> Self {
        Self::reserve().start_now()
    }

    /// An address without anybody there.
    fn reserve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self {
            port,
            process: None,
        }
    }

    fn start_now(mut self) -> Self {
        let process = Command::new(root().join("scripts/registry"))
            .args(["run", "--port", &self.port.to_string()])
            .spawn()
            .unwrap();
        self.process = Some(process);
        self
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// All rows of a topic, as confluent-kafka's own deserializer reads them.
    fn read(&self, rig: &Rig, topic: &str) -> Vec<Value> {
        let reader = root().join("services/sink/tests/sink/read_avro.py");
        let output = Command::new(root().join(".venv/bin/python"))
            .arg(reader)
            .args([&rig.brokers, topic, &self.url()])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn missing_topic_is_named_at_the_start() {
    let rig = Rig::new();
    let topic = format!("{}.nowhere", rig.prefix);
    let sink = rig.start_with("", &pipeline(&format!(r#"topic = "{topic}""#)));
    assert!(!sink.wait().success());
}

#[test]
fn missing_topic_is_made_where_the_settings_say_so() {
    let mut rig = Rig::new();
    let topic = format!("{}.made", rig.prefix);
    let _sink = rig.start_with(
        "",
        &pipeline(&format!(r#"topic = "{topic}", partitions = 3"#)),
    );
    rig.send(30);
    wait_until("the topic is there", || rig.partitions(&topic) == Some(3));
    check_exactly_once(&rig, &topic);
}
