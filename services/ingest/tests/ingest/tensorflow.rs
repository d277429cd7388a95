//! TensorFlow Serving's REST API, as its own tests know it: golden vectors,
//! routes, sentences, compressed bodies and other origins.

use std::io::Write;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use millrace_kafka::OutRecord;
use millrace_wire::avro::ModelDescriptor;
use millrace_wire::{DType, Limits, Record, Status, Tensor, VariableData, encode_tensors};
use serde_json::json;

use super::client::{Answer, get, post, raw, request};
use super::played::{Asked, Input, descriptor, echo};
use super::scene::{Scene, shared};

const M: &str = "/v1/models/m:predict";
const GOOD: &[u8] = br#"{"instances": [[1,2,3,4]]}"#;

/// TensorFlow Serving's own test model: half of each number, plus two.
fn half_plus_two(asked: &Asked) -> Vec<OutRecord> {
    let value = asked.record.value.clone().unwrap();
    let x = Record::decode(value, &Limits::default()).unwrap();
    let x = x.tensor(0).unwrap();
    let halves = x.typed::<f32>().unwrap().iter().map(|x| x / 2.0 + 2.0);
    let bytes: Vec<u8> = halves.flat_map(f32::to_le_bytes).collect();
    let y = Tensor::fixed("y", DType::Float32, x.shape().to_vec(), bytes.into()).unwrap();
    let value = encode_tensors(&[y]).unwrap();
    vec![asked.reply(Status::Ok, None, Some(value))]
}

/// The model with numbers as rows, and with lists as rows.
fn scene() -> &'static Scene {
    static SCENE: LazyLock<Scene> = LazyLock::new(|| {
        let scene = Scene::start(|settings| settings.http.cors.enabled = true);
        for (model, shape) in [
            ("half_plus_two", &[-1_i64][..]),
            ("half_plus_two_lists", &[-1, -1]),
        ] {
            let mut described = descriptor(model, &[("x", "FP32", shape)]);
            described.version = 123;
            described.outputs[0].name = "y".to_owned();
            scene.serve(&described, half_plus_two);
        }
        scene.serve(&half_plus_three(), half_plus_two);
        scene.serve(&cars(), |asked| {
            vec![asked.reply(Status::Ok, None, Some(two_cars()))]
        });
        scene.wait_ready();
        for model in ["half_plus_two_lists", "numbers", "cars"] {
            scene.wait_answer(&format!("/v1/models/{model}"), |it| it.status == 200);
        }
        scene
    });
    &SCENE
}

/// A model that takes one feature and gives one number.
fn half_plus_three() -> ModelDescriptor {
    let mut described = descriptor("numbers", &[("x", "FP32", &[-1, 1])]);
    described.outputs[0].name = "y".to_owned();
    described
}

/// A model that takes a text and a number and gives classes.
fn cars() -> ModelDescriptor {
    let inputs: [Input; 2] = [("name", "STRING", &[-1]), ("wheels", "INT64", &[-1])];
    let outputs: [Input; 2] = [
        ("scores", "FP32", &[-1, 2]),
        ("classes", "STRING", &[-1, 2]),
    ];
    ModelDescriptor {
        outputs: descriptor("cars", &outputs).outputs,
        ..descriptor("cars", &inputs)
    }
}

/// What the model of cars says of any two examples.
fn two_cars() -> Vec<u8> {
    let scores = [0.2_f32, 0.7, 0.5, 0.4].map(f32::to_le_bytes).concat();
    let scores = Tensor::fixed("scores", DType::Float32, vec![2, 2], scores.into()).unwrap();
    let mut classes = VariableData::new();
    for class in ["car", "bike", "car", ""] {
        classes.push(class.as_bytes());
    }
    let classes = Tensor::variable("classes", DType::String, vec![2, 2], classes).unwrap();
    encode_tensors(&[scores, classes]).unwrap()
}

#[test]
fn keys_that_no_protocol_defines_are_counted_whatever_is_asked() {
    let scene = Scene::start(|_| {});
    scene.serve(&half_plus_three(), echo);
    scene.wait_ready();
    scene.wait_answer("/v1/models/numbers", |answer| answer.status == 200);
    let counted = || scene.metric("millrace_ingest_json_keys_ignored_total");
    for (verb, body, expected) in [
        (
            "predict",
            r#"{"instances": [[1]], "a": 1, "b": {"c": 2}}"#,
            2.0,
        ),
        ("predict", r#"{"instances": [[1]]}"#, 2.0),
        ("regress", r#"{"examples": [{"x": 1}], "d": []}"#, 3.0),
        ("classify", r#"{"e": null, "examples": [{"x": 1}]}"#, 4.0),
    ] {
        let path = format!("/v1/models/numbers:{verb}");
        let answer = post(scene.address, &path, body);
        assert_eq!(answer.status, 200, "{verb}: {}", answer.text());
        assert!((counted() - expected).abs() < f64::EPSILON, "{verb}");
    }
}

#[test]
fn examples_are_classified_and_regressed_as_there() {
    let classify = "/v1/models/cars:classify";
    let body = r#"{
        "context": {"wheels": 4},
        "examples": [{"name": "fiat"}, {"name": {"b64": "YmlrZQ=="}}]
    }"#;
    let answer = post(scene().address, classify, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({"results": [
        [["car", 0.2], ["bike", 0.7]],
        [["car", 0.5], ["", 0.4]],
    ]});
    assert_eq!(answer.json(), expected);

    let regress = "/v1/models/numbers/versions/1:regress";
    let body = r#"{"signature_name": "serving_default", "examples": [{"x": 1.0}, {"x": [2.5]}]}"#;
    let answer = post(scene().address, regress, body);
    assert_eq!(answer.json(), json!({"results": [2.5, 3.25]}));

    let refused = |path, body, sentence| {
        post(scene().address, path, body).check_refusal(400, sentence);
    };
    let sentence = "key 'examples' is expected and was not found";
    refused(classify, r#"{"instances": [1]}"#, sentence);
    refused(
        classify,
        r#"{"examples": [{"name": null, "wheels": 1}]}"#,
        "name",
    );
    refused(classify, r#"{"examples": [{"wheels": 1}]}"#, "name");
    refused(
        regress,
        r#"{"signature_name": "other", "examples": [{"x": 1.0}]}"#,
        "Serving signature name: \"other\" not found in signature def",
    );
    refused(
        "/v1/models/cars:regress",
        "{}",
        "method regress needs a model with",
    );
}

#[track_caller]
fn check(model: &str, body: &str, expected: serde_json::Value) {
    let answer = post(
        scene().address,
        &format!("/v1/models/{model}:predict"),
        body,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), expected);
}

#[test]
fn half_plus_two_answers_as_in_its_own_tests() {
    check(
        "half_plus_two",
        r#"{"instances":[1.0,2.0,5.0]}"#,
        json!({"predictions": [2.5, 3.0, 4.5]}),
    );
    let answer = post(
        scene().address,
        "/v1/models/half_plus_two:predict",
        r#"{"instances":[1.0,2.0,5.0]}"#,
    );
    assert_eq!(
        answer.text(),
        "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}"
    );
    check(
        "half_plus_two_lists",
        r#"{"instances":[[1.0,2.0],[3.0,4.0]]}"#,
        json!({"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
    );
    check(
        "half_plus_two",
        r#"{"signature_name":"serving_default","inputs":[3.0,4.0]}"#,
        json!({"outputs": [3.5, 4.0]}),
    );
}

#[test]
fn numbers_are_written_as_there() {
    let numbers = [9e6, 999_999.0, 0.5, 0.0003, 0.00003, 555_557.5];
    let inputs: Vec<f64> = numbers.iter().map(|y| (y - 2.0) * 2.0).collect();
    let body = json!({ "instances": inputs }).to_string();
    let answer = post(scene().address, "/v1/models/half_plus_two:predict", body);
    // The small ones do not survive adding two, so they are only near.
    let text = answer.text();
    for number in ["9e+06", "999999.0", "0.5", "555557.5"] {
        assert!(text.contains(number), "{number} is not in {text}");
    }
}

#[test]
fn status_and_metadata_are_laid_out_as_there() {
    let status = get(scene().address, "/v1/models/half_plus_two/versions/123");
    let expected = r#"{
 "model_version_status": [
  {
   "version": "123",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
"#;
    assert_eq!(status.text(), expected);
    let metadata = get(scene().address, "/v1/models/half_plus_two/metadata").json();
    let dim = json!([{"size": "-1", "name": ""}]);
    let tensor = |name: &str| {
        json!({
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": dim, "unknown_rank": false},
            "name": format!("{name}:0"),
        })
    };
    let expected = json!({
        "model_spec": {"name": "half_plus_two", "signature_name": "", "version": "123"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": {
            "inputs": {"x": tensor("x")},
            "outputs": {"y": tensor("y")},
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }}}},
    });
    assert_eq!(metadata, expected);
}

#[test]
fn paths_have_any_case() {
    let path = "/V1/Models/half_plus_two/Labels/stable:Predict";
    let answer = post(scene().address, path, r#"{"instances": [1]}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = get(scene().address, "/V1/MODELS/half_plus_two/VERSIONS/123");
    assert_eq!(status.status, 200, "{}", status.text());
}

#[test]
fn what_is_no_request_is_malformed_in_its_words() {
    let refused = |method: &str, path: &str| raw(scene().address, &request(method, path, &[], b""));
    for (method, path) in [
        ("POST", "/v1/models/half_plus_two:explode"),
        ("POST", "/v1/models/half_plus_two"),
        ("POST", "/v1/models:predict"),
        ("GET", "/v1/modelz"),
        ("GET", "/v1/models/a/b"),
        ("GET", "/v1/models/a/versions/x"),
    ] {
        let sentence = format!("Malformed request: {method} {path}: ");
        refused(method, path).check_refusal(400, &sentence);
    }
    let answer = refused("GET", "/v1/models/half_plus_two:predict");
    answer.check_refusal(
        405,
        "Malformed request: GET /v1/models/half_plus_two:predict: ",
    );
    assert_eq!(answer.header("allow"), Some("POST"));
    refused("GET", "/v1/models").check_refusal(400, "Missing model name in request.");
    refused("GET", "/v1/models/m/versions/99999999999999999999").check_refusal(
        400,
        "Failed to convert version: 99999999999999999999 to numeric.",
    );
    refused("GET", "/v1").check_refusal(404, "no such path");
}

/// One gzip member.
fn gzip(body: &[u8]) -> Vec<u8> {
    gzip_at(Compression::fast(), body)
}

fn gzip_at(level: Compression, body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn post_gzip(scene: &Scene, body: &[u8]) -> Answer {
    let headers = ["Content-Encoding: gzip", "Content-Type: application/json"];
    raw(scene.address, &request("POST", M, &headers, body))
}

#[test]
fn a_compressed_body_is_read_like_any_other() {
    let scene = shared();
    assert_eq!(post_gzip(scene, &gzip(GOOD)).status, 200);
    let rows = vec!["[1,2,3,4]"; 100_000].join(",");
    let body = format!("{{\"instances\": [{rows}]}}");
    let answer = post_gzip(scene, &gzip(body.as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = answer.json()["predictions"].as_array().unwrap().len();
    assert_eq!(rows, 100_000);
}

#[test]
fn a_compressed_body_that_is_broken_or_a_bomb_is_refused() {
    let scene = shared();
    // H76
    let good = gzip(GOOD);
    let truncated = &good[..good.len() - 3];
    let mut bad_sum = good.clone();
    let sum = bad_sum.len() - 8;
    bad_sum[sum] ^= 1;
    let mut trailing = good.clone();
    trailing.push(0);
    for broken in [GOOD, b"", truncated, &bad_sum, &trailing] {
        post_gzip(scene, broken).check_refusal(400, "request body is broken");
    }
    // 32 MiB of white space is 32 KB: more than 250 times its size.
    let bomb = gzip_at(Compression::best(), &vec![b' '; 32 << 20]);
    post_gzip(scene, &bomb).check_refusal(413, "decompresses to more than 250 times its size");
    // Less well compressed, but more than the limit.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        b'0' + u8::try_from(state >> 63).unwrap()
    })
    .take(34 << 20)
    .collect();
    let large = gzip(&noise);
    assert!(large.len() < 10 << 20, "{}", large.len());
    post_gzip(scene, &large).check_refusal(413, "larger than the limit of 33554432 bytes");
    scene.check_alive();
}

#[test]
fn compression_can_be_switched_off() {
    let scene = Scene::start(|settings| settings.limits.decompressed_bytes = 0);
    scene.serve(&super::played::model_m(), super::played::echo);
    scene.wait_ready();
    // H75
    post_gzip(&scene, &gzip(GOOD)).check_refusal(415, "send the body uncompressed");
    scene.check_alive();
}

#[test]
fn pages_of_other_origins_may_call_where_the_settings_say_so() {
    let preflight = |scene: &Scene, path: &str, headers: &[&str]| {
        raw(scene.address, &request("OPTIONS", path, headers, b""))
    };
    let origin = "Origin: https://example.com";
    let allowed = |answer: &Answer| {
        ["origin", "methods", "headers"].map(|name| {
            let name = format!("access-control-allow-{name}");
            answer.header(&name).map(str::to_owned)
        })
    };
    let as_there = ["*", "POST, GET", "Content-Type"].map(|it| Some(it.to_owned()));
    for path in [M, "/predict", "/models"] {
        let answer = preflight(scene(), path, &[origin]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(allowed(&answer), as_there);
    }
    let answer = post(scene().address, M, "x");
    answer.check_refusal(404, "");
    assert_eq!(allowed(&answer), as_there);
    preflight(scene(), M, &[]).check_refusal(400, "Origin header is missing in CORS preflight");

    let answer = preflight(shared(), M, &[origin]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(allowed(&answer), [None, None, None]);
    preflight(shared(), M, &["Origin: null"]).check_refusal(400, "Origin header is missing");
}
