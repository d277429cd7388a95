//! Tests of the ONNX engine against the real library and the probe models in `tests/models`.

use std::path::Path;

use arrow::buffer::Buffer;
use half::f16;
use millrace_wire::{DType, Tensor, VariableData};

use super::{OnnxEngine, OnnxLibrary};
use crate::engine::testing::{native_library, numbers, probe, root, texts};
use crate::engine::{Engine, EngineError, EngineKind, LoadError};
use crate::settings::{EngineSettings, Optimization, Provider};

fn library() -> OnnxLibrary {
    let path = native_library(EngineKind::Onnx);
    OnnxLibrary::load(Some(&path)).expect("the library loads")
}

fn load(model: &str) -> Result<OnnxEngine, LoadError> {
    let file = root().join("tests/models").join(model).join("1/model.onnx");
    OnnxEngine::load(&library(), &file, &EngineSettings::default())
}

#[test]
fn the_signature_is_read_from_the_model() {
    let engine = load("echo").unwrap();
    let signature = engine.signature();
    assert_eq!(signature.inputs[0].name, "x");
    assert_eq!(signature.inputs[0].dtype, DType::Float32);
    assert_eq!(signature.inputs[0].shape, [None, Some(4)]);
    assert_eq!(signature.outputs[0].shape, [None, Some(4)]);
    assert_eq!(
        load("fixed_batch").unwrap().signature().inputs[0].shape,
        [Some(1), Some(4)]
    );
}

#[test]
fn outputs_hold_the_rows_of_the_inputs_in_order() {
    let mut engine = load("affine").unwrap();
    for rows in [1, 3, 64] {
        let values: Vec<f32> = (0..u16::try_from(rows * 4).unwrap())
            .map(f32::from)
            .collect();
        let outputs = engine
            .run(vec![numbers("x", DType::Float32, rows, &values)])
            .unwrap();
        let expected: Vec<f32> = values.iter().map(|value| 2.0 * value + 1.0).collect();
        assert_eq!(outputs[0].shape(), [rows, 4]);
        assert_eq!(outputs[0].typed::<f32>().unwrap(), expected);
    }
}

/// Two rows of every type that ONNX and records share, in the order of the model's inputs.
fn every_type() -> Vec<Tensor> {
    let half = |value: f32| f16::from_f32(value);
    vec![
        numbers("bool_in", DType::Bool, 2, &[1u8, 0]),
        numbers("int8_in", DType::Int8, 2, &[i8::MIN, i8::MAX]),
        numbers("int16_in", DType::Int16, 2, &[i16::MIN, i16::MAX]),
        numbers("int32_in", DType::Int32, 2, &[i32::MIN, i32::MAX]),
        numbers("int64_in", DType::Int64, 2, &[i64::MIN, i64::MAX]),
        numbers("uint8_in", DType::Uint8, 2, &[0u8, u8::MAX]),
        numbers("uint16_in", DType::Uint16, 2, &[0u16, u16::MAX]),
        numbers("uint32_in", DType::Uint32, 2, &[0u32, u32::MAX]),
        numbers("uint64_in", DType::Uint64, 2, &[0u64, u64::MAX]),
        numbers("fp16_in", DType::Float16, 2, &[half(-0.5), half(65504.0)]),
        numbers("bf16_in", DType::Bfloat16, 2, &[0x3f80u16, 0xc2f7]),
        numbers(
            "fp32_in",
            DType::Float32,
            2,
            &[f32::NEG_INFINITY, f32::MIN_POSITIVE],
        ),
        numbers("fp64_in", DType::Float64, 2, &[f64::MAX, -0.0]),
        texts("string_in", 2, &["", "größer \u{0} als 漢字"]),
    ]
}

#[test]
fn every_type_comes_back_byte_for_byte_also_text_that_holds_nul() {
    let mut engine = load("types").unwrap();
    let mut given = every_type();
    let names: Vec<String> = engine
        .signature()
        .inputs
        .iter()
        .map(|spec| spec.name.clone())
        .collect();
    given.sort_by_key(|tensor| names.iter().position(|name| name == tensor.name()));
    let outputs = engine.run(given.clone()).unwrap();
    assert_eq!(outputs.len(), given.len());
    for input in &given {
        let name = input.name().replace("_in", "_out");
        let output = outputs
            .iter()
            .find(|output| output.name() == name)
            .expect("there is an output per input");
        assert_eq!(output.dtype(), input.dtype());
        assert_eq!(output.shape(), input.shape(), "{name}");
        assert_eq!(output.fixed_bytes(), input.fixed_bytes(), "{name}");
        assert_eq!(output.elements(), input.elements(), "{name}");
    }
}

#[test]
fn a_failed_run_says_why_and_the_engine_goes_on() {
    let mut engine = load("fails_if").unwrap();
    let error = engine
        .run(vec![numbers(
            "x",
            DType::Float32,
            1,
            &[13f32, 0.0, 0.0, 0.0],
        )])
        .unwrap_err();
    assert!(error.to_string().contains("out of data bounds"), "{error}");
    assert!(
        engine
            .run(vec![numbers(
                "x",
                DType::Float32,
                1,
                &[12f32, 0.0, 0.0, 0.0]
            )])
            .is_ok()
    );
}

#[test]
fn a_wrong_shape_is_refused_as_the_inputs_fault() {
    let mut engine = load("echo").unwrap();
    let error = engine
        .run(vec![numbers("x", DType::Float32, 1, &[1f32, 2.0, 3.0])])
        .unwrap_err();
    assert!(matches!(error, EngineError::Refused(_)), "{error}");
}

#[test]
fn no_rows_of_no_width_do_not_harm() {
    let mut engine = load("types").unwrap();
    let empty = |tensor: &Tensor| {
        let shape = vec![2, 0];
        match tensor.dtype() {
            DType::String => {
                Tensor::variable(tensor.name(), DType::String, shape, VariableData::new()).unwrap()
            }
            dtype => Tensor::fixed(
                tensor.name(),
                dtype,
                shape,
                Buffer::from_vec(Vec::<u8>::new()),
            )
            .unwrap(),
        }
    };
    let names: Vec<String> = engine
        .signature()
        .inputs
        .iter()
        .map(|spec| spec.name.clone())
        .collect();
    let mut inputs: Vec<Tensor> = every_type().iter().map(empty).collect();
    inputs.sort_by_key(|tensor| names.iter().position(|name| name == tensor.name()));
    let outputs = engine.run(inputs).unwrap();
    assert!(outputs.iter().all(|output| output.shape() == [2, 0]));
}

#[test]
fn a_file_that_is_no_model_is_named_in_the_error() {
    let error = load("broken").unwrap_err().to_string();
    assert!(error.contains("broken/1/model.onnx"), "{error}");
}

#[test]
fn an_opset_that_is_not_there_yet_is_named_in_the_error() {
    let options = EngineSettings::default();
    let file = probe("opset_onnx", "model.onnx");
    let error = OnnxEngine::load(&library(), &file, &options).unwrap_err();
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(
        error.contains("opset_onnx") && error.contains("99"),
        "{error}"
    );
}

#[test]
fn a_run_that_needs_more_memory_than_there_is_fails_and_the_process_goes_on() {
    let options = EngineSettings::default();
    let file = probe("too_large_onnx", "model.onnx");
    let mut engine = OnnxEngine::load(&library(), &file, &options).unwrap();
    for _ in 0..2 {
        let row = numbers("x", DType::Float32, 1, &[1f32, 2.0, 3.0, 4.0]);
        assert!(matches!(engine.run(vec![row]), Err(EngineError::Failed(_))));
    }
}

#[test]
fn another_library_in_the_same_process_is_refused() {
    let _first = library();
    let error = OnnxLibrary::load(Some(Path::new("/elsewhere/libonnxruntime.so"))).unwrap_err();
    assert!(error.to_string().contains("/elsewhere"), "{error}");
}

#[test]
fn providers_that_the_library_was_built_without_are_refused_with_advice() {
    let file = root().join("tests/models/echo/1/model.onnx");
    for (provider, name) in [(Provider::Cuda, "cuda"), (Provider::TensorRt, "tensorrt")] {
        let options = EngineSettings {
            providers: vec![provider, Provider::Cpu],
            ..EngineSettings::default()
        };
        let error = OnnxEngine::load(&library(), &file, &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("{name:?}")) && error.contains("leave"),
            "{error}"
        );
    }
}

#[test]
fn every_optimisation_answers_alike() {
    let file = root().join("tests/models/affine/1/model.onnx");
    for optimization in [
        Optimization::Disabled,
        Optimization::Basic,
        Optimization::Extended,
    ] {
        let mut options = EngineSettings::default();
        options.onnx.optimization = optimization;
        options.onnx.spinning = true;
        let mut engine = OnnxEngine::load(&library(), &file, &options).unwrap();
        let outputs = engine
            .run(vec![numbers(
                "x",
                DType::Float32,
                1,
                &[1f32, 2.0, 3.0, 4.0],
            )])
            .unwrap();
        assert_eq!(outputs[0].typed::<f32>().unwrap(), [3.0, 5.0, 7.0, 9.0]);
    }
}

#[test]
fn a_declared_signature_must_be_the_models() {
    let engine = load("echo").unwrap();
    let mut declared = engine.signature().clone();
    declared.inputs[0].dtype = DType::Int64;
    let error = engine.named(Some(&declared)).unwrap_err().to_string();
    assert!(error.contains("INT64") && error.contains("FP32"), "{error}");
}
