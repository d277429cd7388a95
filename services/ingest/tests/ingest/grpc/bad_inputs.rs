//! Every bad message is refused with its code and a sentence, nothing of it reaches infer, and the
//! next good request is answered. Numbers are rows of the project's list of bad inputs.

mod any_bytes;
mod examples;
mod infer;
mod messages;
mod stage;
mod tensors;

use bytes::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use super::proto::inference::InferTensorContents;
use super::proto::tensorflow::serving::{PredictRequest, PredictResponse};
use super::proto::tensorflow::{DataType, TensorProto};
use super::tensorflow::{ask as ask_tensorflow, spec, tensor};
use super::{ask, channel, check_alive, client, raw_input, run};
use crate::scene::shared;
use any_bytes::AnyBytes;
use stage::Stage;

const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const CLASSIFY: &str = "/tensorflow.serving.PredictionService/Classify";
const REGRESS: &str = "/tensorflow.serving.PredictionService/Regress";
const MULTI_INFERENCE: &str = "/tensorflow.serving.PredictionService/MultiInference";

#[test]
fn every_bad_message_gets_its_answer_and_costs_nobody_else_anything() {
    let mut stage = Stage::set();
    infer::hostile_shapes(&mut stage);
    infer::datatypes(&mut stage);
    infer::lengths(&mut stage);
    infer::raw_contents(&mut stage);
    infer::names(&mut stage);
    infer::models(&mut stage);
    infer::cut_off_bytes(&mut stage);
    tensors::tensor_protos(&mut stage);
    tensors::strings(&mut stage);
    examples::lists(&mut stage);
    examples::features(&mut stage);
    examples::tasks(&mut stage);
    messages::malformed(&mut stage);
    stage.end();
}

#[test]
fn a_string_as_large_as_a_body_may_be_is_answered() {
    let text = TensorProto {
        string_val: vec![vec![b'a'; 9 << 20]],
        ..tensor(DataType::DtString, &[1])
    };
    let answer = predict_large(ask_tensorflow("s", &[("s", text)])).unwrap();
    assert_eq!(answer.outputs["s"].string_val[0].len(), 9 << 20);
}

fn predict_large(request: PredictRequest) -> Result<PredictResponse, tonic::Status> {
    use super::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
    let answer = run(async {
        let client = PredictionServiceClient::new(channel(shared().grpc).await);
        client
            .max_decoding_message_size(64 << 20)
            .predict(request)
            .await
    });
    answer.map(tonic::Response::into_inner)
}

/// Sends any bytes as the message of a call.
fn send_raw(path: &'static str, message: Bytes) -> Result<(), tonic::Status> {
    run(async {
        let channel = channel(shared().grpc).await;
        call(channel, path, message).await.map(|_| ())
    })
}

/// One call of any bytes.
async fn call(
    channel: Channel,
    path: &'static str,
    message: Bytes,
) -> Result<tonic::Response<()>, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    client
        .unary(tonic::Request::new(message), path, AnyBytes)
        .await
}

#[test]
fn a_message_cut_off_or_changed_anywhere_never_ends_the_process() {
    use prost::Message;
    let scene = shared();
    let infer = infer::with_raw("FP32", &[1, 4], &[0; 16]).encode_to_vec();
    let values = TensorProto {
        float_val: vec![1.0; 4],
        ..tensor(DataType::DtFloat, &[1, 4])
    };
    let predict = ask_tensorflow("m", &[("x", values)]).encode_to_vec();
    let classify = examples::good().encode_to_vec();
    for (path, message) in [
        (MODEL_INFER, infer),
        (PREDICT, predict),
        (CLASSIFY, classify),
    ] {
        if path != CLASSIFY {
            send_raw(path, message.clone().into()).unwrap();
        }
        for end in 0..message.len() {
            let cut = Bytes::copy_from_slice(&message[..end]);
            let _ = send_raw(path, cut);
            let mut changed = message.clone();
            changed[end] ^= 0xff;
            let _ = send_raw(path, changed.into());
        }
    }
    check_alive(scene.grpc);
}

#[test]
fn millions_of_empty_things_cost_no_more_than_their_message() {
    let scene = shared();
    let before = resident_kib();
    // Two bytes each: inputs, outputs, dimensions, elements, map entries.
    for field in [0x2a, 0x32, 0x3a, 0x22] {
        let message: Vec<u8> = [field, 0].repeat(4_000_000);
        let answer = send_raw(MODEL_INFER, message.into());
        assert!(answer.is_err());
    }
    let elements = [0x42, 0].repeat(2_000_000);
    let mut input = raw_input("s", "BYTES", &[2_000_000]);
    input.contents = None;
    let mut request = ask("s", vec![input]);
    request.inputs[0].contents = Some(InferTensorContents {
        bytes_contents: vec![Vec::new(); elements.len() / 2],
        ..InferTensorContents::default()
    });
    let answer = run(async { client(scene.grpc).await.model_infer(request).await });
    drop(answer);
    check_alive(scene.grpc);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 512 << 10, "{grown} KiB");
}

/// Memory in use by this process, in which ingest runs too.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
