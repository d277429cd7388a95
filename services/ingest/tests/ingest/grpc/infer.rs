//! `ModelInfer`: raw and typed contents of every dtype, outputs, ids and versions.

use std::sync::mpsc;

use super::proto::inference::model_infer_request::InferRequestedOutputTensor;
use super::proto::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use super::{ask, client, floats, raw_input, run};
use crate::played::{Input, descriptor, echo, model_m, unix_ms};
use crate::scene::{Scene, shared};

/// Every dtype of the protocol, and two rows of two elements in raw form.
const ALL: [(&str, &[u8]); 14] = [
    ("BOOL", &[1, 0, 0, 1]),
    ("INT8", &[1, 0x80, 0x7f, 0xff]),
    ("INT16", &[1, 0, 0, 0x80, 0xff, 0x7f, 0xff, 0xff]),
    (
        "INT32",
        &[
            1, 0, 0, 0, 0, 0, 0, 0x80, 9, 9, 9, 9, 0xff, 0xff, 0xff, 0xff,
        ],
    ),
    ("INT64", &[7; 32]),
    ("UINT8", &[0, 1, 0xfe, 0xff]),
    ("UINT16", &[0xff; 8]),
    ("UINT32", &[0xff; 16]),
    ("UINT64", &[0xff; 32]),
    ("FP16", &[0, 0x3c, 0, 0x7c, 1, 0, 0, 0x80]),
    ("BF16", &[0x80, 0x3f, 0x80, 0x7f, 1, 0, 0, 0x80]),
    (
        "FP32",
        &[
            0, 0, 0x80, 0x3f, 0, 0, 0x80, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0x80,
        ],
    ),
    ("FP64", &[0x3f; 32]),
    ("BYTES", b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0\xff\x03\0\0\0a\0b"),
];

/// A scene whose model `all` has an input of every dtype, called like it.
fn scene_of_all() -> Scene {
    let scene = Scene::start(|_| {});
    let inputs: Vec<Input> = ALL
        .map(|(dtype, _)| (dtype, dtype, &[-1_i64, 2][..]))
        .into();
    scene.serve(&descriptor("all", &inputs), echo);
    scene.wait_ready();
    scene
}

fn infer(scene: &Scene, request: ModelInferRequest) -> ModelInferResponse {
    let answer = run(async { client(scene.grpc).await.model_infer(request).await });
    answer.unwrap().into_inner()
}

#[test]
fn raw_contents_of_every_dtype_come_back_byte_for_byte() {
    let scene = scene_of_all();
    // From the end, so that the order of the request is not that of the signature.
    let inputs = ALL
        .iter()
        .rev()
        .map(|(dtype, _)| raw_input(dtype, dtype, &[2, 2]));
    let mut request = ask("all", inputs.collect());
    for (_, raw) in ALL.iter().rev() {
        request.raw_input_contents.push(raw.to_vec());
    }
    let response = infer(&scene, request);
    assert_eq!(response.outputs.len(), ALL.len());
    for (output, raw) in response.outputs.iter().zip(&response.raw_output_contents) {
        let (_, sent) = ALL.iter().find(|(dtype, _)| *dtype == output.name).unwrap();
        assert_eq!(output.datatype, output.name);
        assert_eq!(output.shape, [2, 2]);
        assert!(output.contents.is_none());
        assert_eq!(raw, sent, "{}", output.name);
    }
}

/// The typed contents with the values of each dtype.
fn typed(dtype: &str) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match dtype {
        "BOOL" => contents.bool_contents = vec![true, false, false, true],
        "INT8" => contents.int_contents = vec![1, -128, 127, -1],
        "INT16" => contents.int_contents = vec![1, -32_768, 32_767, -1],
        "INT32" => contents.int_contents = vec![1, i32::MIN, i32::MAX, -1],
        "INT64" => contents.int64_contents = vec![1, i64::MIN, i64::MAX, 9_007_199_254_740_993],
        "UINT8" => contents.uint_contents = vec![0, 1, 254, 255],
        "UINT16" => contents.uint_contents = vec![0, 1, 2, 65_535],
        "UINT32" => contents.uint_contents = vec![0, 1, 2, u32::MAX],
        "UINT64" => contents.uint64_contents = vec![0, 1, 2, u64::MAX],
        "FP32" => contents.fp32_contents = vec![1.5, f32::INFINITY, f32::MIN_POSITIVE, -0.0],
        "FP64" => contents.fp64_contents = vec![1.5, f64::INFINITY, f64::MIN_POSITIVE, -0.0],
        "BYTES" => {
            let elements: [&[u8]; 4] = [b"ab", b"", b"\xff", b"a\0b"];
            contents.bytes_contents = elements.map(<[u8]>::to_vec).into();
        }
        other => panic!("{other} has no typed contents"),
    }
    contents
}

#[test]
fn typed_contents_of_every_dtype_that_has_them_come_back_typed() {
    for (dtype, _) in ALL {
        if matches!(dtype, "FP16" | "BF16") {
            continue;
        }
        let scene = Scene::start(|_| {});
        scene.serve(&descriptor("one", &[("x", dtype, &[-1, 2])]), echo);
        scene.wait_ready();
        let mut input = raw_input("x", dtype, &[2, 2]);
        input.contents = Some(typed(dtype));
        let response = infer(&scene, ask("one", vec![input]));
        let [output] = &response.outputs[..] else {
            panic!("{response:?}")
        };
        assert_eq!(
            (output.datatype.as_str(), &output.shape[..]),
            (dtype, &[2, 2][..])
        );
        assert_eq!(output.contents, Some(typed(dtype)), "{dtype}");
        assert!(response.raw_output_contents.is_empty());
    }
}

#[test]
fn text_is_text_where_the_model_has_text() {
    let mut request = ask("s", vec![raw_input("s", "BYTES", &[2])]);
    request.raw_input_contents = vec![b"\x02\0\0\0\xc3\xbc\x01\0\0\0a".to_vec()];
    let response = infer(shared(), request.clone());
    assert_eq!(response.outputs[0].datatype, "BYTES");
    assert_eq!(response.raw_output_contents, request.raw_input_contents);
}

#[test]
fn the_id_the_outputs_asked_for_and_the_version_are_as_asked() {
    let scene = shared();
    let mut ints = raw_input("b", "INT32", &[2]);
    ints.contents = Some(InferTensorContents {
        int_contents: vec![3, 4],
        ..InferTensorContents::default()
    });
    let mut numbers = floats(&[2], &[1.5, 2.0]);
    numbers.name = "a".to_owned();
    let mut request = ask("m2", vec![ints, numbers]);
    request.id = "mine".to_owned();
    request.model_version = "1".to_owned();
    let output = |name: &str| InferRequestedOutputTensor {
        name: name.to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    request.outputs = vec![output("b")];
    let response = infer(scene, request.clone());
    assert_eq!(response.id, "mine");
    assert_eq!(
        (
            response.model_name.as_str(),
            response.model_version.as_str()
        ),
        ("m2", "1")
    );
    let names: Vec<_> = response.outputs.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    request.outputs = vec![output("b"), output("a")];
    let names: Vec<_> = infer(scene, request)
        .outputs
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn a_large_tensor_is_answered_too() {
    let rows = 100_000_i64;
    let raw: Vec<u8> = (0..rows * 16)
        .map(|it| u8::try_from(it % 64).unwrap())
        .collect();
    let mut request = ask("m", vec![raw_input("x", "FP32", &[rows, 4])]);
    request.raw_input_contents = vec![raw.clone()];
    let response = infer(shared(), request);
    assert_eq!(response.raw_output_contents, [raw]);
}

#[test]
fn the_trace_and_the_deadline_of_a_caller_travel_with_the_record() {
    let scene = Scene::start(|_| {});
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |it| {
        sender.send(it.headers.clone()).unwrap();
        echo(it)
    });
    scene.wait_ready();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = tonic::Request::new(super::good());
    request
        .metadata_mut()
        .insert("traceparent", parent.parse().unwrap());
    request
        .metadata_mut()
        .insert("tracestate", "a=1".parse().unwrap());
    // H85: internal headers of a caller mean nothing.
    request
        .metadata_mut()
        .insert("mr-id", "mine".parse().unwrap());
    request
        .metadata_mut()
        .insert("mr-reply-to", "elsewhere/0".parse().unwrap());
    request.set_timeout(std::time::Duration::from_secs(7));
    let before = u64::try_from(unix_ms()).unwrap();
    let response = run(async { client(scene.grpc).await.model_infer(request).await }).unwrap();
    let headers = asked.recv().unwrap();
    assert_eq!(headers.traceparent.as_deref(), Some(parent));
    assert_eq!(headers.tracestate.as_deref(), Some("a=1"));
    let id = response
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!(headers.id.as_deref(), Some(id));
    assert!(headers.reply_to.unwrap().topic.starts_with(&scene.prefix));
    let deadline = headers.deadline_unix_ms.unwrap();
    assert!(
        (before + 5_000..before + 9_000).contains(&deadline),
        "{deadline} {before}"
    );
}
