//! Infer ends, freezes and is replaced.

use std::thread;

use e2e::{Api, Process, Side, What};

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};
use crate::scenes::{
    FROZEN, ended_by_its_successor, frozen_and_replaced, kill_three_times, killed_before,
    killed_with_results_in_hand, rule, wait_followed,
};

#[test]
fn killed_three_times_at_least_once() {
    kill_three_times(Delivery::AtLeastOnce);
}

#[test]
fn killed_with_results_in_hand_at_least_once() {
    killed_with_results_in_hand(Rig::new(Delivery::AtLeastOnce));
}

#[test]
fn killed_before_each_step_of_a_transaction_exactly_once() {
    let steps = [
        Api::AddPartitionsToTxn,
        Api::Produce,
        Api::AddOffsetsToTxn,
        Api::TxnOffsetCommit,
        Api::EndTxn,
    ];
    killed_before(Rig::new(Delivery::ExactlyOnce), &steps);
}

#[test]
fn killed_inside_a_transaction_which_its_successor_ends_exactly_once() {
    ended_by_its_successor(Rig::new(Delivery::ExactlyOnce));
}

#[test]
fn stopped_cleanly_in_turn_answers_every_record_once_even_at_least_once() {
    let rig = Rig::new(Delivery::AtLeastOnce);
    let mut infers: Vec<Process> = vec![
        Replica::named("first").start(&rig),
        Replica::named("second").start(&rig),
    ];
    rig.run(|rig| {
        for name in ["third", "fourth", "fifth", "sixth"] {
            infers.push(Replica::named(name).start(rig));
            assert!(infers.remove(0).terminate().success(), "a clean stop");
            rig.wait_for_progress();
        }
    });
    assert_eq!(rig.settle().duplicates(), 0);
}

#[test]
fn told_twice_to_stop_ends_at_once_and_loses_nothing_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let mut hasty = Replica::named("hasty").start(&rig);
    let _other = Replica::named("other").start(&rig);
    rig.run(|rig| {
        hasty.ask_to_stop();
        hasty.ask_to_stop();
        let code = hasty.wait_end().code();
        assert!(matches!(code, Some(0 | 130)), "it ended with {code:?}");
        rig.wait_for_progress();
    });
    rig.settle();
}

#[test]
fn frozen_and_replaced_publishes_nothing_afterwards_exactly_once() {
    frozen_and_replaced(Rig::new(Delivery::ExactlyOnce));
}

#[test]
fn frozen_with_a_commit_on_its_way_publishes_nothing_afterwards_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let frozen = Replica::named("frozen").proxied().timeout_s(5).start(&rig);
    let _other = Replica::named("other").start(&rig);
    rig.run(|rig| {
        let proxy = rig.cluster().proxy();
        let held = proxy.add(rule(Api::EndTxn, Side::Request, What::Hold));
        wait_followed(rig, held);
        frozen.pause();
        thread::sleep(FROZEN);
        // The broker hears it when somebody else has begun to answer those records.
        proxy.end(held);
        rig.wait_for_progress();
        frozen.go_on();
        rig.wait_for_progress();
    });
    rig.settle();
}
