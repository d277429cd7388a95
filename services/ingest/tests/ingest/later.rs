//! Answers that are fetched later: from any replica, also one started since, and only by
//! whom they are for.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millrace_ingest::Settings;
use millrace_kafka::OutRecord;
use millrace_wire::Status;
use millrace_wire::avro::ModelDescriptor;
use serde_json::json;

use super::client::{Answer, Connection, get, raw, request};
use super::played::{Asked, echo_and_record, model_m, unix_ms};
use super::scene::{Scene, create_result_topics, create_topics, shared_results};

const BODY: &[u8] = br#"{"instances": [[1,2,3,4]]}"#;
const LATER: &str = "Prefer: respond-async";

/// A scene with a model `m` whose results are recorded.
pub(crate) fn recorded(
    change: impl FnOnce(&mut Settings),
    reply: impl Fn(&Asked) -> Vec<OutRecord> + Send + 'static,
) -> Scene {
    recorded_as(&model_m(), change, reply)
}

/// The same with another model.
pub(crate) fn recorded_as(
    model: &ModelDescriptor,
    change: impl FnOnce(&mut Settings),
    reply: impl Fn(&Asked) -> Vec<OutRecord> + Send + 'static,
) -> Scene {
    let prefix = format!("ingest-{:016x}", rand::random::<u64>());
    create_topics(&prefix);
    create_result_topics(&prefix, &model.model);
    let scene = Scene::start_at(prefix, change);
    scene.serve(model, reply);
    scene.wait_ready();
    scene
}

/// An infer that answers when it is told to.
pub(crate) struct Held {
    asked: Receiver<Asked>,
    pub(crate) scene: Scene,
}

impl Held {
    pub(crate) fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let (sender, asked): (Sender<Asked>, _) = channel();
        let sender = Mutex::new(sender);
        let scene = recorded(change, move |it| {
            let record = it.record.clone();
            sender.lock().unwrap().send(Asked::of(record)).unwrap();
            Vec::new()
        });
        Self { asked, scene }
    }

    /// The next request that infer has received.
    pub(crate) fn next(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    pub(crate) fn has_none(&self) -> bool {
        self.asked.try_recv().is_err()
    }

    pub(crate) fn write(&self, record: OutRecord) {
        let (sender, written) = channel();
        let on_delivery = move |outcome: Result<_, _>| sender.send(outcome).unwrap();
        self.scene.producer.send(record, on_delivery).unwrap();
        written.recv().unwrap().unwrap();
    }

    /// Infer answers this request.
    pub(crate) fn answer(&self, asked: &Asked) {
        for record in echo_and_record(asked) {
            self.write(record);
        }
    }
}

/// Another replica of the same line.
fn replica(scene: &Scene) -> Scene {
    let replica = Scene::start_at(scene.prefix.clone(), |_| {});
    replica.wait_ready();
    replica
}

fn ask(scene: &Scene, headers: &[&str]) -> Answer {
    raw(
        scene.address,
        &request("POST", "/v1/models/m:predict", headers, BODY),
    )
}

/// Sends a request to be answered later; the path of its result.
#[track_caller]
fn accepted(scene: &Scene) -> String {
    let answer = ask(scene, &[LATER]);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    assert!(answer.header("retry-after").is_some());
    answer.header("location").unwrap().to_owned()
}

#[track_caller]
fn check_result(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({"predictions": [[1.0, 2.0, 3.0, 4.0]]})
    );
}

#[test]
fn a_result_is_pending_and_then_fetched_from_any_replica_and_after_a_restart() {
    let mut held = Held::start(|_| {});
    let other = replica(&held.scene);
    let path = accepted(&held.scene);
    let asked = held.next();
    assert_eq!(asked.headers.reply_to, None, "nobody waits for a reply");
    for scene in [&held.scene, &other] {
        let pending = get(scene.address, &path);
        assert_eq!(pending.status, 202, "{}", pending.text());
        assert_eq!(pending.json(), json!({"state": "pending"}));
        assert_eq!(pending.header("retry-after"), Some("1"));
    }
    held.answer(&asked);
    check_result(&get(held.scene.address, &path));
    check_result(&get(other.address, &path));
    held.scene.stop().unwrap();
    let restarted = replica(&held.scene);
    check_result(&get(restarted.address, &path));
    check_result(&get(restarted.address, &path));
}

#[test]
fn each_of_many_results_is_found_among_the_others() {
    let scene = shared_results();
    let ask = |number: usize| {
        let body = json!({"instances": [[number, 0, 0, 0]]}).to_string();
        let bytes = request("POST", "/v1/models/m:predictAsync", &[], body.as_bytes());
        let answer = raw(scene.address, &bytes);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.header("location").unwrap().to_owned()
    };
    let paths: Vec<_> = (0..600).map(ask).collect();
    for (number, path) in paths.iter().enumerate() {
        if number % 17 != 0 {
            continue;
        }
        let answer = get(scene.address, &format!("{path}?wait=30s"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["predictions"][0][0], number as f64);
    }
}

/// The result of a request of the same partition in the bulk lane.
fn bulk_result(beside: &Asked, offset: i64) -> OutRecord {
    let mut record = beside.record.clone();
    let results = record.topic.replace(".requests.", ".results.");
    record.topic = format!("{}.bulk", record.topic).into();
    record.offset = offset;
    let mut asked = Asked::of(record);
    asked.headers.id = Some(format!("{:032x}", rand::random::<u128>()));
    OutRecord {
        topic: results.into(),
        ..asked.result(Status::Ok, None, Some(vec![0; 8]))
    }
}

#[test]
fn results_are_found_among_thousands_of_the_bulk_lane() {
    let held = Held::start(|_| {});
    let requests: Vec<_> = (0..6)
        .map(|_| (accepted(&held.scene), held.next()))
        .collect();
    let mut offset = 0;
    for (_, asked) in &requests {
        for _ in 0..3_000 {
            offset += 1;
            let record = bulk_result(asked, offset);
            held.scene
                .producer
                .send(record, |outcome: Result<_, _>| assert!(outcome.is_ok()))
                .unwrap();
        }
        held.answer(asked);
    }
    for (path, _) in &requests {
        check_result(&get(held.scene.address, &format!("{path}?wait=30s")));
    }
    // One that comes only now, behind as many again.
    let path = accepted(&held.scene);
    let asked = held.next();
    let mut connection = Connection::open(held.scene.address);
    connection.send(&request("GET", &path, &["Prefer: wait=50"], b""));
    for _ in 0..3_000 {
        offset += 1;
        held.scene
            .producer
            .send(bulk_result(&asked, offset), |outcome: Result<_, _>| {
                assert!(outcome.is_ok())
            })
            .unwrap();
    }
    held.answer(&asked);
    check_result(&connection.read().unwrap());
}

#[test]
fn the_answer_has_the_form_of_its_request_unless_accept_wants_another() {
    let scene = shared_results();
    let body = br#"{"inputs": [[1,2,3,4]]}"#;
    let bytes = request("POST", "/v1/models/m:predict", &[LATER], body);
    let answer = raw(scene.address, &bytes);
    let path = format!("{}?wait=30", answer.header("location").unwrap());
    let columns = json!({"outputs": [[1.0, 2.0, 3.0, 4.0]]});
    assert_eq!(get(scene.address, &path).json(), columns);
    let accept = ["Accept: application/vnd.apache.arrow.stream"];
    let arrow = raw(scene.address, &request("GET", &path, &accept, b""));
    assert_eq!(arrow.status, 200);
    assert_eq!(
        arrow.header("content-type"),
        Some("application/vnd.apache.arrow.stream")
    );
    let record = millrace_wire::Record::decode(arrow.body, &millrace_wire::Limits::default());
    assert_eq!(record.unwrap().rows(), 1);
}

#[test]
fn every_protocol_over_http_can_be_answered_later() {
    let scene = shared_results();
    let body = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#;
    let fetched = |path: &str, headers: &[&str], body: &[u8]| {
        let headers = [&[LATER], headers].concat();
        let answer = raw(scene.address, &request("POST", path, &headers, body));
        assert_eq!(answer.status, 202, "{path}: {}", answer.text());
        get(
            scene.address,
            &format!("{}?wait=30", answer.header("location").unwrap()),
        )
    };
    let oip = fetched("/v2/models/m/infer", &[], body).json();
    assert_eq!(oip["model_name"], "m");
    assert_eq!(oip["outputs"][0]["data"], json!([1.0, 2.0, 3.0, 4.0]));
    check_result(&fetched("/predict", &[], BODY));
    let accept = ["Accept: application/vnd.apache.arrow.stream"];
    let arrow = fetched("/v1/models/m:predict", &accept, BODY);
    let kind = ["Content-Type: application/vnd.apache.arrow.stream"];
    for path in ["/v1/models/m:predict", "/v2/models/m/infer"] {
        let again = fetched(path, &kind, &arrow.body);
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(again.body, arrow.body);
    }
}

#[test]
fn a_long_poll_is_answered_when_the_result_comes_and_not_before_its_time() {
    let held = Held::start(|_| {});
    let other = replica(&held.scene);
    let path = accepted(&held.scene);
    let asked = held.next();
    let began = Instant::now();
    let early = get(other.address, &format!("{path}?wait=1s"));
    assert_eq!(early.status, 202, "{}", early.text());
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let mut waiting: Vec<_> = [&held.scene, &other]
        .iter()
        .map(|scene| {
            let mut connection = Connection::open(scene.address);
            connection.send(&request("GET", &path, &["Prefer: wait=50"], b""));
            connection
        })
        .collect();
    held.answer(&asked);
    let answered = Instant::now();
    for connection in &mut waiting {
        check_result(&connection.read().unwrap());
    }
    assert!(
        answered.elapsed() < Duration::from_secs(5),
        "{:?}",
        answered.elapsed()
    );
}

#[test]
fn who_waits_a_moment_for_a_quick_model_gets_the_answer_at_once() {
    let scene = shared_results();
    check_result(&ask(scene, &["Prefer: respond-async, wait=30"]));
}

#[test]
fn events_tell_the_result_or_the_failure() {
    let held = Held::start(|_| {});
    let path = accepted(&held.scene);
    let asked = held.next();
    let accept = ["Accept: text/event-stream", "Connection: close"];
    let mut connection = Connection::open(held.scene.address);
    connection.send(&request("GET", &path, &accept, b""));
    let head = connection.read_head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    held.answer(&asked);
    let stream = connection.read_to_end();
    assert!(stream.contains(": pending\n"), "{stream}");
    assert!(stream.contains("event: result\ndata: {"), "{stream}");
    assert!(stream.contains("predictions"), "{stream}");

    let path = accepted(&held.scene);
    let asked = held.next();
    held.write(asked.result(Status::InvalidArgument, Some("no such label"), None));
    let mut connection = Connection::open(held.scene.address);
    connection.send(&request("GET", &path, &accept, b""));
    let answer = connection.read().unwrap();
    answer.check_refusal(400, "no such label");
}

#[test]
fn a_failed_request_answers_with_its_error() {
    let held = Held::start(|_| {});
    let path = accepted(&held.scene);
    let asked = held.next();
    held.write(asked.result(Status::Internal, Some("the engine broke"), Some(Vec::new())));
    get(held.scene.address, &path).check_refusal(500, "the engine broke");
}

#[test]
fn a_result_that_is_too_old_is_gone() {
    let scene = recorded(
        |settings| settings.results.retention = Duration::from_secs(3600),
        echo_and_record,
    );
    let path = accepted(&scene);
    check_result(&get(scene.address, &format!("{path}?wait=30")));
    let parts: Vec<_> = path.rsplitn(3, '-').collect();
    let [form, at, rest] = parts[..] else {
        panic!("{path}")
    };
    let old = at.parse::<i64>().unwrap() - 3_700_000;
    get(scene.address, &format!("{rest}-{old}-{form}")).check_refusal(410, "not kept");
    // A caller who makes his location younger gets nothing that he would not get anyway.
    let young = unix_ms() + 3_600_000;
    check_result(&get(scene.address, &format!("{rest}-{young}-{form}")));
}

#[test]
fn an_id_that_was_never_given_out_finds_nothing() {
    let scene = shared_results();
    let path = accepted(scene);
    check_result(&get(scene.address, &format!("{path}?wait=30")));
    let (prefix, location) = path.rsplit_once('/').unwrap();
    let parts: Vec<_> = location.split('-').collect();
    let [id, partition, offset, at, form] = parts[..] else {
        panic!("{path}")
    };
    let other_id = "0123456789abcdef0123456789abcdef";
    let get = |location: String| get(scene.address, &format!("{prefix}/{location}"));
    // Right coordinates, another id: the 128 bits are what counts.
    for hostile in [
        format!("{other_id}-{partition}-{offset}-{at}-{form}"),
        format!("{other_id}-{partition}-9223372036854775807-{at}-{form}"),
        format!("{other_id}-2147483647-{offset}-{at}-{form}"),
        format!("{other_id}-0-0-9223372036854775807-{form}"),
    ] {
        let began = Instant::now();
        let answer = get(format!("{hostile}?wait=60"));
        answer.check_refusal(404, "no such request");
        assert!(began.elapsed() < Duration::from_secs(10), "{hostile}");
    }
    for malformed in [
        "x".to_owned(),
        "..%2f..%2fetc".to_owned(),
        location.to_uppercase(),
        format!("{location}-"),
        format!("{id}-{partition}-+{offset}-{at}-{form}"),
        format!("{id}-{partition}-{offset}-{at}-xml"),
        "0".repeat(4000),
    ] {
        get(malformed).check_refusal(400, "none that was given out");
    }
    let elsewhere = format!("/v1/results/other/{location}");
    super::client::get(scene.address, &elsewhere).check_refusal(404, "no such request");
    let elsewhere = format!("/v1/results/a%2fb/{location}");
    super::client::get(scene.address, &elsewhere).check_refusal(400, "none that was given out");
    super::client::get(scene.address, "/v1/results").check_refusal(404, "/v1/results/MODEL/ID");
    super::client::get(scene.address, "/v1/results/m").check_refusal(404, "/v1/results/MODEL/ID");
    let post = raw(scene.address, &request("POST", &path, &[], b"x"));
    post.check_refusal(405, "GET, HEAD");
    get(format!("{location}?wait=soon")).check_refusal(400, "wait is \"soon\"");
}

#[test]
fn a_bad_request_is_refused_before_it_is_accepted() {
    let scene = shared_results();
    let bytes = request("POST", "/v1/models/m:predict", &[LATER], b"{}");
    let answer = raw(scene.address, &bytes);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.header("location"), None);
}

#[test]
fn a_request_for_later_outlives_its_deadline_only_if_the_caller_wants_that() {
    let held = Held::start(|_| {});
    accepted(&held.scene);
    let in_a_day = u64::try_from(unix_ms()).unwrap() + 86_400_000;
    let deadline = held.next().headers.deadline_unix_ms.unwrap();
    assert!(deadline.abs_diff(in_a_day) < 60_000, "{deadline}");
    let answer = ask(&held.scene, &[LATER, "Request-Timeout: 300"]);
    assert_eq!(answer.status, 202);
    let in_five_minutes = u64::try_from(unix_ms()).unwrap() + 300_000;
    let deadline = held.next().headers.deadline_unix_ms.unwrap();
    assert!(deadline.abs_diff(in_five_minutes) < 30_000, "{deadline}");
}

#[test]
fn who_hangs_up_frees_his_place_and_too_many_are_told() {
    let held = Held::start(|settings| settings.results.max_waiting = 2);
    let path = accepted(&held.scene);
    let asked = held.next();
    let address = held.scene.address;
    let wait = |headers: &[&str]| {
        let mut connection = Connection::open(address);
        connection.send(&request("GET", &path, headers, b""));
        connection
    };
    let poll = wait(&["Prefer: wait=50"]);
    let mut events = wait(&["Accept: text/event-stream"]);
    assert_eq!(events.read_head().unwrap().status, 200);
    held.scene.wait_answer(&format!("{path}?wait=1"), |answer| {
        if answer.status == 503 {
            answer.check_refusal(503, "too many callers wait");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        answer.status == 503
    });
    // Looking without waiting needs no place.
    assert_eq!(get(address, &path).status, 202);
    drop((poll, events));
    held.scene
        .wait_answer(&format!("{path}?wait=1"), |answer| answer.status == 202);
    held.answer(&asked);
    check_result(&get(address, &format!("{path}?wait=30")));
}

#[test]
fn a_stop_does_not_wait_for_those_who_wait() {
    let mut held = Held::start(|_| {});
    let path = accepted(&held.scene);
    let mut waiting = Connection::open(held.scene.address);
    waiting.send(&request("GET", &path, &["Prefer: wait=60"], b""));
    let probe = Arc::new(Mutex::new(waiting));
    held.scene.wait_answer("/metrics", |answer| {
        let text = answer.text();
        text.lines().any(|line| {
            line.strip_prefix("millrace_ingest_in_flight ")
                .is_some_and(|count| count.parse::<f64>().unwrap() >= 2.0)
        })
    });
    let began = Instant::now();
    held.scene.stop().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let answer = probe.lock().unwrap().read().unwrap();
    answer.check_refusal(503, "ingest is stopping");
}
