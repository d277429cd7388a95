//! What several rows do.

use std::time::Duration;

use e2e::{Api, Rule, Side, What};

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};

/// How long the proxy may wait for a message that a rule is about.
const ASKED: Duration = Duration::from_secs(60);

pub(crate) fn kill_three_times(delivery: Delivery) {
    let rig = Rig::new(delivery);
    let first = Replica::named("first").start(&rig);
    let mut second = Some(Replica::named("second").start(&rig));
    rig.run(|rig| {
        first.kill_9();
        rig.wait_for_progress();
        for name in ["third", "fourth"] {
            let next = Replica::named(name).start(rig);
            if let Some(infer) = second.replace(next) {
                infer.kill_9();
            }
            rig.wait_for_progress();
        }
    });
    rig.settle();
}

pub(crate) fn kill_all(rig: &Rig) {
    for node in 1..=3 {
        rig.cluster().kill(node);
    }
    rig.cluster().start_again();
    rig.wait_for_progress();
}

pub(crate) fn rule(api: Api, side: Side, what: What) -> Rule {
    Rule {
        api: Some(api),
        node: None,
        side,
        what,
        times: 1,
    }
}

/// Waits until a rule of the proxy has been followed.
pub(crate) fn wait_followed(rig: &Rig, number: usize) {
    let proxy = rig.cluster().proxy();
    e2e::wait_for(ASKED, "a message that the rule is about", || {
        (proxy.followed(number) > 0).then_some(())
    });
}

pub(crate) fn through(rig: Rig, rules: &[Rule]) {
    let _infer = Replica::named("proxied").proxied().start(&rig);
    rig.run(|rig| {
        for rule in rules {
            let number = rig.cluster().proxy().add(*rule);
            wait_followed(rig, number);
            rig.wait_for_progress();
            rig.cluster().proxy().end(number);
        }
    });
    rig.settle();
}

/// A message of a transaction is held back until the transaction has timed out, and then arrives.
pub(crate) fn delayed_beyond_its_time(rig: Rig, api: Api) {
    let infer = Replica::named("proxied").proxied().timeout_s(6);
    let _infer = infer.start(&rig);
    rig.run(|rig| {
        let held = rig
            .cluster()
            .proxy()
            .add(rule(api, Side::Request, What::Hold));
        wait_followed(rig, held);
        rig.wait_for_progress();
        // It arrives while a later transaction is open.
        rig.cluster().proxy().end(held);
        rig.wait_for_progress();
    });
    rig.settle();
}

/// Infer dies between two steps of a transaction, and what it was about to say arrives afterwards.
pub(crate) fn killed_before(rig: Rig, steps: &[Api]) {
    let replica = Replica::named("only").proxied().fixed();
    let mut infer = replica.start(&rig);
    rig.run(|rig| {
        for api in steps {
            let held = rig
                .cluster()
                .proxy()
                .add(rule(*api, Side::Request, What::Hold));
            wait_followed(rig, held);
            infer.kill_9();
            rig.cluster().proxy().end(held);
            infer = replica.start(rig);
            rig.wait_for_progress();
        }
    });
    rig.settle();
}

/// Nothing that infer writes arrives; then it dies. What it had not written must not count as done.
pub(crate) fn killed_with_results_in_hand(rig: Rig) {
    let replica = Replica::named("only").proxied().fixed();
    let mut infers = vec![replica.start(&rig)];
    rig.run(|rig| {
        let lost = rig.cluster().proxy().add(Rule {
            times: usize::MAX,
            ..rule(Api::Produce, Side::Request, What::Lose)
        });
        wait_followed(rig, lost);
        // As long as it takes it to commit many times.
        std::thread::sleep(Duration::from_secs(2));
        infers.remove(0).kill_9();
        rig.cluster().proxy().end(lost);
        infers.push(replica.start(rig));
        rig.wait_for_progress();
    });
    rig.settle();
}

/// The transaction of a dead process is ended by its successor, long before the broker would do it.
pub(crate) fn ended_by_its_successor(rig: Rig) {
    let rig = rig.patient(Duration::from_secs(40));
    let replica = Replica::named("only").proxied().fixed().timeout_s(120);
    let mut infers = vec![replica.start(&rig)];
    rig.run(|rig| {
        let held = rig
            .cluster()
            .proxy()
            .add(rule(Api::EndTxn, Side::Request, What::Hold));
        wait_followed(rig, held);
        infers.remove(0).kill_9();
        infers.push(replica.start(rig));
        rig.wait_for_progress();
        rig.cluster().proxy().end(held);
        rig.wait_for_progress();
    });
    rig.settle();
}

/// Longer than the session of a member of the group, so that others take its partitions.
pub(crate) const FROZEN: Duration = Duration::from_secs(15);

pub(crate) fn frozen_and_replaced(rig: Rig) {
    let frozen = Replica::named("frozen").start(&rig);
    let _other = Replica::named("other").start(&rig);
    rig.run(|rig| {
        frozen.pause();
        std::thread::sleep(FROZEN);
        rig.wait_for_progress();
        frozen.go_on();
        rig.wait_for_progress();
    });
    rig.settle();
}
