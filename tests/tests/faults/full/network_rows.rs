//! What infer and the nodes say to each other is late or lost.

use std::thread;
use std::time::Duration;

use e2e::{Api, Rule, Side, What};

use crate::rig::{Delivery, Rig};
use crate::scenes::{exactly_once_through, rule};

#[test]
fn the_connection_ends_instead_of_the_answer_to_a_commit() {
    exactly_once_through(&[rule(Api::EndTxn, Side::Response, What::Cut)]);
}

#[test]
fn a_commit_is_delayed_beyond_the_transaction_s_time() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = rig.proxied_infer("proxied");
    let proxy = rig.cluster().proxy();
    rig.run(|rig| {
        let held = proxy.add(rule(Api::EndTxn, Side::Request, What::Hold));
        e2e::wait_for(Duration::from_secs(60), "a commit to be held", || {
            (proxy.followed(held) > 0).then_some(())
        });
        rig.wait_for_progress();
        // The held commit arrives while a later transaction is open.
        proxy.end(held);
        rig.wait_for_progress();
    });
    rig.settle();
}

#[test]
fn answers_about_offsets_and_partitions_of_a_transaction_are_lost() {
    exactly_once_through(&[
        rule(Api::TxnOffsetCommit, Side::Response, What::Lose),
        rule(Api::AddPartitionsToTxn, Side::Response, What::Lose),
        rule(Api::AddOffsetsToTxn, Side::Response, What::Cut),
    ]);
}

#[test]
fn answers_to_writes_are_late_and_lost() {
    exactly_once_through(&[
        rule(
            Api::Produce,
            Side::Response,
            What::Delay(Duration::from_secs(3)),
        ),
        rule(Api::Produce, Side::Response, What::Lose),
        rule(Api::Produce, Side::Response, What::Cut),
    ]);
}

#[test]
fn a_slow_network_loses_and_repeats_nothing() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = rig.proxied_infer("proxied");
    let proxy = rig.cluster().proxy();
    rig.run(|rig| {
        let slow = [Side::Request, Side::Response].map(|side| {
            let what = What::Delay(Duration::from_millis(50));
            proxy.add(Rule {
                api: None,
                node: None,
                side,
                what,
                times: usize::MAX,
            })
        });
        thread::sleep(Duration::from_secs(5));
        rig.wait_for_progress();
        slow.into_iter().for_each(|rule| proxy.end(rule));
    });
    rig.settle();
}
