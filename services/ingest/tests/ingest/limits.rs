//! Limits that settings choose: heads, instances, elements, depth; over every protocol.

use millrace_wire::{DType, Tensor, encode_tensors};
use tonic::Code;

use super::client::{Answer, post, raw, request};
use super::grpc::examples::{example, list};
use super::grpc::proto::tensorflow::serving::ClassificationRequest;
use super::grpc::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use super::grpc::{ask, channel, check_refusal, client, floats, run};
use super::played::{echo, model_m};
use super::scene::Scene;

const M: &str = "/v1/models/m:predict";

/// Two instances of four elements fit, and small heads.
fn scene() -> Scene {
    let scene = Scene::start(|settings| {
        settings.limits.headers = 5;
        settings.limits.header_bytes = 1024;
        settings.limits.instances = 2;
        settings.limits.elements = 8;
        settings.limits.depth = 3;
    });
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    scene
}

fn rows(count: usize) -> String {
    let rows = vec!["[1,2,3,4]"; count].join(",");
    format!(r#"{{"instances": [{rows}]}}"#)
}

#[test]
fn heads_are_limited_with_a_sentence() {
    let scene = scene();
    let get = |headers: &[&str]| raw(scene.address, &request("GET", "/v1/models/m", headers, b""));
    // `Host` is one of them.
    assert_eq!(get(&["A: 1"; 4]).status, 200);
    get(&["A: 1"; 5]).check_refusal(431, "request has 6 headers: the limit is 5");
    let long = format!("A: {}", "a".repeat(980));
    assert_eq!(get(&[&long]).status, 200);
    let longer = format!("A: {}", "a".repeat(1000));
    get(&[&longer]).check_refusal(431, "the limit is 1024 bytes");
    let path = format!("/v1/models/{}", "m".repeat(1100));
    let answer = raw(scene.address, &request("GET", &path, &[], b""));
    answer.check_refusal(431, "path and headers have");
    let rejected = scene.metric("millrace_ingest_rejected_total{reason=\"header_size\"}");
    assert_eq!(rejected, 3.0);
}

#[test]
fn instances_elements_and_depth_are_limited_over_http() {
    let scene = scene();
    assert_eq!(post(scene.address, M, rows(2)).status, 200);
    post(scene.address, M, rows(3)).check_refusal(413, "more than 2 instances");
    let infer = |rows: usize| {
        let data = vec!["1"; rows * 4].join(",");
        let body = format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},4],"data":[{data}]}}]}}"#
        );
        post(scene.address, "/v2/models/m/infer", body)
    };
    assert_eq!(infer(2).status, 200);
    infer(3).check_refusal(413, "");
    let arrow = |rows: usize| -> Answer {
        let x = Tensor::fixed(
            "x",
            DType::Float32,
            vec![rows, 4],
            vec![0_u8; rows * 16].into(),
        );
        let body = encode_tensors(&[x.unwrap()]).unwrap();
        let kind = ["Content-Type: application/vnd.apache.arrow.stream"];
        raw(
            scene.address,
            &request("POST", "/v2/models/m/infer", &kind, &body),
        )
    };
    assert_eq!(arrow(2).status, 200);
    arrow(3).check_refusal(413, "");
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let body = format!(r#"{{"x": {open}{close}, "instances": [[1,2,3,4]]}}"#);
        post(scene.address, M, body)
    };
    assert_eq!(deep(3).status, 200);
    deep(4).check_refusal(400, "nested too deep");
}

#[test]
fn instances_and_elements_are_limited_over_grpc() {
    let scene = scene();
    let infer = |rows: i64| {
        let values = vec![1.0; usize::try_from(rows).unwrap() * 4];
        let request = ask("m", vec![floats(&[rows, 4], &values)]);
        run(async { client(scene.grpc).await.model_infer(request).await })
    };
    infer(2).unwrap();
    check_refusal(infer(3), Code::ResourceExhausted, "8");
    let classify = |count: usize| {
        let values = super::grpc::examples::floats(&[1.0; 4]);
        let request = ClassificationRequest {
            model_spec: super::grpc::tensorflow::spec("m"),
            input: Some(list(vec![example(&[("x", values)]); count])),
        };
        run(async {
            let mut client = PredictionServiceClient::new(channel(scene.grpc).await);
            client.classify(request).await
        })
    };
    classify(2).unwrap();
    check_refusal(classify(3), Code::ResourceExhausted, "more than 2 examples");
}
