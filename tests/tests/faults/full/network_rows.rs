//! What infer and the nodes say to each other is late or lost.

use std::thread;
use std::time::Duration;

use e2e::{Api, Rule, Side, What, wait_for};

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};
use crate::scenes::{delayed_beyond_its_time, rule, through};

#[test]
fn the_connection_ends_instead_of_the_answer_to_a_commit() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    through(rig, &[rule(Api::EndTxn, Side::Response, What::Cut)]);
}

#[test]
fn a_commit_is_delayed_beyond_the_transaction_s_time() {
    delayed_beyond_its_time(Rig::new(Delivery::ExactlyOnce), Api::EndTxn);
}

#[test]
fn offsets_are_delayed_beyond_the_transaction_s_time() {
    delayed_beyond_its_time(Rig::new(Delivery::ExactlyOnce), Api::TxnOffsetCommit);
}

/// Infer is started again when it ends: librdkafka 2.12.1 fails an assertion when the answer about partitions is lost
/// (`rdkafka_txnmgr.c:1007`).
#[test]
fn answers_about_offsets_and_partitions_of_a_transaction_are_lost() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let mut infer = Replica::named("proxied").proxied().supervise(&rig);
    rig.run(|rig| {
        for rule in [
            rule(Api::TxnOffsetCommit, Side::Response, What::Lose),
            rule(Api::AddPartitionsToTxn, Side::Response, What::Lose),
            rule(Api::AddOffsetsToTxn, Side::Response, What::Cut),
        ] {
            let number = rig.cluster().proxy().add(rule);
            infer.wait_for("a message that the rule is about", || {
                (rig.cluster().proxy().followed(number) > 0).then_some(())
            });
            let goal = rig.results() + rig.step();
            infer.wait_for("progress", || (rig.results() >= goal).then_some(()));
            rig.cluster().proxy().end(number);
        }
    });
    infer.wait_for("an answer to every record", || {
        rig.is_answered().then_some(())
    });
    println!("infer was started {} times", infer.starts);
    rig.settle();
}

#[test]
fn answers_to_writes_are_late_and_lost() {
    let late = What::Delay(Duration::from_secs(3));
    let rules = [late, What::Lose, What::Cut];
    let rules = rules.map(|what| rule(Api::Produce, Side::Response, what));
    through(Rig::new(Delivery::ExactlyOnce), &rules);
}

#[test]
fn a_slow_network_loses_and_repeats_nothing() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("proxied").proxied().start(&rig);
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

/// One connection after the other ends in the middle of an answer.
#[test]
fn connections_that_end_again_and_again_lose_and_repeat_nothing() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("proxied").proxied().start(&rig);
    let proxy = rig.cluster().proxy();
    rig.run(|rig| {
        for api in [Api::Produce, Api::Heartbeat, Api::Fetch, Api::EndTxn].repeat(3) {
            let cut = proxy.add(rule(api, Side::Response, What::Cut));
            wait_for(Duration::from_secs(60), "a connection to end", || {
                (proxy.followed(cut) > 0).then_some(())
            });
        }
        rig.wait_for_progress();
    });
    rig.settle();
}
