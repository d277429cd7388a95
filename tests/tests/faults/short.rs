//! The rows that run with all tests.

use e2e::{Api, Side, What};

use crate::rig::{Delivery, Rig};
use crate::scenes::{exactly_once_through, kill_all, kill_three_times, rule};

#[test]
fn infer_killed_three_times_exactly_once() {
    kill_three_times(Delivery::ExactlyOnce);
}

#[test]
fn all_nodes_killed_at_once_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infers = [rig.infer("first"), rig.infer("second")];
    rig.run(kill_all);
    rig.settle();
}

#[test]
fn the_answer_to_a_commit_is_lost() {
    exactly_once_through(&[rule(Api::EndTxn, Side::Response, What::Lose)]);
}
