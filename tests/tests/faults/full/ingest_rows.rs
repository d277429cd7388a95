//! Ingest dies, multiplies, and stands before brokers that are away. Whoever got 200 got his own answer, and whoever got
//! 202 gets it later.

use std::thread;
use std::time::{Duration, Instant};

use e2e::Process;

use crate::callers::Callers;
use crate::replica::Replica;
use crate::report::Figures;
use crate::rig::{Delivery, Rig};

/// A connection that ended, answers, and what says "try again".
const MAY_COME: [u16; 6] = [0, 200, 202, 429, 503, 504];
/// How many answers show that all is well again.
const WELL: usize = 200;
/// How long brokers are away.
const AWAY: Duration = Duration::from_secs(60);

fn start(rig: &Rig) -> Process {
    let mut ingest = rig.line().ingest("");
    ingest.wait_ready();
    ingest
}

fn urls(ingests: &[&Process]) -> Vec<String> {
    ingests.iter().map(|it| it.url("")).collect()
}

fn settle(rig: Rig, callers: &Callers, (allowed, back): (&[u16], Duration)) {
    callers.settle(allowed);
    rig.pass(Figures {
        records: callers.asked(),
        twice: 0,
        silence: callers.slowest_refusal(),
        rest: back,
    });
}

#[test]
fn killed_with_requests_in_flight_mixes_up_nothing_and_keeps_what_it_accepted() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("infer").start(&rig);
    let (mut first, other) = (start(&rig), start(&rig));
    let callers = Callers::of(urls(&[&first, &other]));
    callers.call_while(|| {
        for _ in 0..3 {
            callers.wait_for_answers(WELL);
            first.kill_9();
            callers.wait_for_answers(WELL);
            first = start(&rig);
            callers.turn_to(urls(&[&other, &first]));
        }
        callers.wait_for_answers(WELL);
    });
    settle(rig, &callers, (&MAY_COME, Duration::ZERO));
}

#[test]
fn two_then_four_then_one_mix_up_nothing() {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let _infer = Replica::named("infer").start(&rig);
    let (first, second) = (start(&rig), start(&rig));
    let callers = Callers::of(urls(&[&first, &second]));
    callers.call_while(|| {
        callers.wait_for_answers(WELL);
        let (third, fourth) = (start(&rig), start(&rig));
        callers.turn_to(urls(&[&first, &second, &third, &fourth]));
        callers.wait_for_answers(WELL);
        callers.turn_to(urls(&[&first]));
        for ingest in [second, third, fourth] {
            assert!(ingest.terminate().success(), "a clean stop");
        }
        callers.wait_for_answers(WELL);
    });
    settle(rig, &callers, (&[200, 202], Duration::ZERO));
}

#[test]
fn all_nodes_away_for_a_minute_is_refused_in_time_and_got_over() {
    brokers_away(&[1, 2, 3]);
}

#[test]
fn too_few_nodes_to_keep_a_request_accepts_none() {
    brokers_away(&[1, 2]);
}

fn brokers_away(nodes: &[usize]) {
    let rig = Rig::new(Delivery::ExactlyOnce);
    let mut infer = Replica::named("infer").start(&rig);
    let ingest = start(&rig);
    let callers = Callers::of(urls(&[&ingest]));
    let mut back = Duration::ZERO;
    callers.call_while(|| {
        callers.wait_for_answers(WELL);
        nodes.iter().for_each(|node| rig.cluster().kill(*node));
        thread::sleep(AWAY);
        rig.cluster().start_again();
        let since = Instant::now();
        callers.wait_for_answers(WELL);
        back = since.elapsed();
    });
    assert!(infer.is_running(), "infer waits for the brokers");
    settle(rig, &callers, (&MAY_COME, back));
}
