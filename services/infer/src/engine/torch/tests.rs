//! Tests of the libtorch engine against the real library and the models in `tests/formats`.

use half::f16;
use millrace_wire::{DType, Signature, Tensor, TensorSpec};

use super::TorchEngine;
use crate::engine::testing::{held_out_digits, numbers, probe};
use crate::engine::{Engine, EngineError, LoadError};
use crate::settings::EngineSettings;

fn spec(name: &str, dtype: DType, shape: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    }
}

fn floats(name: &str) -> TensorSpec {
    spec(name, DType::Float32, &[None, Some(4)])
}

fn signature(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Signature {
    Signature { inputs, outputs }
}

fn digits() -> Signature {
    let image = spec("image", DType::Float32, &[None, Some(8), Some(8)]);
    let scores = spec("scores", DType::Float32, &[None, Some(10)]);
    signature(
        vec![image],
        vec![scores, spec("label", DType::Int64, &[None])],
    )
}

fn load(model: &str, declared: &Signature) -> Result<TorchEngine, LoadError> {
    let file = probe(model, "model.pt");
    TorchEngine::load(&file, &EngineSettings::default(), Some(declared))
}

fn complaint(error: LoadError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[test]
fn a_tuple_is_answered_in_the_order_of_the_declared_outputs() {
    let mut engine = load("digits_torchscript", &digits()).unwrap();
    let (images, labels) = held_out_digits(8);
    let outputs = engine.run(vec![images]).unwrap();
    assert_eq!(outputs[0].shape(), [8, 10]);
    assert_eq!(outputs[1].typed::<i64>().unwrap(), labels);
}

#[test]
fn a_dictionary_is_answered_by_name() {
    let inputs = vec![
        spec("count", DType::Int64, &[None]),
        spec("values", DType::Float32, &[None, None]),
    ];
    let outputs = vec![
        spec("count_plus_one", DType::Int64, &[None]),
        spec("doubled", DType::Float32, &[None, None]),
        spec("is_many", DType::Bool, &[None]),
    ];
    let mut engine = load("torch_dictionary", &signature(inputs, outputs)).unwrap();
    let count = numbers("count", DType::Int64, 2, &[2i64, 3])
        .reshaped(vec![2])
        .unwrap();
    let values = numbers("values", DType::Float32, 2, &[1f32, 2.0, 3.0, 4.0]);
    let outputs = engine.run(vec![count, values]).unwrap();
    assert_eq!(outputs[0].typed::<i64>().unwrap(), [3, 4]);
    assert_eq!(outputs[1].typed::<f32>().unwrap(), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(outputs[2].typed::<u8>().unwrap(), [0, 1]);
}

#[test]
fn tuples_and_lists_within_each_other_are_answered_in_order() {
    let outputs = vec![floats("a"), floats("b"), floats("c")];
    let mut engine = load("torch_nested", &signature(vec![floats("x")], outputs)).unwrap();
    let outputs = engine
        .run(vec![numbers("x", DType::Float32, 1, &[1f32; 4])])
        .unwrap();
    let first = |index: usize| outputs[index].typed::<f32>().unwrap()[0];
    assert_eq!([first(0), first(1), first(2)], [2.0, 2.0, 3.0]);
}

/// A row of two of every type that libtorch and records share, in the order of the model.
fn every_type() -> Vec<Tensor> {
    let half = |value: f32| f16::from_f32(value);
    vec![
        numbers("bool", DType::Bool, 1, &[1u8, 0]),
        numbers("int8", DType::Int8, 1, &[i8::MIN, i8::MAX]),
        numbers("int16", DType::Int16, 1, &[i16::MIN, i16::MAX]),
        numbers("int32", DType::Int32, 1, &[i32::MIN, i32::MAX]),
        numbers("int64", DType::Int64, 1, &[i64::MIN, i64::MAX]),
        numbers("uint8", DType::Uint8, 1, &[0u8, u8::MAX]),
        numbers("fp16", DType::Float16, 1, &[half(-0.5), half(65504.0)]),
        numbers("bf16", DType::Bfloat16, 1, &[0x3f80u16, 0xc2f7]),
        numbers(
            "fp32",
            DType::Float32,
            1,
            &[f32::NEG_INFINITY, f32::MIN_POSITIVE],
        ),
        numbers("fp64", DType::Float64, 1, &[f64::MAX, -0.0]),
    ]
}

#[test]
fn every_type_comes_back_turned_round() {
    let given = every_type();
    let specs = |end: &str| {
        let name = |tensor: &Tensor| format!("{}_{end}", tensor.name());
        let spec = |tensor: &Tensor| spec(&name(tensor), tensor.dtype(), &[None, None]);
        given.iter().map(spec).collect()
    };
    let mut engine = load("torch_types", &signature(specs("in"), specs("out"))).unwrap();
    let outputs = engine.run(given.clone()).unwrap();
    for (input, output) in given.iter().zip(&outputs) {
        let bytes = input.fixed_bytes().unwrap();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert_eq!(output.dtype(), input.dtype());
        assert_eq!(
            output.fixed_bytes().unwrap(),
            [second, first].concat(),
            "{}",
            input.name()
        );
    }
}

#[test]
fn a_script_that_writes_to_its_input_does_not_reach_the_callers_memory() {
    let mut engine = load(
        "torch_stateful",
        &signature(vec![floats("x")], vec![floats("y")]),
    )
    .unwrap();
    let input = numbers("x", DType::Float32, 1, &[1f32; 4]);
    let outputs = engine.run(vec![input.clone()]).unwrap();
    assert_eq!(outputs[0].typed::<f32>().unwrap(), [2.0; 4]);
    assert_eq!(input.typed::<f32>().unwrap(), [1.0; 4]);
}

#[test]
fn a_failed_run_says_what_the_script_raised_and_the_engine_goes_on() {
    let mut engine = load(
        "torch_stateful",
        &signature(vec![floats("x")], vec![floats("y")]),
    )
    .unwrap();
    let run = |engine: &mut TorchEngine, value: f32| {
        engine.run(vec![numbers("x", DType::Float32, 1, &[value; 4])])
    };
    let error = run(&mut engine, 13.0).unwrap_err().to_string();
    assert!(
        error.contains("no thirteens here") && !error.contains('\n'),
        "{error}"
    );
    assert!(run(&mut engine, 12.0).is_ok());
}

#[test]
fn the_probe_run_finds_what_is_declared_wrongly() {
    let mut wrong = digits();
    wrong.outputs[0].shape[1] = Some(9);
    let error = complaint(load("digits_torchscript", &wrong).unwrap_err());
    assert!(
        error.contains("scores FP32[-1,9]") && error.contains("scores FP32[2,10]"),
        "{error}"
    );
    let mut wrong = digits();
    wrong.outputs[1].dtype = DType::Float32;
    let error = complaint(load("digits_torchscript", &wrong).unwrap_err());
    assert!(
        error.contains("label FP32") && error.contains("label INT64"),
        "{error}"
    );
    let mut wrong = digits();
    wrong.inputs[0].shape = vec![None, Some(9)];
    let error = complaint(load("digits_torchscript", &wrong).unwrap_err());
    assert!(error.contains("first run with zeros"), "{error}");
    let mut wrong = digits();
    wrong.outputs.pop();
    let error = complaint(load("digits_torchscript", &wrong).unwrap_err());
    assert!(error.contains("2 tensors"), "{error}");
}

#[test]
fn an_output_that_is_not_one_row_per_row_fails_the_load() {
    let error = load(
        "torch_total",
        &signature(vec![floats("x")], vec![floats("y")]),
    )
    .unwrap_err();
    assert!(complaint(error).contains("first dimension of every output"));
}

#[test]
fn an_answer_that_is_no_tensor_fails_the_load_by_its_name() {
    let outputs = vec![floats("y"), floats("text")];
    let error = load("torch_no_tensor", &signature(vec![floats("x")], outputs)).unwrap_err();
    assert!(complaint(error).contains("\"text\" is a str"));
}

#[test]
fn a_model_without_a_declared_signature_says_what_to_write() {
    let file = probe("digits_torchscript", "model.pt");
    let error = TorchEngine::load(&file, &EngineSettings::default(), None).unwrap_err();
    assert!(error.to_string().contains("[[inputs]]"), "{error}");
}

#[test]
fn types_that_libtorch_lacks_are_refused_by_name() {
    let mut text = digits();
    text.inputs[0].dtype = DType::String;
    let error = load("digits_torchscript", &text).unwrap_err().to_string();
    assert!(
        error.contains("\"image\"") && error.contains("text"),
        "{error}"
    );
    text.inputs[0].dtype = DType::Uint32;
    let error = load("digits_torchscript", &text).unwrap_err().to_string();
    assert!(error.contains("UINT32"), "{error}");
}

#[test]
fn a_file_that_is_no_model_is_named_in_the_error() {
    let error = load("corrupt_torchscript", &digits()).unwrap_err();
    assert!(matches!(error, LoadError::Model { .. }));
    let error = complaint(error);
    assert!(
        error.contains("corrupt_torchscript/1/model.pt") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused_in_a_sentence() {
    let error = complaint(load("opset_torchscript", &digits()).unwrap_err());
    assert!(error.contains("99999") && !error.contains('\n'), "{error}");
}

#[test]
fn a_run_that_needs_more_memory_than_there_is_fails_and_the_process_goes_on() {
    let declared = signature(vec![floats("x")], vec![floats("y")]);
    let mut engine = load("too_large_torchscript", &declared).unwrap();
    let run = |engine: &mut TorchEngine, value: f32| {
        engine.run(vec![numbers("x", DType::Float32, 1, &[value; 4])])
    };
    let error = run(&mut engine, 1.0).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    assert!(run(&mut engine, 0.0).is_ok());
}

#[test]
fn a_wrong_shape_is_an_error_and_the_engine_goes_on() {
    let mut engine = load("digits_torchscript", &digits()).unwrap();
    let wrong = numbers("image", DType::Float32, 1, &[1f32, 2.0, 3.0]);
    let error = engine.run(vec![wrong]).unwrap_err();
    assert!(matches!(error, EngineError::Failed(_)), "{error}");
    let (images, labels) = held_out_digits(1);
    assert_eq!(
        engine.run(vec![images]).unwrap()[1].typed::<i64>().unwrap(),
        labels
    );
}
