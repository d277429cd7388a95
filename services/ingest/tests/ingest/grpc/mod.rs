//! Ingest over gRPC: the same scene, asked by clients that tonic and prost made of the protocols.

mod bad_inputs;
pub(crate) mod examples;
mod infer;
mod limits;
mod service;
mod stream;
pub(crate) mod tensorflow;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use proto::inference::model_infer_request::InferInputTensor;
use proto::inference::{InferTensorContents, ModelInferRequest};

/// What `build.rs` made of the folder `proto`, for clients.
#[allow(
    clippy::all,
    clippy::too_many_lines,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "generated"
)]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/clients/clients.rs"));
}

/// Far beyond every time-out that a test sets.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one test's calls.
pub(crate) fn run<F: Future>(calls: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let patiently = async { tokio::time::timeout(PATIENCE, calls).await.unwrap() };
    runtime.block_on(patiently)
}

pub(crate) async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

pub(crate) type Client = GrpcInferenceServiceClient<Channel>;

pub(crate) async fn client(address: SocketAddr) -> Client {
    let client = GrpcInferenceServiceClient::new(channel(address).await);
    client.max_decoding_message_size(64 << 20)
}

/// A request to `model` with these inputs.
pub(crate) fn ask(model: &str, inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs,
        ..ModelInferRequest::default()
    }
}

/// An input whose elements come raw.
pub(crate) fn raw_input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

/// An input `x` of FP32 with typed contents.
pub(crate) fn floats(shape: &[i64], values: &[f32]) -> InferInputTensor {
    InferInputTensor {
        contents: Some(InferTensorContents {
            fp32_contents: values.to_vec(),
            ..InferTensorContents::default()
        }),
        ..raw_input("x", "FP32", shape)
    }
}

/// A good request to `m`.
pub(crate) fn good() -> ModelInferRequest {
    ask("m", vec![floats(&[1, 4], &[1.0, 2.0, 3.0, 4.0])])
}

/// A good request is answered right.
#[track_caller]
pub(crate) fn check_alive(address: SocketAddr) {
    let answered = run(async { client(address).await.model_infer(good()).await });
    let response = answered.unwrap().into_inner();
    let contents = response.outputs[0].contents.as_ref().unwrap();
    assert_eq!(contents.fp32_contents, [1.0, 2.0, 3.0, 4.0]);
}

/// The refusal has this code, a short sentence with `fragment` in it, an id and a reason.
#[track_caller]
pub(crate) fn check_refusal<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    fragment: &str,
) -> Status {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    let sentence = status.message();
    assert!(
        sentence.contains(fragment),
        "{fragment:?} is not in {sentence:?}"
    );
    assert!((1..=512).contains(&sentence.len()), "{sentence:?}");
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
    assert!(status.metadata().contains_key("mr-reason"), "{status:?}");
    assert!(status.metadata().contains_key("x-request-id"), "{status:?}");
    status
}
