//! Nodes of the cluster end, freeze and come back.

use std::thread;
use std::time::Duration;

use crate::rig::{Delivery, Rig};
use crate::scenes::kill_all;

#[test]
fn each_node_killed_in_turn_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infers = [rig.infer("first"), rig.infer("second")];
    rig.run(|rig| {
        for node in 1..=3 {
            rig.cluster().kill(node);
            rig.wait_for_progress();
            rig.cluster().start_again();
        }
    });
    rig.settle();
}

#[test]
fn all_nodes_killed_at_once_at_least_once() {
    let rig = Rig::new(Delivery::AtLeastOnce);
    let _infers = [rig.infer("first"), rig.infer("second")];
    rig.run(kill_all);
    rig.settle();
}

#[test]
fn a_node_frozen_for_a_while_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infers = [rig.infer("first"), rig.infer("second")];
    rig.run(|rig| {
        rig.cluster().pause(2);
        thread::sleep(Duration::from_secs(12));
        rig.cluster().go_on(2);
        rig.wait_for_progress();
    });
    rig.settle();
}
