//! What the models topic says: the newest word of each replica about each model version.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_kafka::Record;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use serde::Serialize;

use crate::connection::Connection;
use crate::when;
use crate::whole_topic;

/// The newest descriptors, by the keys of their records.
#[derive(Default)]
pub(crate) struct Board {
    entries: BTreeMap<Option<Vec<u8>>, ModelDescriptor>,
    /// Records that are no descriptors.
    pub(crate) undecodable: usize,
}

/// One version of a model, over all replicas that serve it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Version {
    pub(crate) model: String,
    pub(crate) version: i64,
    /// The best that a living replica can do; `GONE` without any.
    pub(crate) state: &'static str,
    /// Replicas whose lease holds.
    pub(crate) replicas: usize,
    /// Replicas whose lease has run out without a good-bye.
    pub(crate) gone: usize,
    /// Records that the living replicas have not answered.
    pub(crate) backlog_records: i64,
    /// Of all living replicas, by name.
    pub(crate) labels: Vec<String>,
    /// The share of requests that it gets as the canary.
    pub(crate) canary_percent: i32,
    pub(crate) engine: String,
    /// SHA-256 of the model file, as far as a living replica knows it.
    pub(crate) weights_sha256: String,
    /// Whether living replicas know different ones.
    pub(crate) weights_differ: bool,
    /// Why a replica cannot serve it; empty if all can.
    pub(crate) reason: String,
}

impl Board {
    /// The topic as it is now.
    pub(crate) fn read(connection: &Connection) -> anyhow::Result<Self> {
        let mut board = Self::default();
        whole_topic::read(connection, &connection.topic("models"), |record| {
            board.take(record);
        })?;
        Ok(board)
    }

    pub(crate) fn take(&mut self, record: Record) {
        let Some(value) = record.value else {
            self.entries.remove(&record.key);
            return;
        };
        match ModelDescriptor::decode(&value) {
            Ok(descriptor) => {
                self.entries.insert(record.key, descriptor);
            }
            Err(_) => self.undecodable += 1,
        }
    }

    /// All descriptors, by model, version and replica.
    pub(crate) fn entries(&self) -> Vec<&ModelDescriptor> {
        let mut entries: Vec<&ModelDescriptor> = self.entries.values().collect();
        entries.sort_by_key(|it| (it.model.clone(), it.version, it.replica.clone()));
        entries
    }

    /// The model versions, by name and number.
    pub(crate) fn versions(&self, now_unix_ms: i64) -> Vec<Version> {
        let mut versions: Vec<Version> = Vec::new();
        for it in self.entries() {
            let known = versions
                .last()
                .is_some_and(|last| (&last.model, last.version) == (&it.model, it.version));
            if !known {
                versions.push(Version::without_replicas(it));
            }
            if let Some(version) = versions.last_mut() {
                version.add(it, now_unix_ms);
            }
        }
        versions
    }

    /// What the replicas that live say of a model, by version and replica.
    pub(crate) fn alive_of(&self, model: &str, now_unix_ms: i64) -> Vec<&ModelDescriptor> {
        let mut said = self.entries();
        said.retain(|it| it.model == model && is_alive(it, now_unix_ms));
        said
    }

    /// The sentence about a model that no living replica speaks of.
    pub(crate) fn nobody_knows(&self, model: &str) -> String {
        let mut known: Vec<&str> = self.entries().iter().map(|it| it.model.as_str()).collect();
        known.dedup();
        let gone = known.contains(&model);
        known.retain(|it| *it != model);
        match (gone, known.as_slice()) {
            (true, _) => {
                format!("no infer process that serves model {model} is alive; start millrace-infer")
            }
            (false, []) => format!(
                "nobody serves model {model}, nor any other; start millrace-infer with the same \
                 topics.prefix"
            ),
            (false, known) => {
                format!(
                    "nobody serves model {model}; there are: {}",
                    known.join(", ")
                )
            }
        }
    }

    /// Models that somebody alive serves.
    pub(crate) fn served(&self, now_unix_ms: i64) -> Vec<String> {
        let versions = self.versions(now_unix_ms).into_iter();
        let available = name(ModelState::Available);
        let mut served: Vec<String> = versions
            .filter(|version| version.state == available)
            .map(|version| version.model)
            .collect();
        served.dedup();
        served
    }
}

impl Version {
    fn without_replicas(descriptor: &ModelDescriptor) -> Self {
        Self {
            model: descriptor.model.clone(),
            version: descriptor.version,
            state: "GONE",
            replicas: 0,
            gone: 0,
            backlog_records: 0,
            labels: Vec::new(),
            canary_percent: 0,
            engine: String::new(),
            weights_sha256: String::new(),
            weights_differ: false,
            reason: String::new(),
        }
    }

    fn add(&mut self, replica: &ModelDescriptor, now_unix_ms: i64) {
        if self.engine.is_empty() {
            self.engine.clone_from(&replica.engine);
        }
        if !is_alive(replica, now_unix_ms) {
            self.gone += 1;
            return;
        }
        self.replicas += 1;
        let backlog = replica.backlog_records;
        self.backlog_records = self.backlog_records.saturating_add(backlog);
        self.state = better(self.state, name(replica.state));
        self.labels.extend(replica.labels.iter().cloned());
        self.labels.sort_unstable();
        self.labels.dedup();
        self.canary_percent = self.canary_percent.max(replica.canary_percent);
        match (&self.weights_sha256, &replica.weights_sha256) {
            (_, none) if none.is_empty() => {}
            (known, new) if known.is_empty() => self.weights_sha256.clone_from(new),
            (known, other) => self.weights_differ |= known != other,
        }
        if self.reason.is_empty() {
            self.reason.clone_from(&replica.reason);
        }
    }
}

/// Whether the lease holds.
pub(crate) fn is_alive(descriptor: &ModelDescriptor, now_unix_ms: i64) -> bool {
    descriptor.lease_until_unix_ms > now_unix_ms
}

/// How long a lease lasts, or since when it is gone.
pub(crate) fn lease(left_ms: i64) -> String {
    if left_ms > 0 {
        return format!("{} s left", left_ms / 1000);
    }
    let gone = Duration::from_millis(left_ms.unsigned_abs());
    format!("gone {}", when::span(gone))
}

/// The state as the models topic writes it.
pub(crate) fn name(state: ModelState) -> &'static str {
    match state {
        ModelState::Loading => "LOADING",
        ModelState::Available => "AVAILABLE",
        ModelState::Unloading => "UNLOADING",
        ModelState::End => "END",
        ModelState::Failed => "FAILED",
    }
}

/// The state that is nearer to serving.
pub(crate) fn better(left: &'static str, right: &'static str) -> &'static str {
    match rank(right) > rank(left) {
        true => right,
        false => left,
    }
}

fn rank(state: &str) -> usize {
    let worst_first = ["GONE", "END", "FAILED", "UNLOADING", "LOADING", "AVAILABLE"];
    worst_first
        .iter()
        .position(|known| *known == state)
        .unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a replica says of a model; its lease ends at 10 s.
    pub(crate) fn descriptor(model: &str, replica: &str, state: ModelState) -> ModelDescriptor {
        ModelDescriptor {
            model: model.to_owned(),
            version: 1,
            replica: replica.to_owned(),
            state,
            reason: String::new(),
            labels: vec!["stable".to_owned()],
            engine: "onnx".to_owned(),
            weights_sha256: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            max_batch_rows: 128,
            control_offset: -1,
            canary_percent: 0,
            delivery: String::new(),
            lanes: Vec::new(),
            backlog_records: 5,
            lease_until_unix_ms: 10_000,
        }
    }

    pub(crate) fn board(descriptors: &[ModelDescriptor]) -> Board {
        let mut board = Board::default();
        for descriptor in descriptors {
            board.take(record(descriptor, Some(descriptor.encode().unwrap())));
        }
        board
    }

    fn record(descriptor: &ModelDescriptor, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: "mill.models".into(),
            partition: 0,
            offset: 0,
            timestamp_unix_ms: Some(1000),
            key: Some(descriptor.key().into_bytes()),
            value,
            headers: millrace_kafka::Headers::new(),
        }
    }

    #[test]
    fn a_version_is_as_good_as_its_best_living_replica() {
        let mut dead = descriptor("digits", "a", ModelState::Available);
        dead.lease_until_unix_ms = 1;
        let loading = descriptor("digits", "b", ModelState::Loading);
        let serving = descriptor("digits", "c", ModelState::Available);
        let mut failed = descriptor("fraud", "c", ModelState::Failed);
        failed.reason = "no such operator".to_owned();
        let board = board(&[dead, loading, serving, failed]);
        let versions = board.versions(5000);
        assert_eq!(versions.len(), 2);
        let digits = &versions[0];
        assert_eq!(
            (digits.state, digits.replicas, digits.gone),
            ("AVAILABLE", 2, 1)
        );
        assert_eq!(digits.backlog_records, 10);
        assert!(!digits.weights_differ);
        assert_eq!(versions[1].reason, "no such operator");
        assert_eq!(board.served(5000), ["digits"]);
        assert!(board.served(10_000).is_empty());
    }

    #[test]
    fn a_version_has_the_labels_of_all_and_weights_that_differ_are_noticed() {
        let mut one = descriptor("digits", "a", ModelState::Available);
        one.weights_sha256 = "0a".repeat(32);
        let mut other = descriptor("digits", "b", ModelState::Available);
        other.labels = vec!["canary".to_owned()];
        other.canary_percent = 5;
        other.weights_sha256 = "0b".repeat(32);
        let mut same = other.clone();
        same.weights_sha256.clone_from(&one.weights_sha256);
        let version = |said: &[ModelDescriptor]| board(said).versions(0).remove(0);
        let differing = version(&[one.clone(), other]);
        assert_eq!(differing.labels, ["canary", "stable"]);
        assert_eq!(differing.canary_percent, 5);
        assert!(differing.weights_differ);
        let alike = version(&[one.clone(), same]);
        assert!(!alike.weights_differ);
        assert_eq!(alike.weights_sha256, one.weights_sha256);
    }

    #[test]
    fn a_model_that_nobody_speaks_of_is_told_apart_from_one_whose_replicas_are_gone() {
        let serving = descriptor("digits", "a", ModelState::Available);
        let board = board(&[serving]);
        assert_eq!(board.alive_of("digits", 0).len(), 1);
        assert!(board.alive_of("digits", i64::MAX).is_empty());
        assert!(board.nobody_knows("digits").contains("is alive"));
        assert!(board.nobody_knows("fraud").contains("there are: digits"));
        assert!(Board::default().nobody_knows("fraud").contains("nor any"));
    }

    #[test]
    fn a_tombstone_takes_a_replica_off_and_damage_is_counted() {
        let serving = descriptor("digits", "a", ModelState::Available);
        let mut board = board(std::slice::from_ref(&serving));
        board.take(record(&serving, Some(b"damaged".to_vec())));
        assert_eq!((board.entries().len(), board.undecodable), (1, 1));
        board.take(record(&serving, None));
        assert!(board.entries().is_empty());
    }

    #[test]
    fn lease_says_how_long_it_lasts_or_since_when_it_is_gone() {
        assert_eq!(lease(8_900), "8 s left");
        assert_eq!(lease(-30_500), "gone 30 s");
        assert!(lease(i64::MIN).starts_with("gone "));
    }
}
