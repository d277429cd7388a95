//! A probe model in three versions that differ where it is known, what is asked of them, and what their results say.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

use arrow::buffer::Buffer;
use e2e::{Feed, Infer, Line, ModelFolder, PATIENCE, Process, Tap, header, project_path, wait_for};
use millrace_kafka::{Admin, Cluster, Record};
use millrace_wire::avro::ModelState;
use millrace_wire::{DType, Tensor, encode_tensors};
use serde_json::Value;

use crate::command_line::succeed;
use crate::hot_swap::wait_state;

const PARTITIONS: u32 = 3;
/// Version 1 is y = x, version 2 is y = 2x + 1: they agree where all of x is -1. Version 3 fails where x begins with 13.
const VERSIONS: [(i64, &str); 3] = [(1, "echo"), (2, "affine"), (3, "fails_if")];
const ALL: &str = "[versions]\npolicy = \"all\"\nlabels = { stable = 1, next = 2 }\n";

/// A line that serves the three versions.
pub(crate) struct Scene {
    pub(crate) line: Line,
    _models: ModelFolder,
    _infer: Process,
    pub(crate) feed: Feed,
    pub(crate) results: Tap,
}

impl Scene {
    pub(crate) fn new(settings: &str) -> Self {
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
    pub(crate) fn send(&self, numbers: Range<usize>) {
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

    pub(crate) fn replay<'a>(&self, model: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["replay", "--json", "--model", model, "--to", to];
        arguments.extend(more);
        arguments
    }

    pub(crate) fn report(&self, model: &str, to: &str, more: &[&str]) -> Value {
        let printed = succeed(&self.line, &self.replay(model, to, more));
        serde_json::from_str(&printed).expect("the report is JSON")
    }

    /// Waits until a topic is there; all that is in it.
    pub(crate) fn tap(&self, topic: &str) -> Tap {
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

pub(crate) fn probe(x: [f32; 4]) -> Vec<u8> {
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
pub(crate) fn check_once_and_in_order(records: &[Record], requests: usize) {
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
pub(crate) fn check_lineage(records: &[Record], version: &str) {
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

/// Those that the version has answered, not refused.
pub(crate) fn by_version(records: &[Record], version: &str) -> Vec<Record> {
    let is_of = |record: &&Record| {
        header(record, "mr-version") == Some(version)
            && header(record, "mr-status") == Some("OK")
            && record.key.is_some()
    };
    records.iter().filter(is_of).cloned().collect()
}
