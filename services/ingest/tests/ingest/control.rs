//! Loading and unloading by the Open Inference Protocol, with a replica that follows the control topic.

use std::time::Duration;

use millrace_ingest::Settings;
use millrace_kafka::{Follower, FollowerSettings, Metrics, Record};
use millrace_wire::avro::{ModelControl, ModelDescriptor, ModelState};
use serde_json::json;

use super::client::{Answer, get, post};
use super::played::{echo, model_m};
use super::scene::{Scene, cluster};

const PATIENCE: Duration = Duration::from_secs(60);

/// A replica of `m` that does what is asked of it, but loads only with `state`.
pub(crate) fn following(
    change: impl FnOnce(&mut Settings),
    state: ModelState,
) -> (Scene, Follower) {
    let scene = Scene::start(|settings| {
        settings.control.enabled = true;
        change(settings);
    });
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let topic = format!("{}.control", scene.prefix);
    let (producer, models) = (scene.producer.clone(), format!("{}.models", scene.prefix));
    let on_record = move |record: Record| {
        let control = ModelControl::decode(&record.value.unwrap()).unwrap();
        let said = ModelDescriptor {
            state: match control.unloaded {
                true => ModelState::End,
                false => state,
            },
            reason: match control.unloaded {
                true => "unloaded on request".to_owned(),
                false if state == ModelState::Failed => "no such operator".to_owned(),
                false => String::new(),
            },
            control_offset: record.offset,
            ..model_m()
        };
        let record = millrace_kafka::OutRecord {
            topic: models.as_str().into(),
            partition: None,
            key: Some(said.key().into_bytes()),
            value: Some(said.encode().unwrap()),
            headers: millrace_kafka::Headers::new(),
        };
        producer
            .send(record, |outcome| assert!(outcome.is_ok()))
            .unwrap();
    };
    let follow = FollowerSettings::whole_topic(cluster(), topic);
    let follower = Follower::start(follow, on_record, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    (scene, follower)
}

fn ask(scene: &Scene, model: &str, verb: &str, body: &str) -> Answer {
    let path = format!("/v2/repository/models/{model}/{verb}");
    post(scene.address, &path, body)
}

#[track_caller]
fn check_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[test]
fn a_model_is_unloaded_and_loaded_again_before_it_is_answered() {
    let (scene, _replica) = following(|_| {}, ModelState::Available);
    check_done(&ask(
        &scene,
        "m",
        "unload",
        r#"{"parameters":{"unload_dependents":true}}"#,
    ));
    let refused = post(scene.address, "/v1/models/m:predict", "{}");
    refused.check_refusal(404, "Latest(m): unloaded on request");
    assert_eq!(get(scene.address, "/v2/models/m/ready").status, 503);
    let index = get(scene.address, "/v2/repository/index").json();
    let ended = json!({"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded on request"});
    assert_eq!(index, json!([ended]));
    check_done(&ask(&scene, "m", "load", ""));
    scene.check_alive();
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_reason() {
    let (scene, _replica) = following(|_| {}, ModelState::Failed);
    check_done(&ask(&scene, "m", "unload", ""));
    let refused = ask(&scene, "m", "load", "{}");
    refused.check_refusal(400, "failed to load 'm': played: version 1 failed to load");
    assert!(refused.text().contains("no such operator"));
    ask(&scene, "other", "unload", "").check_refusal(404, "models served: none");
}

#[test]
fn replicas_that_do_not_follow_are_waited_for_only_so_long() {
    let short = |settings: &mut Settings| settings.control.timeout = Duration::from_millis(300);
    let scene = Scene::start(|settings| {
        settings.control.enabled = true;
        short(settings);
    });
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let late = ask(&scene, "m", "unload", "");
    late.check_refusal(504, "1 of 1 replicas have not followed it yet: played");
    // It was asked for, so loading has something to take back.
    ask(&scene, "m", "load", "").check_refusal(504, "'m' was told to load");
    scene.check_alive();
}

#[test]
fn a_line_without_the_control_topic_says_so() {
    let prefix = format!("ingest-{:016x}", rand::random::<u64>());
    super::scene::create_topics_without_control(&prefix);
    let scene = Scene::start_at(prefix, |settings| settings.control.enabled = true);
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let refused = ask(&scene, "m", "unload", "");
    refused.check_refusal(503, "cannot be written to the control topic");
    assert!(refused.text().contains(".control"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
}
