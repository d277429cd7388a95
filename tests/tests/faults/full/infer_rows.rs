//! Infer ends, freezes and is replaced.

use std::thread;
use std::time::{Duration, Instant};

use e2e::Process;

use crate::rig::{Delivery, Rig};
use crate::scenes::kill_three_times;

/// Longer than the session timeout of the group, so that others take over.
const FROZEN: Duration = Duration::from_secs(15);

#[test]
fn killed_three_times_at_least_once() {
    kill_three_times(Delivery::AtLeastOnce);
}

#[test]
fn stopped_cleanly_in_turn_answers_every_record_once_even_at_least_once() {
    let rig = Rig::new(Delivery::AtLeastOnce);
    let mut infers: Vec<Process> = vec![rig.infer("first"), rig.infer("second")];
    rig.run(|rig| {
        for name in ["third", "fourth"] {
            infers.push(rig.infer(name));
            assert!(infers.remove(0).terminate().success(), "a clean stop");
            rig.wait_for_progress();
        }
    });
    assert_eq!(rig.settle().duplicates(), 0);
}

#[test]
fn frozen_and_replaced_publishes_nothing_afterwards_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let frozen = rig.infer("frozen");
    let _other = rig.infer("other");
    rig.run(|rig| {
        frozen.pause();
        thread::sleep(FROZEN);
        rig.wait_for_progress();
        frozen.go_on();
        rig.wait_for_progress();
    });
    rig.settle();
}

#[test]
fn members_that_come_and_go_lose_and_repeat_nothing_exactly_once() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _steady = rig.infer("steady");
    rig.run(|rig| {
        let until = Instant::now() + Duration::from_secs(12);
        while Instant::now() < until {
            let guest = rig.infer("guest");
            thread::sleep(Duration::from_secs(1));
            assert!(guest.terminate().success(), "a clean stop");
        }
    });
    rig.settle();
}
