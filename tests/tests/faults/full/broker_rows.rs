//! Nodes of the cluster end, freeze and come back.

use std::thread;
use std::time::Duration;

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};
use crate::scenes::kill_all;

/// As an operator does it: the next node is not touched before all copies are up to date again.
#[test]
fn each_node_killed_in_turn_exactly_once() {
    each_node(Rig::new(Delivery::ExactlyOnce), |rig| {
        rig.cluster().wait_in_sync();
    });
}

#[test]
fn each_node_killed_in_turn_at_least_once() {
    each_node(Rig::new(Delivery::AtLeastOnce), |rig| {
        rig.cluster().wait_in_sync();
    });
}

/// The next node dies although copies are missing: nobody can write for as long as too few are left, and everything is
/// answered in the end.
#[test]
fn each_node_killed_before_the_last_had_caught_up_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce).patient(Duration::from_secs(480));
    each_node(rig, |_| {});
}

fn each_node(rig: Rig, between: impl Fn(&Rig)) {
    let _infers = ["first", "second"].map(|name| Replica::named(name).start(&rig));
    rig.run(|rig| {
        for node in 1..=3 {
            rig.cluster().kill(node);
            rig.wait_for_progress();
            rig.cluster().start_again();
            between(rig);
        }
    });
    rig.settle();
}

#[test]
fn all_nodes_killed_at_once_at_least_once() {
    let rig = Rig::new(Delivery::AtLeastOnce);
    let _infers = ["first", "second"].map(|name| Replica::named(name).start(&rig));
    rig.run(kill_all);
    rig.settle();
}

#[test]
fn a_node_frozen_for_a_while_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infers = ["first", "second"].map(|name| Replica::named(name).start(&rig));
    rig.run(|rig| {
        rig.cluster().pause(2);
        thread::sleep(Duration::from_secs(12));
        rig.cluster().go_on(2);
        rig.wait_for_progress();
    });
    rig.settle();
}
