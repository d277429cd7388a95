//! Members of the group come, go, keep their names, and share one by mistake.

use std::thread;
use std::time::{Duration, Instant};

use crate::replica::Replica;
use crate::rig::{Delivery, Rig};

#[test]
fn members_that_come_and_go_lose_and_repeat_nothing_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _steady = Replica::named("steady").start(&rig);
    rig.run(|rig| {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let guest = Replica::named("guest").start(rig);
            thread::sleep(Duration::from_secs(1));
            assert!(guest.terminate().success(), "a clean stop");
        }
    });
    rig.settle();
}

#[test]
fn restarted_one_by_one_under_their_own_names_answers_every_record_once() {
    restart_one_by_one(Rig::new(Delivery::AtLeastOnce));
}

#[test]
fn restarted_one_by_one_under_their_own_names_exactly_once() {
    restart_one_by_one(Rig::new(Delivery::ExactlyOnce));
}

fn restart_one_by_one(rig: Rig) {
    let names = ["infer-0", "infer-1", "infer-2"];
    let mut infers = names.map(|name| Some(Replica::named(name).fixed().start(&rig)));
    rig.run(|rig| {
        for (name, infer) in names.into_iter().zip(&mut infers) {
            let stopped = infer.take().map(|infer| infer.terminate().success());
            assert_eq!(stopped, Some(true), "a clean stop");
            *infer = Some(Replica::named(name).fixed().start(rig));
            rig.wait_for_progress();
        }
    });
    assert_eq!(rig.settle().duplicates(), 0);
}

#[test]
fn of_two_members_of_one_name_one_ends_and_says_why() {
    two_of(
        Rig::new(Delivery::AtLeastOnce),
        Replica::named("twin").fixed(),
        "same instance id",
    );
}

#[test]
fn of_two_writers_of_one_name_one_ends_and_says_why() {
    two_of(
        Rig::new(Delivery::ExactlyOnce),
        Replica::named("twin"),
        "another process writes under the same name",
    );
}

fn two_of(rig: Rig, twin: Replica<'_>, complaint: &str) {
    let mut first = twin.start(&rig);
    rig.run(|rig| {
        let mut second = twin.start(rig);
        let ended = first.wait_end();
        assert!(!ended.success(), "it ended with {ended}");
        assert!(first.log().contains(complaint), "{}", first.log());
        rig.wait_for_progress();
        assert!(second.is_running(), "the other one goes on");
        assert!(second.terminate().success(), "a clean stop");
        first = Replica::named("third").start(rig);
        rig.wait_for_progress();
    });
    rig.settle();
}
