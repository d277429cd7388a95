//! Tests of the tests: infer without one of its guards, from a build made for it. Each time a row has to notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use e2e::{Api, Side, What};

use crate::report::Report;
use crate::rig::{Delivery, Rig};
use crate::scenes::{
    delayed_beyond_its_time, ended_by_its_successor, frozen_and_replaced,
    killed_with_results_in_hand, rule, through,
};

/// Whether a row fails with one of these words.
fn caught(words: &[&str], row: impl FnOnce()) {
    let mut report = Report::of(format!("caught: {}", words.join(" or ")));
    let panic = catch_unwind(AssertUnwindSafe(row)).expect_err("the row did not notice");
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    assert!(words.iter().any(|it| text.contains(it)), "{text}");
    report.passed();
}

const LOST: &str = "an answer to every record";
const TWICE: &str = "exactly once";
const DISORDER: &str = "comes after that to";
const STALLED: &str = "after a fault";

#[test]
fn a_record_that_is_done_when_its_result_is_sent_is_noticed() {
    caught(&[LOST], || {
        killed_with_results_in_hand(Rig::without("acknowledgement", Delivery::AtLeastOnce));
    });
}

#[test]
fn results_that_leave_as_they_come_are_noticed() {
    caught(&[DISORDER], || {
        through(Rig::without("order", Delivery::AtLeastOnce), &[]);
    });
}

#[test]
fn an_aborted_transaction_that_is_not_repeated_is_noticed() {
    caught(&[LOST], || {
        let rig = Rig::without("repetition", Delivery::ExactlyOnce);
        delayed_beyond_its_time(rig, Api::TxnOffsetCommit);
    });
}

#[test]
fn a_transaction_that_is_repeated_without_asking_is_noticed() {
    caught(&[TWICE, "the final reader"], || {
        let rig = Rig::without("question", Delivery::ExactlyOnce);
        through(rig, &[rule(Api::EndTxn, Side::Response, What::Lose)]);
    });
}

#[test]
fn results_for_partitions_of_others_are_noticed() {
    caught(&[TWICE, "the final reader"], || {
        frozen_and_replaced(Rig::without("tenure", Delivery::ExactlyOnce));
    });
}

#[test]
fn a_transactional_id_that_is_drawn_at_random_is_noticed() {
    caught(&[STALLED], || {
        ended_by_its_successor(Rig::without("name", Delivery::ExactlyOnce));
    });
}
