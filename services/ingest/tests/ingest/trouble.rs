//! What callers are told when the line behind ingest is in trouble.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use millrace_kafka::{Headers, OutRecord};
use millrace_wire::Status;
use millrace_wire::avro::ModelState;

use super::client::{Connection, get, post, request};
use super::played::{Asked, echo, model_m, unix_ms};
use super::scene::{Scene, create_topics};

const M: &str = "/v1/models/m:predict";
const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;

/// A scene whose model `m` answers as `reply` says.
fn scene_with(reply: impl Fn(&Asked) -> Vec<OutRecord> + Send + 'static) -> Scene {
    let scene = Scene::start(|settings| settings.request_timeout = Duration::from_secs(20));
    scene.serve(&model_m(), reply);
    scene.wait_ready();
    scene
}

/// A scene in which nothing is ever answered.
fn silent_scene(request_timeout: Duration) -> Scene {
    let scene = Scene::start(|settings| settings.request_timeout = request_timeout);
    scene.serve(&model_m(), |_| Vec::new());
    scene.wait_ready();
    scene
}

#[test]
fn without_a_model_ingest_is_not_ready_and_says_what_to_start() {
    let scene = Scene::start(|_| {});
    let ready = scene.wait_answer("/ready", |answer| {
        answer.text().contains("no model is served")
    });
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("start infer"), "{}", ready.text());
    let answer = post(scene.address, "/predict", GOOD);
    answer.check_refusal(503, "no model is served: start infer");
    assert!(answer.header("retry-after").is_some());
    post(scene.address, M, GOOD).check_refusal(404, "Latest(m); models served: none");
    assert_eq!(get(scene.address, "/live").status, 200);
}

#[test]
fn before_its_topics_exist_ingest_is_not_ready_and_then_it_is() {
    let prefix = format!("ingest-{:016x}", rand::random::<u64>());
    let scene = Scene::start_at(prefix.clone(), |_| {});
    let ready = scene.wait_answer("/ready", |answer| answer.text().contains("does not exist"));
    assert!(
        ready.text().contains("millrace topics apply"),
        "{}",
        ready.text()
    );
    let answer = post(scene.address, M, GOOD);
    answer.check_refusal(503, "not ready");
    assert!(answer.header("retry-after").is_some());
    create_topics(&prefix);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    scene.check_alive();
}

#[test]
fn a_model_whose_replicas_are_gone_is_unavailable_and_readiness_closes() {
    let scene = Scene::start(|_| {});
    let mut descriptor = model_m();
    // Long enough to become ready in on a busy machine.
    descriptor.lease_until_unix_ms = unix_ms() + 8_000;
    scene.serve(&descriptor, echo);
    scene.wait_ready();
    scene.wait_answer("/ready", |answer| answer.status == 503);
    let answer = post(scene.address, M, GOOD);
    answer.check_refusal(503, "model m is not served at the moment");
    assert!(answer.header("retry-after").is_some());
    scene.publish(&model_m());
    scene.wait_ready();
    scene.check_alive();
    scene.publish_raw(&descriptor.key(), None);
    scene.wait_answer("/ready", |answer| answer.status == 503);
    post(scene.address, M, GOOD).check_refusal(404, "Latest(m)");
}

#[test]
fn garbage_on_the_models_topic_is_counted_and_ignored() {
    let scene = scene_with(echo);
    scene.publish_raw("m/1/played", Some(b"garbage".to_vec()));
    scene.publish_raw("no key of ours", Some(model_m().encode().unwrap()));
    let mut loading = model_m();
    loading.model = "last".to_owned();
    loading.state = ModelState::Loading;
    scene.publish(&loading);
    scene.wait_answer("/v1/models/last", |answer| answer.status == 200);
    // The topic has partitions, so the others may be read later.
    scene.wait_answer("/metrics", |answer| {
        let text = answer.text();
        text.contains("millrace_ingest_descriptors_rejected_total 2\n")
    });
    post(scene.address, "/v1/models/last:predict", GOOD).check_refusal(503, "it is being loaded");
    scene.check_alive();
}

#[test]
fn a_request_without_an_answer_times_out_with_its_id() {
    let scene = silent_scene(Duration::from_millis(1500));
    let began = Instant::now();
    let answer = post(scene.address, M, GOOD);
    let waited = began.elapsed();
    let id = answer.header("x-request-id").unwrap().to_owned();
    answer.check_refusal(504, &format!("request {id} was not answered within"));
    assert!((1500..6000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(scene.metric("millrace_ingest_pending"), 0.0);
}

#[test]
fn a_late_reply_is_counted_and_reaches_nobody() {
    let scene = Scene::start(|settings| settings.request_timeout = Duration::from_millis(800));
    let (sender, late) = mpsc::channel();
    scene.serve(&model_m(), move |asked| {
        sender.send(echo(asked)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    post(scene.address, M, GOOD).check_refusal(504, "was not answered");
    for reply in late.recv().unwrap() {
        scene.producer.send(reply, |_| {}).unwrap();
    }
    let name = "millrace_ingest_replies_unmatched_total{reason=\"late_or_duplicate\"}";
    scene.wait_answer("/metrics", |answer| {
        answer.text().contains(&format!("{name} 1"))
    });
}

#[test]
fn forged_foreign_and_duplicate_replies_reach_nobody() {
    let scene = scene_with(|asked| {
        let with_key = |key: &[u8]| OutRecord {
            key: Some(key.to_vec()),
            headers: Headers::new(),
            ..asked.reply(Status::Ok, None, None)
        };
        let mut replies = vec![
            with_key(b""),
            with_key(&[b'0'; 32]),
            with_key(&[0xff; 1000]),
        ];
        replies.extend(echo(asked));
        replies.extend(echo(asked));
        replies
    });
    scene.check_alive();
    scene.check_alive();
    let unmatched = "millrace_ingest_replies_unmatched_total{reason=";
    scene.wait_answer("/metrics", |answer| {
        let has = |line: &str| answer.text().contains(&format!("{unmatched}{line}"));
        has("\"foreign\"} 2") && has("\"no_id\"} 4") && has("\"late_or_duplicate\"} 2")
    });
}

#[test]
fn a_malformed_reply_is_a_bad_gateway_for_its_caller_only() {
    let turn = AtomicUsize::new(0);
    let scene = scene_with(move |asked| {
        let good = || asked.record.value.clone();
        vec![match turn.fetch_add(1, Ordering::SeqCst) {
            0 => asked.reply(Status::Ok, None, None),
            1 => asked.reply(Status::Ok, None, Some(b"random bytes".to_vec())),
            2 => asked.reply(Status::Ok, None, Some(Vec::new())),
            3 => OutRecord {
                headers: Headers::new(),
                ..asked.reply(Status::Ok, None, good())
            },
            4 => {
                let half = good().map(|value| value[..value.len() / 2].to_vec());
                asked.reply(Status::Ok, None, half)
            }
            _ => asked.reply(Status::Ok, None, good()),
        }]
    });
    for _ in 0..5 {
        post(scene.address, M, GOOD).check_refusal(502, "reply of infer is malformed");
    }
    scene.check_alive();
}

#[test]
fn an_error_of_infer_becomes_its_status_and_a_safe_sentence() {
    let scene = scene_with(|asked| {
        let value = None;
        let long = format!("<b>\u{1b}[31m\n{}", "x".repeat(600));
        vec![match asked.headers.version {
            Some(_) => asked.reply(Status::ResourceExhausted, Some("too busy"), value),
            None => asked.reply(Status::InvalidArgument, Some(&long), value),
        }]
    });
    let answer = post(scene.address, M, GOOD);
    answer.check_refusal(400, "xxx");
    assert!(!answer.text().contains('\u{1b}'));
    assert_eq!(answer.text().lines().count(), 3, "{}", answer.text());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let answer = post(scene.address, "/v1/models/m/versions/1:predict", GOOD);
    answer.check_refusal(429, "too busy");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn a_full_process_refuses_at_once_and_recovers() {
    let (sender, asked) = mpsc::channel();
    let scene = Scene::start(|settings| settings.limits.in_flight_requests = 1);
    scene.serve(&model_m(), move |it| {
        sender.send(echo(it)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let mut first = Connection::open(scene.address);
    first.send(&request("POST", M, &[], GOOD.as_bytes()));
    let replies = asked.recv().unwrap();
    let answer = post(scene.address, M, GOOD);
    answer.check_refusal(
        503,
        "too many requests in flight: the limit of this process is 1",
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    for reply in replies {
        scene.producer.send(reply, |_| {}).unwrap();
    }
    assert_eq!(first.read().unwrap().status, 200);
}

#[test]
fn a_record_larger_than_the_topics_take_is_refused() {
    let scene = Scene::start(|settings| settings.limits.record_bytes = 4000);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let rows = vec!["[1,2,3,4]"; 1000].join(",");
    let answer = post(scene.address, M, format!("{{\"instances\": [{rows}]}}"));
    answer.check_refusal(413, "larger than the limit of 4000 bytes");
    scene.check_alive();
}

#[test]
fn a_caller_who_hangs_up_frees_his_place() {
    // Longer than the test waits.
    let scene = silent_scene(Duration::from_secs(600));
    let mut connection = Connection::open(scene.address);
    connection.send(&request("POST", M, &[], GOOD.as_bytes()));
    let pending = |count: u32| format!("millrace_ingest_pending {count}\n");
    scene.wait_answer("/metrics", |answer| answer.text().contains(&pending(1)));
    drop(connection);
    scene.wait_answer("/metrics", |answer| answer.text().contains(&pending(0)));
}

#[test]
fn without_a_broker_ingest_lives_is_not_ready_and_refuses_quickly() {
    let scene = Scene::start_at("nowhere".to_owned(), |settings| {
        // A port that was free a moment ago and that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        settings.kafka.brokers = port.to_string();
    });
    assert_eq!(get(scene.address, "/live").status, 200);
    let ready = get(scene.address, "/ready");
    assert_eq!(ready.status, 503);
    let began = Instant::now();
    let answer = post(scene.address, M, GOOD);
    answer.check_refusal(503, "not ready");
    assert!(answer.header("retry-after").is_some());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn refusals_are_counted_once_each_by_reason() {
    let scene = scene_with(echo);
    post(scene.address, M, "{}").check_refusal(400, "");
    post(scene.address, "/v1/models/x:predict", GOOD).check_refusal(404, "");
    get(scene.address, "/nowhere").check_refusal(404, "");
    scene.check_alive();
    let counted = |reason: &str| {
        scene.metric(&format!(
            "millrace_ingest_rejected_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(counted("json"), 1.0);
    assert_eq!(counted("unknown_model"), 1.0);
    assert_eq!(counted("no_such_path"), 1.0);
    let answered = "millrace_ingest_requests_total{route=\"/v1/models:predict\",status=\"200\"}";
    assert_eq!(scene.metric(answered), 1.0);
}
