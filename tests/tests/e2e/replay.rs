//! `millrace replay`: past and live requests through another version, without a trace in what the line answers; a
//! replay that is killed goes on, and its report is that of one that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Command};

use arrow::buffer::Buffer;
use e2e::{Feed, Infer, Line, ModelFolder, PATIENCE, Process, Tap, header, project_path, wait_for};
use millrace_kafka::{Admin, Cluster, Record};
use millrace_wire::avro::ModelState;
use millrace_wire::{DType, Tensor, encode_tensors};
use serde_json::Value;

use crate::command_line::{path, run, said, start, succeed};
use crate::hot_swap::wait_state;

const PARTITIONS: u32 = 3;
/// Version 1 is y = x, version 2 is y = 2x + 1: they agree where all of x is -1. Version 3 fails where x begins with 13.
const VERSIONS: [(i64, &str); 3] = [(1, "echo"), (2, "affine"), (3, "fails_if")];
const ALL: &str = "[versions]\npolicy = \"all\"\nlabels = { stable = 1, next = 2 }\n";
const EXACTLY_ONCE: &str = "delivery = \"exactly_once\"";

struct Scene {
    line: Line,
    _models: ModelFolder,
    _infer: Process,
    feed: Feed,
    results: Tap,
}

impl Scene {
    fn new(settings: &str) -> Self {
        let line = Line::new(&["probe"], PARTITIONS);
        let models = ModelFolder::new();
        for (version, name) in VERSIONS {
            let file = project_path("tests/models").join(name).join("1/model.onnx");
            models.put_bytes("probe", version, &fs::read(file).expect("a probe model"));
        }
        models.say("probe", ALL);
        let mut infer = line.infer(Infer {
            models: models.path().to_str().expect("a path of text"),
            names: &["probe"],
            settings,
            ..Infer::default()
        });
        infer.wait_ready();
        let told = Tap::open(&line, "models");
        for (version, _) in VERSIONS {
            wait_state(&told, ("probe", version), ModelState::Available);
        }
        Self {
            feed: Feed::new(&line, "requests.probe"),
            results: Tap::open(&line, "results.probe"),
            line,
            _models: models,
            _infer: infer,
        }
    }

    /// Sends numbered requests, a key for each; every fifth is one that versions 1 and 2 agree on.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let first = u16::try_from(number).expect("a small number");
            let x = match number % 5 {
                0 => [-1.0; 4],
                _ => [f32::from(first), 1.0, 2.0, 3.0],
            };
            let id = number.to_string();
            let headers = [
                ("b", "1"),
                ("mr-id", id.as_str()),
                ("a", id.as_str()),
                ("b", "2"),
            ];
            let key = format!("key-{number}");
            self.feed.send_keyed(&key, Some(probe(x)), &headers);
        }
        self.feed.flush();
    }

    fn replay<'a>(&self, model: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["replay", "--json", "--model", model, "--to", to];
        arguments.extend(more);
        arguments
    }

    fn report(&self, model: &str, to: &str, more: &[&str]) -> Value {
        let printed = succeed(&self.line, &self.replay(model, to, more));
        serde_json::from_str(&printed).expect("the report is JSON")
    }

    /// Waits until a topic is there; all that is in it.
    fn tap(&self, topic: &str) -> Tap {
        let cluster = Cluster {
            brokers: self.line.brokers().to_owned(),
            ..Cluster::default()
        };
        let admin = Admin::connect(&cluster).expect("a client starts");
        let name = self.line.topic(topic);
        wait_for(PATIENCE, &format!("topic {name}"), || {
            admin.partition_count(&name).ok().flatten()
        });
        Tap::open(&self.line, topic)
    }
}

fn probe(x: [f32; 4]) -> Vec<u8> {
    let data = Buffer::from_vec(x.to_vec());
    let tensor = Tensor::fixed("x", DType::Float32, vec![1, 4], data).expect("four numbers");
    encode_tensors(&[tensor]).expect("a tensor encodes")
}

/// The request's offset that a result names, and the partition.
fn source(record: &Record) -> (i32, i64) {
    let text = header(record, "mr-source").expect("a source");
    let mut parts = text.rsplit('/');
    let offset = parts
        .next()
        .and_then(|it| it.parse().ok())
        .expect("an offset");
    let partition = parts
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a partition");
    (partition, offset)
}

/// Every request once, in its partition and in the order of its partition.
fn check_once_and_in_order(records: &[Record], requests: usize) {
    let all: BTreeSet<(i32, i64)> = records.iter().map(source).collect();
    assert_eq!(
        (records.len(), all.len()),
        (requests, requests),
        "each once"
    );
    for partition in 0..i32::try_from(PARTITIONS).expect("a few") {
        let of_partition = records.iter().filter(|it| it.partition == partition);
        let sources: Vec<(i32, i64)> = of_partition.map(source).collect();
        assert!(sources.is_sorted(), "partition {partition} is in order");
        assert!(sources.iter().all(|(from, _)| *from == partition));
    }
}

/// Which request, by whom, with which weights; what nobody knows is passed on in order.
fn check_lineage(records: &[Record], version: &str) {
    let (_, name) = VERSIONS[version.parse::<usize>().expect("a version") - 1];
    let file = project_path("tests/models").join(name).join("1/model.onnx");
    let weights = sha256(&fs::read(file).expect("a probe model"));
    for record in records {
        assert_eq!(header(record, "mr-status"), Some("OK"));
        assert_eq!(header(record, "mr-model"), Some("probe"));
        assert_eq!(header(record, "mr-version"), Some(version));
        assert_eq!(header(record, "mr-weights-sha256"), Some(weights.as_str()));
        let id = header(record, "mr-id").expect("an id").to_owned();
        let key = format!("key-{id}");
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        let unknown = record
            .headers
            .iter()
            .filter(|(name, _)| matches!(*name, "a" | "b"));
        let unknown: Vec<_> = unknown.collect();
        let value = |text: &'static str| Some(text.as_bytes());
        let expected = [
            ("b", value("1")),
            ("a", Some(id.as_bytes())),
            ("b", value("2")),
        ];
        assert_eq!(unknown, expected);
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The counts of a report, which do not depend on when it was made. Its stretch does: `end` lies behind the copies of
/// earlier replays, which are passed over.
fn counts(report: &Value) -> BTreeMap<&str, Value> {
    let keys = [
        "results",
        "compared",
        "agreeing",
        "agreement",
        "top1",
        "apart",
        "failures",
        "largest_differences",
    ];
    keys.map(|key| (key, report[key].clone())).into()
}

fn replay_leaves_the_line_alone(settings: &str) {
    let scene = Scene::new(settings);
    scene.send(0..200);
    let expired = [("mr-id", "200"), ("mr-deadline", "1000")];
    scene.feed.send(Some(1), Some(probe([-1.0; 4])), &expired);
    scene
        .feed
        .send(Some(2), Some(b"no Arrow".to_vec()), &[("mr-id", "201")]);
    scene.feed.flush();
    let letters = Tap::open(&scene.line, "dead-letters");
    let answered = scene.results.wait_for(202);
    letters.wait_for(1);
    check_lineage(&by_version(&answered, "1"), "1");

    let report = scene.report("probe@2", "results.shadow", &["--from", "beginning"]);
    assert_eq!(
        (&report["results"], &report["compared"]),
        (&202.into(), &200.into())
    );
    assert_eq!(
        (&report["agreeing"], &report["agreement"]),
        (&40.into(), &0.2.into())
    );
    assert_eq!(report["top1"]["agreement"], 1.0, "2x + 1 keeps the order");
    assert_eq!(report["apart"]["original_failed"], 1, "it had expired");
    assert_eq!(report["apart"]["both_failed"], 1, "it is no Arrow");
    let largest = &report["largest_differences"][0];
    assert_eq!(
        (&largest["key"], &largest["amount"]),
        (&"key-199".into(), &200.0.into())
    );
    assert_eq!(
        (&largest["before"], &largest["now"]),
        (&"199".into(), &"399".into())
    );
    let of_199 = answered
        .iter()
        .find(|it| header(it, "mr-id") == Some("199"));
    let coordinates = of_199.and_then(|it| header(it, "mr-source"));
    assert_eq!(largest["request"].as_str(), coordinates);
    assert!(
        report["latency"]["p50_ms"]
            .as_f64()
            .is_some_and(|ms| ms > 0.0)
    );

    let shadow = scene.tap("results.shadow").wait_for(202);
    check_once_and_in_order(&shadow, 202);
    check_lineage(&by_version(&shadow, "2")[..200], "2");
    // A version that fails is counted and leaves no dead letter either; a label names a version, too.
    let failing = scene.report("probe@3", "results.third", &[]);
    assert_eq!(
        (
            &failing["apart"]["failed"],
            &failing["failures"]["INVALID_ARGUMENT"]
        ),
        (&1.into(), &2.into())
    );
    let refused = run(
        &scene.line,
        &scene.replay("probe:next", "results.shadow", &["--require", "0.9"]),
    );
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));

    // The line goes on as if nothing had been: its next answer is the next record of its topics.
    scene.send(202..203);
    let records = scene.results.wait_for(203);
    assert_eq!(
        records.len(),
        203,
        "nothing but what the line itself was asked"
    );
    assert_eq!(letters.records().len(), 1);
}

/// Those that the version has answered, not refused.
fn by_version(records: &[Record], version: &str) -> Vec<Record> {
    let is_of = |record: &&Record| {
        header(record, "mr-version") == Some(version)
            && header(record, "mr-status") == Some("OK")
            && record.key.is_some()
    };
    records.iter().filter(is_of).cloned().collect()
}

#[test]
fn a_replay_reports_exactly_and_leaves_results_and_dead_letters_alone() {
    replay_leaves_the_line_alone("");
}

#[test]
fn a_replay_leaves_the_line_alone_under_exactly_once_too() {
    replay_leaves_the_line_alone(EXACTLY_ONCE);
}

#[test]
fn a_replay_that_is_killed_goes_on_and_writes_nothing_twice() {
    let scene = Scene::new("");
    scene.send(0..600);
    scene.results.wait_for(600);
    let stretch = ["--until", "end", "--in-flight", "8"];
    let calm = scene.report("probe@2", "results.calm", &stretch);
    let mut slow = scene.replay("probe@2", "results.killed", &stretch);
    slow.extend(["--rate", "150"]);
    let mut before = 0;
    for kill in 0..3 {
        let mut replay = start(&scene.line, &slow);
        let killed = scene.tap("results.killed");
        wait_for(PATIENCE, "further results", || {
            assert_running(&scene, &mut replay, kill);
            (killed.records().len() > before).then_some(())
        });
        replay.kill().expect("the process is ours to kill");
        replay.wait().expect("a killed process ends");
        before = killed.records().len();
        assert!(before < 600, "kill {kill} came too late");
    }
    let rest = scene.replay("probe@2", "results.killed", &stretch);
    let ended = run(&scene.line, &rest);
    assert!(ended.status.success(), "{}", said(&ended));
    assert!(
        said(&ended).contains("going on with replay"),
        "{}",
        said(&ended)
    );
    let report: Value = serde_json::from_slice(&ended.stdout).expect("the report is JSON");
    assert_eq!(counts(&report), counts(&calm));
    check_once_and_in_order(&scene.tap("results.killed").wait_for(600), 600);
    assert_eq!(scene.results.records().len(), 600);
}

#[test]
fn live_requests_are_followed_until_an_interrupt_and_reported() {
    let scene = Scene::new("");
    let file = path(&scene.line, "report.json");
    let arguments = ["--follow", "--from", "beginning", "--out", &file];
    let mut replay = start(
        &scene.line,
        &scene.replay("probe@2", "results.live", &arguments),
    );
    let live = scene.tap("results.live");
    for round in 0..3 {
        scene.send(round * 20..(round + 1) * 20);
        wait_for(PATIENCE, "live results", || {
            assert_running(&scene, &mut replay, round);
            (live.records().len() >= (round + 1) * 20).then_some(())
        });
    }
    scene.results.wait_for(60);
    interrupt(&replay);
    let status = replay.wait().expect("it ends by itself");
    let log = fs::read_to_string(scene.line.dir().join("millrace.log")).unwrap_or_default();
    assert!(status.success(), "{log}");
    let report = fs::read(&file).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    assert_eq!(
        (&report["results"], &report["compared"]),
        (&60.into(), &60.into())
    );
    assert_eq!(report["agreeing"], 12);
    check_once_and_in_order(&live.records(), 60);
    assert_eq!(scene.results.records().len(), 60);
}

#[test]
fn a_replay_refuses_the_lines_own_topics_and_an_empty_stretch() {
    let scene = Scene::new("");
    for own in ["results.probe", "requests.other", "replies", "dead-letters"] {
        let refused = run(&scene.line, &scene.replay("probe@2", own, &[]));
        assert_eq!(refused.status.code(), Some(2), "{own}: {}", said(&refused));
    }
    let empty = run(&scene.line, &scene.replay("probe@2", "results.shadow", &[]));
    assert_eq!(empty.status.code(), Some(6));
    assert!(said(&empty).contains("no request"), "{}", said(&empty));
    let nobody = run(&scene.line, &scene.replay("probe@9", "results.shadow", &[]));
    assert_eq!(nobody.status.code(), Some(5), "{}", said(&nobody));
}

fn assert_running(scene: &Scene, replay: &mut Child, round: usize) {
    if let Some(status) = replay.try_wait().expect("our own child can be waited for") {
        let log = fs::read_to_string(scene.line.dir().join("millrace.log")).unwrap_or_default();
        panic!("replay ended with {status} in round {round}: {log}");
    }
}

/// As Ctrl-C does.
fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}
