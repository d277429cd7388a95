//! Tests of the OpenVINO engine against the real library and the models in `tests/formats`.

use std::path::Path;

use arrow::buffer::Buffer;
use half::f16;
use millrace_wire::{DType, Signature, Tensor};

use super::{OpenVinoEngine, OpenVinoLibrary};
use crate::engine::testing::{held_out_digits, native_library, numbers, probe, root};
use crate::engine::{Engine, EngineError, EngineKind, LoadError};
use crate::settings::{EngineSettings, OpenVinoHint};

fn library() -> OpenVinoLibrary {
    let path = native_library(EngineKind::OpenVino);
    OpenVinoLibrary::load(Some(&path)).expect("the library loads")
}

fn load_file(file: &Path) -> Result<OpenVinoEngine, LoadError> {
    OpenVinoEngine::load(library(), file, &EngineSettings::default())
}

fn load(model: &str, file: &str) -> Result<OpenVinoEngine, LoadError> {
    load_file(&probe(model, file))
}

fn complaint(error: LoadError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[test]
fn every_frontend_reads_the_same_network() {
    let (images, labels) = held_out_digits(64);
    let files = [
        ("digits_ir", "model.xml"),
        ("digits_saved_model", ""),
        ("digits_frozen", "frozen_inference_graph.pb"),
        ("digits_tflite", "model.tflite"),
    ];
    // The ONNX frontend is the one to compare with; e2e compares it with ONNX Runtime.
    let onnx = root().join("models/digits/1/model.onnx");
    let mut expected = load_file(&onnx).unwrap();
    let expected = expected.run(vec![images.clone()]).unwrap();
    assert_eq!(expected[1].typed::<i64>().unwrap()[..8], labels[..8]);
    for (model, file) in files {
        let mut engine = load(model, file).unwrap();
        let input = &engine.signature().inputs[0];
        assert_eq!(
            (input.name.as_str(), input.dtype),
            ("image", DType::Float32),
            "{model}"
        );
        assert_eq!(input.shape, [None, Some(8), Some(8)], "{model}");
        let outputs = engine.run(vec![images.clone()]).unwrap();
        let scores = outputs
            .iter()
            .find(|output| output.dtype() == DType::Float32)
            .unwrap();
        let pairs = scores
            .typed::<f32>()
            .unwrap()
            .iter()
            .zip(expected[0].typed::<f32>().unwrap());
        for (given, expected) in pairs {
            assert!(
                (given - expected).abs() < 1e-5,
                "{model}: {given} {expected}"
            );
        }
        let named = outputs
            .iter()
            .find(|output| output.dtype() == DType::Int64)
            .unwrap();
        assert_eq!(named.fixed_bytes(), expected[1].fixed_bytes(), "{model}");
    }
}

#[test]
fn the_signature_is_read_from_the_model() {
    let signature = load("digits_saved_model", "").unwrap().signature().clone();
    let mut outputs: Vec<(&str, DType, usize)> = signature
        .outputs
        .iter()
        .map(|output| (output.name.as_str(), output.dtype, output.shape.len()))
        .collect();
    outputs.sort_unstable_by_key(|output| output.0);
    assert_eq!(
        outputs,
        [("label", DType::Int64, 1), ("scores", DType::Float32, 2)]
    );
}

#[test]
fn any_number_of_rows_runs_and_rows_keep_their_order() {
    let mut engine = load("digits_ir", "model.xml").unwrap();
    let (images, _) = held_out_digits(64);
    let whole = engine.run(vec![images.clone()]).unwrap();
    let whole = whole[1].typed::<i64>().unwrap();
    let bytes = images.fixed_bytes().unwrap();
    for rows in [1, 3, 64] {
        let part = Buffer::from_slice_ref(&bytes[..rows * 256]);
        let part = Tensor::fixed("image", DType::Float32, vec![rows, 8, 8], part).unwrap();
        let outputs = engine.run(vec![part]).unwrap();
        assert_eq!(outputs[1].typed::<i64>().unwrap(), &whole[..rows]);
        assert_eq!(outputs[0].shape(), [rows, 10]);
    }
}

/// Two rows of every type that OpenVINO and records share.
fn every_type() -> Vec<Tensor> {
    let half = |value: f32| f16::from_f32(value);
    vec![
        numbers("boolean", DType::Bool, 2, &[1u8, 0]),
        numbers("i8", DType::Int8, 2, &[i8::MIN, i8::MAX]),
        numbers("i16", DType::Int16, 2, &[i16::MIN, i16::MAX]),
        numbers("i32", DType::Int32, 2, &[i32::MIN, i32::MAX]),
        numbers("i64", DType::Int64, 2, &[i64::from(i32::MIN), 0x7fff_ffff]),
        numbers("u8", DType::Uint8, 2, &[0u8, u8::MAX]),
        numbers("u16", DType::Uint16, 2, &[0u16, u16::MAX]),
        numbers("u32", DType::Uint32, 2, &[0u32, u32::MAX]),
        numbers("u64", DType::Uint64, 2, &[0u64, 0x7fff_ffff]),
        numbers("f16", DType::Float16, 2, &[half(-0.5), half(65504.0)]),
        numbers("bf16", DType::Bfloat16, 2, &[0x3f80u16, 0xc2f7]),
        numbers("f32", DType::Float32, 2, &[-1.5f32, f32::MIN_POSITIVE]),
        numbers("f64", DType::Float64, 2, &[f64::from(f32::MAX), -0.0]),
    ]
}

#[test]
fn every_type_comes_back_byte_for_byte() {
    let mut engine = load("types_ir", "model.xml").unwrap();
    let given = every_type();
    let inputs: Vec<Tensor> = engine
        .signature()
        .inputs
        .iter()
        .map(|spec| {
            let name = spec.name.strip_suffix("_in").unwrap();
            let found = given.iter().find(|tensor| tensor.name() == name).unwrap();
            assert_eq!(found.dtype(), spec.dtype);
            found.clone()
        })
        .collect();
    let outputs = engine.run(inputs).unwrap();
    for output in &outputs {
        let name = output.name().strip_suffix("_out").unwrap();
        let given = given.iter().find(|tensor| tensor.name() == name).unwrap();
        assert_eq!(output.dtype(), given.dtype(), "{name}");
        assert_eq!(output.fixed_bytes(), given.fixed_bytes(), "{name}");
    }
}

#[test]
fn integers_beyond_32_bits_are_refused_rather_than_cut() {
    let mut engine = load("types_ir", "model.xml").unwrap();
    let specs = engine.signature().inputs.clone();
    for (name, dtype, bytes) in [
        ("i64", DType::Int64, i64::MAX.to_le_bytes()),
        ("i64", DType::Int64, i64::MIN.to_le_bytes()),
        ("u64", DType::Uint64, u64::from(u32::MAX).to_le_bytes()),
    ] {
        let inputs = specs.iter().map(|spec| {
            let name = spec.name.strip_suffix("_in").unwrap();
            every_type()
                .into_iter()
                .find(|tensor| tensor.name() == name)
                .unwrap()
        });
        let mut inputs: Vec<Tensor> = inputs.collect();
        let place = inputs
            .iter()
            .position(|tensor| tensor.name() == name)
            .unwrap();
        let both = Buffer::from_slice_ref([bytes, bytes].concat());
        inputs[place] = Tensor::fixed(name, dtype, vec![2, 1], both).unwrap();
        let error = engine.run(inputs).unwrap_err();
        assert!(matches!(error, EngineError::Refused(_)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_model_of_several_inputs_and_of_text_is_refused_by_the_name_of_the_text() {
    let file = root().join("models/everything/1/model.onnx");
    let error = complaint(load_file(&file).unwrap_err());
    assert!(
        error.contains("string") || error.contains("StringConcat"),
        "{error}"
    );
}

#[test]
fn settings_of_every_kind_answer_alike() {
    let (images, labels) = held_out_digits(8);
    let mut options = EngineSettings {
        threads: 2,
        ..EngineSettings::default()
    };
    options.openvino.hint = OpenVinoHint::Throughput;
    options.openvino.streams = Some(2);
    let mut engine =
        OpenVinoEngine::load(library(), &probe("digits_ir", "model.xml"), &options).unwrap();
    let outputs = engine.run(vec![images]).unwrap();
    assert_eq!(outputs[1].typed::<i64>().unwrap(), labels);
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let mut options = EngineSettings::default();
    options.openvino.device = "GPU".to_owned();
    let file = probe("digits_ir", "model.xml");
    let error = complaint(OpenVinoEngine::load(library(), &file, &options).unwrap_err());
    assert!(error.contains("GPU"), "{error}");
}

#[test]
fn files_that_are_no_models_are_refused_in_a_sentence_that_names_them() {
    let files = [
        ("corrupt_ir", "model.xml", "model.xml"),
        ("opset_ir", "model.xml", "opset99"),
        ("weightless_ir", "model.xml", "model.xml"),
        ("corrupt_tflite", "model.tflite", "model.tflite"),
        (
            "corrupt_frozen",
            "frozen_inference_graph.pb",
            "frozen_inference_graph.pb",
        ),
    ];
    for (model, file, part) in files {
        let error = complaint(load(model, file).unwrap_err());
        assert!(error.contains(part) && error.contains(model), "{error}");
        assert!(
            !error.contains("Exception from") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn a_declared_signature_must_be_the_models_and_gives_it_names() {
    let engine = load("digits_tflite", "model.tflite").unwrap();
    let mut declared: Signature = engine.signature().clone();
    declared.outputs[0].name = "mine".to_owned();
    let named = engine.named(Some(&declared)).unwrap();
    assert_eq!(named.signature().outputs[0].name, "mine");
    declared.inputs[0].shape[1] = Some(28);
    let error = named.named(Some(&declared)).unwrap_err().to_string();
    assert!(error.contains("image FP32[-1,28,8]"), "{error}");
}

#[test]
fn a_wrong_shape_is_an_error_and_the_engine_goes_on() {
    let mut engine = load("digits_ir", "model.xml").unwrap();
    let wrong = numbers("image", DType::Float32, 1, &[1f32, 2.0, 3.0]);
    let error = engine.run(vec![wrong]).unwrap_err();
    assert!(
        matches!(error, EngineError::Refused(_) | EngineError::Failed(_)),
        "{error}"
    );
    let (images, labels) = held_out_digits(1);
    let outputs = engine.run(vec![images]).unwrap();
    assert_eq!(outputs[1].typed::<i64>().unwrap(), labels);
}

#[test]
fn another_library_in_the_same_process_is_refused() {
    let _first = library();
    let error = OpenVinoLibrary::load(Some(Path::new("/elsewhere/libopenvino_c.so"))).unwrap_err();
    assert!(error.to_string().contains("/elsewhere"), "{error}");
}
