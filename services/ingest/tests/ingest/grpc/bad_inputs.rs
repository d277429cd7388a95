//! Every bad message is refused with its code and a sentence, nothing of it reaches infer, and the
//! next good request is answered. Numbers are rows of the project's list of bad inputs.

use bytes::Bytes;
use tonic::Code;

use super::proto::inference::model_infer_request::InferRequestedOutputTensor;
use super::proto::inference::{InferTensorContents, ModelInferRequest};
use super::proto::tensorflow::serving::PredictRequest;
use super::proto::tensorflow::serving::model_spec::VersionChoice;
use super::proto::tensorflow::{DataType, TensorProto};
use super::tensorflow::{ask as ask_tensorflow, predict, tensor};
use super::{ask, channel, check_alive, check_refusal, client, floats, good, raw_input, run};
use crate::scene::{Scene, shared};

/// The refusal of a `ModelInferRequest`.
#[track_caller]
fn check(request: ModelInferRequest, code: Code, fragment: &str) {
    let scene = shared();
    let answer = run(async { client(scene.grpc).await.model_infer(request).await });
    let status = check_refusal(answer, code, fragment);
    check_did_not_reach_infer(scene, &status);
    check_alive(scene.grpc);
}

/// The refusal of a `PredictRequest`.
#[track_caller]
fn check_predict(request: PredictRequest, code: Code, fragment: &str) {
    let scene = shared();
    let status = check_refusal(predict(scene, request), code, fragment);
    check_did_not_reach_infer(scene, &status);
    check_alive(scene.grpc);
}

#[track_caller]
fn check_did_not_reach_infer(scene: &Scene, status: &tonic::Status) {
    let id = status
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(!scene.has_seen(id), "a refused request reached Kafka");
}

fn invalid(request: ModelInferRequest, fragment: &str) {
    check(request, Code::InvalidArgument, fragment);
}

fn with_shape(shape: &[i64]) -> ModelInferRequest {
    ask("m", vec![floats(shape, &[1.0, 2.0, 3.0, 4.0])])
}

fn with_raw(datatype: &str, shape: &[i64], raw: &[u8]) -> ModelInferRequest {
    let mut request = ask("m", vec![raw_input("x", datatype, shape)]);
    request.raw_input_contents = vec![raw.to_vec()];
    request
}

#[test]
fn hostile_shapes_are_refused_before_anything_is_allocated() {
    // H47
    let overflowing = vec![(1_i64 << 60) + 2; 8];
    check(
        with_shape(&overflowing),
        Code::ResourceExhausted,
        "elements",
    );
    check(
        with_raw("FP32", &[i64::MAX, i64::MAX], &[]),
        Code::ResourceExhausted,
        "elements",
    );
    check(
        with_shape(&[1, 1 << 40]),
        Code::ResourceExhausted,
        "elements",
    );
    // H48
    invalid(with_shape(&[-1, 4]), "negative");
    invalid(with_shape(&[1, -4]), "negative");
    invalid(with_shape(&[i64::MIN]), "negative");
    invalid(with_shape(&[0, 4]), "x");
    invalid(with_raw("FP32", &[0, 4], &[]), "x");
    invalid(with_raw("FP32", &[1, 0], &[]), "x");
    invalid(with_shape(&[]), "no shape");
    check(
        with_shape(&[1; 1000]),
        Code::ResourceExhausted,
        "dimensions",
    );
}

#[test]
fn a_datatype_that_is_unknown_or_another_one_is_refused() {
    // H49
    for datatype in ["", "fp32", "FLOAT", "STRING", "FP32\0", &"F".repeat(4096)] {
        invalid(with_raw(datatype, &[1, 4], &[0; 16]), "datatype");
    }
    invalid(with_raw("INT32", &[1, 4], &[0; 16]), "must be FP32");
    invalid(with_raw("FP64", &[1, 4], &[0; 32]), "must be FP32");
    invalid(with_raw("BYTES", &[1, 1], b"\x01\0\0\0a"), "must be FP32");
    let mut ints = raw_input("x", "FP32", &[1, 4]);
    ints.contents = Some(InferTensorContents {
        int_contents: vec![1, 2, 3, 4],
        ..InferTensorContents::default()
    });
    invalid(
        ask("m", vec![ints]),
        "takes fp32_contents, got int_contents",
    );
}

#[test]
fn data_that_are_longer_or_shorter_than_the_shape_are_refused() {
    // H50
    for size in [0, 1, 15, 17, 32] {
        invalid(with_raw("FP32", &[1, 4], &vec![0; size]), "16");
    }
    invalid(ask("m", vec![floats(&[1, 4], &[1.0; 3])]), "got 3");
    invalid(
        ask("m", vec![floats(&[1, 4], &[1.0; 5])]),
        "more were given",
    );
    invalid(ask("m", vec![floats(&[1, 4], &[])]), "got 0");
    // H07, H09
    invalid(
        ask("m", vec![floats(&[1, 3], &[1.0; 3])]),
        "must be FP32[-1,4], got FP32[1,3]",
    );
    invalid(
        ask("m", vec![floats(&[4], &[1.0; 4])]),
        "must be FP32[-1,4], got FP32[4]",
    );
    invalid(
        ask("m", vec![floats(&[1, 1, 4], &[1.0; 4])]),
        "must be FP32",
    );
}

#[test]
fn raw_contents_that_do_not_go_with_the_inputs_are_refused() {
    // H51
    let mut mixed = with_shape(&[1, 4]);
    mixed.raw_input_contents = vec![vec![0; 16]];
    invalid(mixed, "may not mix");
    let mut too_many = with_raw("FP32", &[1, 4], &[0; 16]);
    too_many.raw_input_contents.push(Vec::new());
    invalid(too_many, "1 inputs but 2 raw_input_contents");
    let mut without_inputs = ask("m", Vec::new());
    without_inputs.raw_input_contents = vec![vec![0; 16]];
    invalid(without_inputs, "0 inputs but 1 raw_input_contents");
    let mut without_dtype = ask("m", vec![raw_input("x", "FP16", &[1, 4])]);
    without_dtype.inputs[0].contents = Some(InferTensorContents {
        fp32_contents: vec![1.0; 4],
        ..InferTensorContents::default()
    });
    invalid(without_dtype, "raw_input_contents");
}

#[test]
fn inputs_and_outputs_that_are_missing_unknown_or_twice_are_refused() {
    invalid(ask("m", Vec::new()), "missing input x");
    let x = || floats(&[1, 4], &[1.0; 4]);
    invalid(ask("m", vec![x(), x()]), "twice");
    let mut other = x();
    other.name = "y".to_owned();
    invalid(ask("m", vec![other]), "unknown input y");
    let mut nameless = x();
    nameless.name = "n".repeat(1 << 20);
    invalid(ask("m", vec![nameless]), "unknown input nnn");
    // H40
    let numbers = |name: &str, datatype: &str, rows: i64| raw_input(name, datatype, &[rows]);
    let mut rows = ask(
        "m2",
        vec![numbers("a", "FP32", 2), numbers("b", "INT32", 1)],
    );
    rows.raw_input_contents = vec![vec![0; 8], vec![0; 4]];
    invalid(rows, "rows");
    // H52
    let output = |name: &str| InferRequestedOutputTensor {
        name: name.to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    let mut twice = good();
    twice.outputs = vec![output("x"), output("x")];
    invalid(twice, "asked for twice");
    let mut unknown = good();
    unknown.outputs = vec![output("z")];
    invalid(unknown, "unknown output z");
    let mut many = good();
    many.outputs = vec![output("x"); 100_000];
    check(many, Code::ResourceExhausted, "more than 256 outputs");
    check(
        ask("m", vec![x(); 10_000]),
        Code::ResourceExhausted,
        "more than 256 inputs",
    );
}

#[test]
fn a_model_or_version_that_does_not_exist_is_not_found_and_a_bad_one_is_refused() {
    // H65, H66
    let with = |model: &str, version: &str| {
        let mut request = good();
        request.model_name = model.to_owned();
        request.model_version = version.to_owned();
        request
    };
    check(
        with("other", ""),
        Code::NotFound,
        "Servable not found for request: Latest(other)",
    );
    check(with("m", "7"), Code::NotFound, "Specific(m, 7)");
    for version in ["abc", "-1", "+1", "1.0", " 1", "99999999999999999999"] {
        invalid(with("m", version), "is not a number");
    }
    for model in ["../m", "a/b", "..", "m\0", "m m", &"m".repeat(4096)] {
        invalid(with(model, ""), "is not a name");
    }
    invalid(with("", ""), "several models are served");
    let mut negative = ask_tensorflow("m", &[]);
    let spec = negative.model_spec.as_mut().unwrap();
    spec.version_choice = Some(VersionChoice::Version(-1));
    check_predict(negative, Code::InvalidArgument, "is not a number");
}

#[test]
fn bytes_that_are_cut_off_are_refused() {
    let with = |raw: &[u8]| {
        let mut request = ask("s", vec![raw_input("s", "BYTES", &[1])]);
        request.raw_input_contents = vec![raw.to_vec()];
        request
    };
    for raw in [
        &b""[..],
        b"\x01",
        b"\x01\0\0\0",
        b"\x02\0\0\0a",
        b"\xff\xff\xff\xff",
    ] {
        invalid(with(raw), "s");
    }
    invalid(with(b"\x01\0\0\0a\0\0\0\0"), "more were given");
    // H31: text that is not UTF-8
    invalid(with(b"\x01\0\0\0\xff"), "s");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn hostile_tensor_protos_are_refused() {
    let float = |shape: &[i64]| tensor(DataType::DtFloat, shape);
    let check = |tensor: TensorProto, code, fragment: &str| {
        check_predict(ask_tensorflow("m", &[("x", tensor)]), code, fragment);
    };
    let invalid = |tensor, fragment: &str| check(tensor, Code::InvalidArgument, fragment);
    invalid(float(&[-1, 4]), "negative");
    invalid(float(&[]), "no shape");
    check(
        float(&[(1 << 60) + 2; 8]),
        Code::ResourceExhausted,
        "elements",
    );
    // A few bytes that mean 240 MB.
    check(
        float(&[15_000_000, 4]),
        Code::ResourceExhausted,
        "would fill",
    );
    check(float(&[1; 100]), Code::ResourceExhausted, "dimensions");
    let content = |bytes: &[u8]| TensorProto {
        tensor_content: bytes.to_vec(),
        ..float(&[1, 4])
    };
    for size in [1, 15, 17, 1 << 20] {
        invalid(content(&vec![0; size]), "16");
    }
    invalid(
        TensorProto {
            float_val: vec![1.0],
            ..content(&[0; 16])
        },
        "only one of them",
    );
    invalid(
        TensorProto {
            float_val: vec![1.0; 5],
            ..float(&[1, 4])
        },
        "more were given",
    );
    invalid(
        TensorProto {
            double_val: vec![1.0; 4],
            ..float(&[1, 4])
        },
        "takes float_val",
    );
    let both = TensorProto {
        double_val: vec![1.0],
        float_val: vec![1.0],
        ..float(&[1, 4])
    };
    invalid(both, "several types");
    for dtype in [0, 8, 18, 20, 21, 101, -1] {
        invalid(
            TensorProto {
                dtype,
                ..float(&[1, 4])
            },
            "is not supported",
        );
    }
    invalid(tensor(DataType::DtInt32, &[1, 4]), "must be FP32");
    let unknown_rank = TensorProto {
        tensor_shape: None,
        ..float(&[])
    };
    invalid(unknown_rank, "no shape");
    let mut input = ask_tensorflow("m", &[("x", float(&[1, 4])), ("y", float(&[1, 4]))]);
    check_predict(input.clone(), Code::InvalidArgument, "unknown input y");
    input.inputs.clear();
    check_predict(input, Code::InvalidArgument, "missing input x");
    let numbers = TensorProto {
        int_val: vec![256, 1],
        ..tensor(DataType::DtUint8, &[1, 2])
    };
    check_predict(
        ask_tensorflow("u8", &[("u8", numbers)]),
        Code::InvalidArgument,
        "does not fit UINT8",
    );
}

#[test]
fn strings_of_any_size_are_refused_or_answered() {
    let text = |value: Vec<u8>, rows: i64| {
        let tensor = TensorProto {
            string_val: vec![value],
            ..tensor(DataType::DtString, &[rows])
        };
        ask_tensorflow("s", &[("s", tensor)])
    };
    // 9 MB fit the limits of a body and of a record.
    let answer = predict_large(text(vec![b'a'; 9 << 20], 1)).unwrap();
    assert_eq!(answer.outputs["s"].string_val[0].len(), 9 << 20);
    // The same filled into three rows does not.
    check_predict(
        text(vec![b'a'; 9 << 20], 3),
        Code::ResourceExhausted,
        "would fill",
    );
    check_predict(
        text(vec![b'a'; 11 << 20], 1),
        Code::ResourceExhausted,
        "larger than the limit",
    );
    check_predict(text(vec![0xff], 1), Code::InvalidArgument, "s");
    check_predict(
        text(Vec::new(), 60_000_000),
        Code::ResourceExhausted,
        "would fill",
    );
}

fn predict_large(
    request: PredictRequest,
) -> Result<super::proto::tensorflow::serving::PredictResponse, tonic::Status> {
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
        let mut client = tonic::client::Grpc::new(channel(shared().grpc).await);
        client.ready().await.unwrap();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        let answer = client.unary(tonic::Request::new(message), path, AnyBytes);
        answer.await.map(|_| ())
    })
}

const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";

#[test]
fn a_message_cut_off_or_changed_anywhere_never_ends_the_process() {
    use prost::Message;
    let scene = shared();
    let infer = with_raw("FP32", &[1, 4], &[0; 16]).encode_to_vec();
    let values = TensorProto {
        float_val: vec![1.0; 4],
        ..tensor(DataType::DtFloat, &[1, 4])
    };
    let predict = ask_tensorflow("m", &[("x", values)]).encode_to_vec();
    for (path, message) in [(MODEL_INFER, infer), (PREDICT, predict)] {
        send_raw(path, message.clone().into()).unwrap();
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
fn a_message_that_is_no_protobuf_is_refused() {
    for path in [
        MODEL_INFER,
        PREDICT,
        "/tensorflow.serving.ModelService/GetModelStatus",
    ] {
        let status = send_raw(path, Bytes::from_static(&[0xff; 64]));
        check_refusal(status, Code::InvalidArgument, "not well-formed protobuf");
    }
    // Nested as deep as the bytes go: nothing here recurses.
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested.extend_from_slice(&[0x2a, 0xff, 0xff, 0x03]);
    }
    check_refusal(
        send_raw(MODEL_INFER, nested.into()),
        Code::InvalidArgument,
        "",
    );
    // Messages without tensors are small, or prost would make a large multiple of them.
    let index = Bytes::from(vec![0x0a; 100_000]);
    let path = "/inference.GRPCInferenceService/RepositoryModelLoad";
    check_refusal(
        send_raw(path, index),
        Code::ResourceExhausted,
        "one without tensors",
    );
    check_refusal(
        send_raw("/inference.GRPCInferenceService/Nothing", Bytes::new()),
        Code::Unimplemented,
        "no such",
    );
    check_refusal(
        send_raw("/other.Service/Nothing", Bytes::new()),
        Code::Unimplemented,
        "no such",
    );
    check_alive(shared().grpc);
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

/// A codec that sends bytes as they are.
#[derive(Clone, Copy)]
struct AnyBytes;

impl tonic::codec::Codec for AnyBytes {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for AnyBytes {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Bytes,
        into: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(into, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for AnyBytes {
    type Item = ();
    type Error = tonic::Status;

    fn decode(
        &mut self,
        source: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<()>, tonic::Status> {
        let remaining = bytes::Buf::remaining(source);
        bytes::Buf::advance(source, remaining);
        Ok(Some(()))
    }
}
