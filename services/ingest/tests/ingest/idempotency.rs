//! The same `Idempotency-Key` is the same request, over replicas and restarts.

use std::time::Duration;

use millrace_wire::Status;
use serde_json::json;

use super::client::{Answer, Connection, raw, request};
use super::later::{Held, recorded};
use super::played::echo_and_record;
use super::scene::{Scene, shared_results};

const BODY: &[u8] = br#"{"instances": [[1,2,3,4]]}"#;
const OTHER_BODY: &[u8] = br#"{"instances": [[4,3,2,1]]}"#;

fn bytes(key: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let key = format!("Idempotency-Key: \"{key}\"");
    let headers = [&[key.as_str()], headers].concat();
    request("POST", "/v1/models/m:predict", &headers, body)
}

fn ask(scene: &Scene, key: &str, body: &[u8]) -> Answer {
    raw(scene.address, &bytes(key, &[], body))
}

fn new_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[track_caller]
fn check_result(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]});
    assert_eq!(answer.json(), expected);
}

/// Asks until the answer has the status: the other replica reads claims a moment later.
#[track_caller]
fn ask_until(scene: &Scene, key: &str, status: u16) -> Answer {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let answer = ask(scene, key, BODY);
        if answer.status == status {
            return answer;
        }
        assert!(std::time::Instant::now() < until, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_finished_request_is_answered_again_without_infer_by_every_replica_and_after_a_restart() {
    let mut held = Held::start(|_| {});
    let other = Scene::start_at(held.scene.prefix.clone(), |_| {});
    other.wait_ready();
    let key = new_key();
    let mut first = Connection::open(held.scene.address);
    first.send(&bytes(&key, &[], BODY));
    let asked = held.next();
    held.answer(&asked);
    check_result(&first.read().unwrap());
    check_result(&ask_until(&held.scene, &key, 200));
    check_result(&ask_until(&other, &key, 200));
    held.scene.stop().unwrap();
    let restarted = Scene::start_at(held.scene.prefix.clone(), |_| {});
    restarted.wait_ready();
    check_result(&ask_until(&restarted, &key, 200));
    assert!(held.has_none(), "infer has seen the request once");
}

#[test]
fn a_running_request_is_409_and_another_body_422_on_every_replica() {
    let held = Held::start(|_| {});
    let other = Scene::start_at(held.scene.prefix.clone(), |_| {});
    other.wait_ready();
    let key = new_key();
    let mut first = Connection::open(held.scene.address);
    first.send(&bytes(&key, &[], BODY));
    let asked = held.next();
    for scene in [&held.scene, &other] {
        let again = ask_until(scene, &key, 409);
        again.check_refusal(409, "still being worked on");
        assert_eq!(again.header("retry-after"), Some("1"));
        ask(scene, &key, OTHER_BODY).check_refusal(422, "used with another request");
    }
    held.answer(&asked);
    check_result(&first.read().unwrap());
    ask(&other, &key, OTHER_BODY).check_refusal(422, "used with another request");
    assert!(held.has_none(), "infer has seen one request");
}

#[test]
fn of_many_at_the_same_time_on_two_replicas_one_is_sent() {
    let held = Held::start(|_| {});
    let other = Scene::start_at(held.scene.prefix.clone(), |_| {});
    other.wait_ready();
    // Both know all keys from here on.
    for scene in [&held.scene, &other] {
        let mut warm = Connection::open(scene.address);
        warm.send(&bytes(&new_key(), &[], BODY));
        held.answer(&held.next());
        check_result(&warm.read().unwrap());
    }
    for _ in 0..10 {
        let key = new_key();
        let mut callers: Vec<_> = [&held.scene, &other, &held.scene, &other]
            .iter()
            .map(|scene| Connection::open(scene.address))
            .collect();
        for caller in &mut callers {
            caller.send(&bytes(&key, &[], BODY));
        }
        let asked = held.next();
        held.answer(&asked);
        let mut statuses: Vec<_> = callers
            .iter_mut()
            .map(|caller| caller.read().unwrap().status)
            .collect();
        statuses.sort_unstable();
        assert!(statuses.contains(&200), "{statuses:?}");
        assert!(
            statuses.iter().all(|it| [200, 409].contains(it)),
            "{statuses:?}"
        );
        assert!(held.has_none(), "a second request was sent");
    }
}

#[test]
fn a_request_for_later_gives_the_same_place_again() {
    let scene = shared_results();
    let key = new_key();
    let later = ["Prefer: respond-async"];
    let first = raw(scene.address, &bytes(&key, &later, BODY));
    assert_eq!(first.status, 202, "{}", first.text());
    let again = loop {
        let again = raw(scene.address, &bytes(&key, &later, BODY));
        // Until our own record has come back.
        if again.status != 409 {
            break again;
        }
    };
    assert_eq!(again.status, 202, "{}", again.text());
    assert_eq!(again.header("location"), first.header("location"));
    let other = raw(scene.address, &bytes(&key, &later, OTHER_BODY));
    other.check_refusal(422, "used with another request");
    // And who waits this time gets the answer itself.
    check_result(&ask_until(scene, &key, 200));
}

#[test]
fn a_failure_is_kept_but_not_one_that_says_try_again() {
    let held = Held::start(|_| {});
    let key = new_key();
    let fail = |status: Status, sentence: &str| {
        let mut caller = Connection::open(held.scene.address);
        caller.send(&bytes(&key, &[], BODY));
        let asked = held.next();
        held.write(asked.result(status, Some(sentence), Some(Vec::new())));
        held.write(asked.reply(status, Some(sentence), Some(Vec::new())));
        caller.read().unwrap()
    };
    let busy = fail(Status::Unavailable, "the model is being loaded");
    busy.check_refusal(503, "being loaded");
    let broken = fail(Status::InvalidArgument, "no such label");
    broken.check_refusal(400, "no such label");
    let again = ask_until(&held.scene, &key, 400);
    again.check_refusal(400, "no such label");
    assert!(held.has_none(), "the failure was remembered");
}

#[test]
fn a_late_answer_is_there_for_the_next_try() {
    let held = Held::start(|settings| settings.request_timeout = Duration::from_secs(2));
    let key = new_key();
    ask(&held.scene, &key, BODY).check_refusal(504, "was not answered");
    held.answer(&held.next());
    check_result(&ask_until(&held.scene, &key, 200));
    assert!(held.has_none());
}

#[test]
fn a_bad_key_is_refused_and_a_missing_one_where_keys_are_wanted() {
    let scene = shared_results();
    let refused = |header: &str, fragment: &str| {
        let bytes = request("POST", "/v1/models/m:predict", &[header], BODY);
        raw(scene.address, &bytes).check_refusal(400, fragment);
    };
    refused("Idempotency-Key: \"\"", "empty or longer than 255");
    let long = "k".repeat(10 << 10);
    refused(&format!("Idempotency-Key: \"{long}\""), "longer than 255");
    refused("Idempotency-Key: \"a", "neither a quoted string");
    refused("Idempotency-Key: a b", "neither a quoted string");
    refused("Idempotency-Key: a\r\nIdempotency-Key: b", "more than once");

    let strict = recorded(
        |settings| settings.results.require_idempotency_key = true,
        echo_and_record,
    );
    let bytes = request("POST", "/v1/models/m:predict", &[], BODY);
    raw(strict.address, &bytes).check_refusal(400, "Idempotency-Key is missing");
    check_result(&ask_until(&strict, &new_key(), 200));
}

#[test]
fn a_line_without_the_topic_says_so_and_serves_others() {
    let scene = super::scene::shared();
    let answer = ask(scene, &new_key(), BODY);
    answer.check_refusal(503, "idempotency does not exist");
    scene.check_alive();
}

#[test]
fn memory_for_keys_is_bounded() {
    let scene = recorded(
        |settings| settings.results.idempotency_keys = 3,
        echo_and_record,
    );
    let keys: Vec<_> = (0..3).map(|_| new_key()).collect();
    for key in &keys {
        check_result(&ask_until(&scene, key, 200));
    }
    let full = ask(&scene, &new_key(), BODY);
    full.check_refusal(503, "too many idempotency keys");
    for key in &keys {
        check_result(&ask_until(&scene, key, 200));
    }
}
