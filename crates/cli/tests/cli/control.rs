//! What operators want of models: written to the control topic, followed by a played replica.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_kafka::{Cluster, Follower, FollowerSettings, Metrics, Record};
use millrace_wire::avro::{ModelControl, ModelDescriptor, ModelState};
use serde_json::json;

use crate::line::{Line, record};
use crate::looking::descriptor;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A replica that knows versions 1 and 2 of `digits`, serves the first, and fails to load a third.
struct Replica {
    line: Arc<Line>,
    name: &'static str,
}

impl Replica {
    /// Publishes what it serves, and follows what is wanted from now on.
    fn start(line: &Arc<Line>, name: &'static str) -> Follower {
        let replica = Self {
            line: Arc::clone(line),
            name,
        };
        replica.publish(-1, &ModelControl::of("digits"));
        let topic = line.topic("control");
        let follow = FollowerSettings::whole_topic(Cluster::at(line.brokers()), topic);
        let on_record = move |record: Record| {
            let value = record.value.unwrap();
            replica.publish(record.offset, &ModelControl::decode(&value).unwrap());
        };
        let follower = Follower::start(follow, on_record, &Metrics::default()).unwrap();
        follower.wait_caught_up(PATIENCE).unwrap();
        follower
    }

    fn publish(&self, control_offset: i64, control: &ModelControl) {
        let stable = control.labels.get("stable").copied().flatten();
        let states = [
            (1, ModelState::Available),
            (
                2,
                match stable {
                    Some(2) => ModelState::Available,
                    _ => ModelState::End,
                },
            ),
            (3, ModelState::Failed),
        ];
        let records = states.map(|(version, state)| {
            let said = self.says((version, state), control_offset, control);
            let mut record = record(Some(said.encode().unwrap()));
            record.key = Some(said.key().into_bytes());
            record
        });
        // Version 3 appears with the label that wants it.
        let count = 2 + usize::from(stable == Some(3));
        self.line.write("models", records[..count].to_vec());
    }

    fn says(
        &self,
        (version, state): (i64, ModelState),
        control_offset: i64,
        control: &ModelControl,
    ) -> ModelDescriptor {
        let labels = control.labels.iter();
        let labels =
            labels.filter(|(_, it)| **it == Some(version) && state == ModelState::Available);
        let labels: Vec<String> = labels.map(|(label, _)| label.clone()).collect();
        let is_canary = |it: &&millrace_wire::avro::Canary| labels.contains(&it.label);
        let canary = control.canary.as_ref().filter(is_canary);
        ModelDescriptor {
            version,
            state: match control.unloaded {
                true => ModelState::End,
                false => state,
            },
            reason: match state {
                ModelState::Failed => "no such operator".to_owned(),
                _ => String::new(),
            },
            canary_percent: canary.map_or(0, |it| it.percent),
            labels,
            control_offset,
            weights_sha256: format!("{version}a").repeat(32),
            ..descriptor(self.name, state)
        }
    }
}

fn line() -> Arc<Line> {
    Arc::new(Line::new(&["digits"]))
}

#[test]
fn a_label_is_set_once_every_replica_shows_it() {
    let line = line();
    let _replicas = ["a", "b"].map(|name| Replica::start(&line, name));
    let set = ["models", "labels", "set", "digits", "stable", "2"];
    let answer = line.run(&set).good();
    assert_eq!(
        answer.text(),
        "digits: label stable is version 2, on 2 replicas\n"
    );
    let listed = line.json(&["models", "labels", "list", "digits"]);
    let expected = json!([{
        "model": "digits", "label": "stable", "version": 2, "state": "AVAILABLE",
        "replicas": 2, "of_replicas": 2, "canary_percent": 0,
    }]);
    assert_eq!(listed, expected);
    let shown = line.json(&["models", "show", "digits"]);
    assert_eq!(shown["version"], 2);
    assert_eq!(shown["versions"][0]["version"], 1);
    assert_eq!(shown["weights_sha256"], json!("2a".repeat(32)));

    let removed = line.json(&["models", "labels", "remove", "digits", "stable"]);
    assert_eq!(removed["done"], json!(true));
    assert_eq!(removed["replicas"], json!(["a", "b"]));
    assert_eq!(line.json(&["models", "labels", "list"]), json!([]));
}

#[test]
fn labels_set_at_the_same_time_are_all_there() {
    let line = line();
    let _replica = Replica::start(&line, "a");
    std::thread::scope(|scope| {
        for label in ["red", "green", "blue"] {
            let line = &line;
            scope.spawn(move || {
                line.run(&["models", "labels", "set", "digits", label, "1"])
                    .good();
            });
        }
    });
    let listed = line.json(&["models", "labels", "list"]);
    let labels = listed.as_array().unwrap().iter();
    let labels: Vec<&str> = labels.map(|it| it["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["blue", "green", "red"]);
}

#[test]
fn a_canary_runs_and_stops_and_a_model_is_unloaded_and_loaded() {
    let line = line();
    let _replica = Replica::start(&line, "a");
    line.run(&["models", "canary", "digits", "new", "5"])
        .refused(5, "has no label new");
    line.run(&["models", "labels", "set", "digits", "new", "1"])
        .good();
    let started = line
        .run(&["models", "canary", "digits", "new", "5%"])
        .good();
    assert!(
        started
            .text()
            .contains("5 % of the requests go to label new")
    );
    let list = line.run(&["models", "list"]).good().text();
    assert!(list.contains("new (5 %)"), "{list}");
    line.run(&["models", "canary", "digits", "--off"]).good();
    assert_eq!(line.json(&["models", "list"])[0]["canary_percent"], 0);

    line.run(&["models", "unload", "digits"]).good();
    assert_eq!(line.json(&["models", "list"])[0]["state"], "END");
    line.run(&["models", "load", "digits"]).good();
    let listed = line.json(&["models", "list"]);
    assert_eq!(listed[0]["state"], "AVAILABLE");
    assert_eq!(listed[0]["labels"], json!(["new"]), "it was kept: {listed}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let line = line();
    line.run(&["models", "load", "digits"])
        .refused(5, "nobody serves model digits");
    let _replica = Replica::start(&line, "a");
    line.run(&["models", "unload", "fraud"])
        .refused(5, "there are: digits");
    line.run(&["models", "labels", "set", "digits", "stable", "7"])
        .refused(5, "there are: 1 (AVAILABLE), 2 (END)");
    line.run(&["models", "labels", "remove", "digits", "stable"])
        .refused(5, "has no label stable");
    line.run(&["models", "labels", "set", "digits", "a/b", "1"])
        .refused(2, "letters, digits");
    line.run(&["models", "canary", "digits", "stable", "101"])
        .refused(2, "0 to 100");
    assert!(line.read("control").is_empty());
}

#[test]
fn what_the_replicas_cannot_do_is_told_with_their_reasons() {
    let line = line();
    let _replica = Replica::start(&line, "a");
    let failed = line.run(&[
        "models", "labels", "set", "digits", "stable", "3", "--ahead",
    ]);
    failed.refused(6, "a: version 3 failed to load: no such operator");
    // It was asked for all the same: the newest record says so.
    let records = line.read("control");
    let newest = records.last().unwrap().value.as_ref().unwrap();
    let control = ModelControl::decode(newest).unwrap();
    let stable = BTreeMap::from([("stable".to_owned(), Some(3))]);
    assert_eq!(control.labels, stable);
    line.run(&["models", "labels", "set", "digits", "canary", "3"])
        .refused(1, "no such operator");
}

#[test]
fn a_replica_that_does_not_follow_is_waited_for_only_so_long() {
    let line = line();
    let deaf = descriptor("deaf", ModelState::Available);
    let mut published = record(Some(deaf.encode().unwrap()));
    published.key = Some(deaf.key().into_bytes());
    line.write("models", vec![published]);
    let unload = ["models", "unload", "digits"];
    line.run(&[&unload[..], &["--timeout", "1"]].concat())
        .refused(6, "1 of 1 replicas have not followed it yet: deaf");
    let asked = line.run(&[&unload[..], &["--no-wait"]].concat()).good();
    assert!(asked.text().contains("is asked for"), "{}", asked.text());
    assert_eq!(asked.err, "");
}
