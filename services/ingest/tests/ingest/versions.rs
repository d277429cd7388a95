//! Several versions of one model at once: which one a request gets, and what is told of each.

use millrace_kafka::{Headers, OutRecord};
use millrace_wire::Status;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use millrace_wire::headers::{ResultHeaders, Source};
use serde_json::json;

use super::client::{get, post};
use super::played::{Asked, model_m};
use super::scene::Scene;

const ROWS: &str = r#"{"instances": [[1,2,3,4]]}"#;

/// A version of `m`, with its labels.
fn version(version: i64, state: ModelState, labels: &[&str]) -> ModelDescriptor {
    ModelDescriptor {
        version,
        state,
        labels: labels.iter().map(|&it| it.to_owned()).collect(),
        ..model_m()
    }
}

/// Answers as the version that was asked for, or else as version 9: the canary, let us say.
fn answer_by_version(asked: &Asked) -> Vec<OutRecord> {
    let version = asked.headers.version.unwrap_or(9);
    let result = ResultHeaders {
        id: asked.headers.id.clone().unwrap(),
        model: "m".to_owned(),
        version: Some(version),
        weights_sha256: Some(format!("{version}a").repeat(32)),
        status: Status::Ok,
        error: None,
        source: Source {
            topic: asked.record.topic.to_string(),
            partition: asked.record.partition,
            offset: asked.record.offset,
        },
    };
    let mut headers = Headers::new();
    for (name, value) in result.to_pairs() {
        headers.push(name, Some(value));
    }
    let reply = asked.reply(Status::Ok, None, asked.record.value.clone());
    vec![OutRecord { headers, ..reply }]
}

/// Versions 1 (stable), 2 (canary), 3 (loading), 4 (failed) and 5 (ended).
fn scene() -> Scene {
    let scene = Scene::start(|_| {});
    scene.serve(
        &version(1, ModelState::Available, &["stable"]),
        answer_by_version,
    );
    scene.publish(&version(2, ModelState::Available, &["canary"]));
    scene.publish(&version(3, ModelState::Loading, &["next"]));
    let mut failed = version(4, ModelState::Failed, &[]);
    failed.reason = "no such operator".to_owned();
    scene.publish(&failed);
    scene.publish(&version(5, ModelState::End, &[]));
    scene.wait_ready();
    scene.wait_answer("/v1/models/m/versions/5", |answer| answer.status == 200);
    scene
}

/// Which version answered, and its weights.
fn answered_by(scene: &Scene, path: &str) -> (String, String) {
    let answer = post(scene.address, path, ROWS);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let header = |name| answer.header(name).unwrap_or_default().to_owned();
    (header("mr-version"), header("mr-weights-sha256"))
}

#[test]
fn a_request_is_pinned_to_what_it_names_and_to_nothing_else() {
    let scene = scene();
    let checks = [
        ("/v1/models/m/versions/1:predict", "1"),
        ("/v1/models/m/versions/2:predict", "2"),
        ("/v1/models/m/labels/stable:predict", "1"),
        ("/v1/models/m/labels/canary:predict", "2"),
        // Infer decides, and may send it to the canary.
        ("/v1/models/m:predict", "9"),
        ("/predict", "9"),
    ];
    for (path, expected) in checks {
        let weights = format!("{expected}a").repeat(32);
        assert_eq!(
            answered_by(&scene, path),
            (expected.to_owned(), weights),
            "{path}"
        );
    }
    let rows = r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}"#;
    let answer = post(scene.address, "/v2/models/m/versions/2/infer", rows);
    assert_eq!(answer.json()["model_version"], "2");
    assert_eq!(answer.header("mr-version"), Some("2"));
}

#[test]
fn statistics_are_those_of_the_version_that_answered() {
    let scene = scene();
    scene.publish(&version(9, ModelState::Available, &[]));
    scene.wait_answer("/v2/models/m/versions/9", |answer| answer.status == 200);
    answered_by(&scene, "/v1/models/m:predict");
    let count = |version: i64| {
        let path = format!("/v2/models/m/versions/{version}/stats");
        get(scene.address, &path).json()["model_stats"][0]["inference_count"].clone()
    };
    assert_eq!((count(1), count(9)), (json!(0), json!(1)));
}

#[test]
fn versions_to_come_are_waited_for_and_those_that_ended_are_not_found() {
    let scene = scene();
    let ask = |of: &str| post(scene.address, &format!("/v1/models/m/{of}:predict"), ROWS);
    for of in ["versions/3", "labels/next"] {
        let loading = ask(of);
        loading.check_refusal(503, "it is being loaded");
        assert!(loading.header("retry-after").is_some());
    }
    ask("versions/4").check_refusal(503, "no such operator");
    ask("versions/5").check_refusal(404, "Specific(m, 5); its versions: 1, 2, 3");
    ask("versions/6").check_refusal(404, "Specific(m, 6); its versions: 1, 2, 3");
    ask("labels/best").check_refusal(404, "its labels: canary, next, stable");
}

#[test]
fn every_version_is_told_with_its_state_and_its_reason() {
    let scene = scene();
    let status = get(scene.address, "/v1/models/m").json();
    let told: Vec<String> = status["model_version_status"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let error = it["status"]["error_message"].as_str().unwrap();
            format!("{} {} {error}", it["version"], it["state"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        told,
        [
            "5 END ",
            "4 END no such operator",
            "3 LOADING ",
            "2 AVAILABLE ",
            "1 AVAILABLE "
        ]
    );
    let one = get(scene.address, "/v1/models/m/labels/canary").json();
    assert_eq!(one["model_version_status"][0]["version"], "2");
    let metadata = get(scene.address, "/v1/models/m/versions/2/metadata").json();
    assert_eq!(metadata["model_spec"]["version"], "2");
    let stable = get(scene.address, "/v1/models/m/metadata").json();
    assert_eq!(stable["model_spec"]["version"], "1");
    let index = get(scene.address, "/v2/repository/index").json();
    let failed =
        json!({"name": "m", "version": "4", "state": "UNAVAILABLE", "reason": "no such operator"});
    assert!(index.as_array().unwrap().contains(&failed), "{index}");
    assert_eq!(index.as_array().unwrap().len(), 5);
    let versions = &get(scene.address, "/v2/models/m").json()["versions"];
    assert_eq!(*versions, json!(["1", "2"]));
}
