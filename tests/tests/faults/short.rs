//! The rows that run with all tests.

use e2e::{Api, Side, What};

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};
use crate::scenes::{kill_all, kill_three_times, rule, through};

#[test]
fn infer_killed_three_times_exactly_once() {
    kill_three_times(Delivery::ExactlyOnce);
}

#[test]
fn all_nodes_killed_at_once_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infers = ["first", "second"].map(|name| Replica::named(name).start(&rig));
    rig.run(kill_all);
    rig.settle();
}

#[test]
fn the_answer_to_a_commit_is_lost() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    through(rig, &[rule(Api::EndTxn, Side::Response, What::Lose)]);
}
