//! A sink that copies results into a topic, exactly once, on three brokers.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use e2e::{Process, Tap, wait_for};
use millrace_kafka::Record;
use serde_json::Value;

use crate::replica::Replica;
use crate::rig::{Delivery, MODEL, Rig};
use crate::scenes::FROZEN;

/// How long all copies may take to be there.
const COPIED: Duration = Duration::from_secs(180);

fn sink(rig: &Rig, instance: &str) -> Process {
    let topic = rig.line().topic("copies");
    let mut sink = rig.line().sink(&format!(
        "instance = {instance:?}\n[[pipelines]]\nname = \"copy\"\nmodels = [{MODEL:?}]\n\
         roll = {{ rows = 200, age = \"50ms\" }}\n[pipelines.destination]\ntype = \"topic\"\n\
         topic = {topic:?}\nformat = \"json\"\npartitions = 9\ntransaction_timeout = \"6s\"\n"
    ));
    sink.wait_ready();
    sink
}

/// Where the result stands that a copy was made of.
fn place(copy: &Record) -> (i64, i64) {
    let value = copy.value.as_deref().expect("a row");
    let row: Value = serde_json::from_slice(value).expect("JSON");
    let number = |name: &str| row[name].as_i64().expect("a coordinate");
    (number("partition"), number("offset"))
}

/// Every result is copied once.
fn settle(rig: Rig) {
    let line_copies = Tap::open(rig.line(), "copies");
    rig.settle_with(|results| {
        wait_for(COPIED, "a copy of every result", || {
            (line_copies.count() >= results).then_some(())
        });
        let mut copies: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for copy in line_copies.records() {
            *copies.entry(place(&copy)).or_default() += 1;
        }
        assert_eq!(copies.len(), results, "every result is copied");
        assert!(copies.values().all(|times| *times == 1), "once");
    });
}

#[test]
fn sink_killed_three_times_copies_every_result_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("infer").start(&rig);
    let mut sinks = sink(&rig, "0");
    rig.run(|rig| {
        for _ in 0..3 {
            rig.wait_for_progress();
            sinks.kill_9();
            sinks = sink(rig, "0");
        }
    });
    settle(rig);
}

#[test]
fn sink_frozen_and_replaced_copies_every_result_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("infer").start(&rig);
    let (frozen, _other) = (sink(&rig, "0"), sink(&rig, "1"));
    rig.run(|rig| {
        frozen.pause();
        thread::sleep(FROZEN);
        rig.wait_for_progress();
        frozen.go_on();
        rig.wait_for_progress();
    });
    settle(rig);
}

#[test]
fn nodes_killed_in_turn_under_a_sink_that_copies_every_result_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("infer").start(&rig);
    let _sinks = ["0", "1"].map(|instance| sink(&rig, instance));
    rig.run(|rig| {
        for node in 1..=3 {
            rig.cluster().kill(node);
            rig.wait_for_progress();
            rig.cluster().start_again();
            rig.cluster().wait_in_sync();
        }
    });
    settle(rig);
}
