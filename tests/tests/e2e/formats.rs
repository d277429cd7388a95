//! Every format is served by its engine, side by side in one process; what cannot be served says why and hinders nobody.

use std::fs;

use e2e::{Line, PATIENCE, Process, Tap, digits, project_path, wait_for};
use millrace_wire::avro::ModelDescriptor;
use millrace_wire::{DType, Tensor};
use serde_json::{Value, json};

use crate::format_models::{ask, copy, copy_digits, numbers, repository, serve};

/// The digits network in every format.
const FORMATS: [&str; 6] = [
    "digits_onnx",
    "digits_ir",
    "digits_saved_model",
    "digits_frozen",
    "digits_tflite",
    "digits_torchscript",
];
/// Engines add up in another order than each other.
const TOLERANCE: f64 = 1e-4;
const IMAGES_A_REQUEST: usize = 45;

#[test]
fn the_digits_network_answers_alike_in_all_six_formats_through_the_whole_line() {
    let line = Line::new(&FORMATS, 1);
    let folder = repository(&line, &FORMATS);
    let _infer = serve(&line, &folder, &FORMATS);
    let mut ingest = line.ingest("");
    ingest.wait_ready();
    let digits = digits();
    let scores = digits.reference_scores();
    let labels = digits.reference_labels();
    for model in FORMATS {
        wait_for(PATIENCE, &format!("{model} to be served"), || {
            predict(&ingest, model, 0..1)
        });
        for first in (0..digits.images.len()).step_by(IMAGES_A_REQUEST) {
            let images = first..first + IMAGES_A_REQUEST;
            let predictions = predict(&ingest, model, images.clone()).expect("an answer");
            assert_eq!(predictions.len(), IMAGES_A_REQUEST);
            for (image, prediction) in images.zip(predictions) {
                check_scores(model, &prediction["scores"], &scores[image]);
                assert_eq!(
                    prediction["label"].as_i64(),
                    Some(labels[image]),
                    "{model}, image {image}"
                );
            }
        }
    }
}

#[test]
fn several_inputs_and_outputs_of_several_types_come_back_from_every_engine() {
    let names = ["torch_dictionary", "types_ir"];
    let line = Line::new(&names, 1);
    let folder = repository(&line, &names);
    let _infer = serve(&line, &folder, &names);
    let count = numbers("count", DType::Int64, &[2], &[2i64, 3]);
    let values = numbers("values", DType::Float32, &[2, 2], &[1f32, 2.0, 3.0, 4.0]);
    let answer = ask(&line, "torch_dictionary", &[values, count]);
    let output = |name: &str| {
        answer
            .iter()
            .find(|tensor| tensor.name() == name)
            .expect("an output")
    };
    assert_eq!(output("count_plus_one").typed::<i64>(), Some(&[3, 4][..]));
    assert_eq!(
        output("doubled").typed::<f32>(),
        Some(&[2.0, 4.0, 6.0, 8.0][..])
    );
    assert_eq!(output("is_many").typed::<u8>(), Some(&[0, 1][..]));

    let given = every_type();
    let answer = ask(&line, "types_ir", &given);
    assert_eq!(answer.len(), given.len());
    for input in &given {
        let name = input.name().replace("_in", "_out");
        let output = answer
            .iter()
            .find(|tensor| tensor.name() == name)
            .expect("an output");
        assert_eq!(output.dtype(), input.dtype(), "{name}");
        assert_eq!(output.fixed_bytes(), input.fixed_bytes(), "{name}");
    }
}

#[test]
fn a_network_of_resnet_50s_shape_agrees_with_its_own_framework() {
    let file = project_path("load/models/resnet50/1/model.onnx");
    assert!(
        file.exists(),
        "{} is missing: run `make test`, or `make load/models/resnet50/1/model.onnx`",
        file.display()
    );
    let names = ["resnet50", "resnet50_openvino"];
    let line = Line::new(&names, 1);
    let folder = repository(&line, &[]);
    for name in names {
        copy(&file, &folder.join(name).join("1/model.onnx"));
    }
    let toml = folder.join("resnet50_openvino/model.toml");
    fs::write(toml, "engine = \"openvino\"\n").expect("the folder is ours");
    let _infer = serve(&line, &folder, &names);
    let golden = read_json("load/models/resnet50/golden.json");
    let golden = golden["logits"].as_array().expect("a list of rows");
    for name in names {
        let answer = ask(&line, name, &[pixels(golden.len())]);
        let logits = answer[0].typed::<f32>().expect("logits are FP32");
        for (row, expected) in golden.iter().enumerate() {
            for (class, expected) in expected.as_array().expect("a row").iter().enumerate() {
                let given = f64::from(logits[row * 1000 + class]);
                let difference = given - expected.as_f64().expect("a number");
                assert!(
                    difference.abs() < TOLERANCE,
                    "{name}: {given} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn models_that_cannot_be_loaded_say_why_and_the_others_are_served() {
    let broken = [
        ("opset_onnx", "99"),
        ("corrupt_ir", "model.xml"),
        ("opset_ir", "opset99"),
        ("corrupt_tflite", "model.tflite"),
        ("corrupt_frozen", "frozen_inference_graph.pb"),
        ("corrupt_torchscript", "model.pt"),
        ("opset_torchscript", "99999"),
        ("torch_total", "first dimension of every output"),
        ("torch_no_tensor", "\"text\""),
        ("undeclared", "[[inputs]]"),
        ("misdeclared", "scores FP32[-1,9]"),
    ];
    let mut names: Vec<&str> = broken.iter().map(|(name, _)| *name).collect();
    names.push("digits_onnx");
    let line = Line::new(&names, 1);
    let folder = repository(&line, &names[..broken.len() - 2]);
    copy_digits(&folder);
    let script = project_path("tests/formats/digits_torchscript");
    for name in ["undeclared", "misdeclared"] {
        copy(
            &script.join("1/model.pt"),
            &folder.join(name).join("1/model.pt"),
        );
    }
    let toml = fs::read_to_string(script.join("model.toml")).expect("it is in the project");
    let toml = toml.replace("[-1, 10]", "[-1, 9]");
    fs::write(folder.join("misdeclared/model.toml"), toml).expect("the folder is ours");

    let descriptors = Tap::open(&line, "models");
    let _infer = serve(&line, &folder, &names);
    for (name, part) in broken {
        let reason = wait_for(PATIENCE, &format!("why {name} is not served"), || {
            reason_of(&descriptors, name)
        });
        assert!(reason.contains(part), "{name}: {reason}");
    }
    let image = numbers("image", DType::Float32, &[1, 8, 8], &[0f32; 64]);
    assert_eq!(ask(&line, "digits_onnx", &[image]).len(), 2);
}

/// Why a model is not served, as its newest descriptor says.
fn reason_of(descriptors: &Tap, model: &str) -> Option<String> {
    let records = descriptors.records();
    let newest = records.iter().rev().find_map(|record| {
        let descriptor = ModelDescriptor::decode(record.value.as_deref()?).ok()?;
        (descriptor.model == model).then_some(descriptor)
    })?;
    (!newest.reason.is_empty()).then_some(newest.reason)
}

/// The answer to some images, or `None` while the model is not served.
fn predict(ingest: &Process, model: &str, images: std::ops::Range<usize>) -> Option<Vec<Value>> {
    let instances: Vec<Value> = images
        .map(|image| json!({"image": digits().json(image)}))
        .collect();
    let answer = reqwest::blocking::Client::new()
        .post(ingest.url(&format!("/v1/models/{model}:predict")))
        .body(json!({"instances": instances}).to_string())
        .send()
        .expect("ingest answers");
    if !answer.status().is_success() {
        return None;
    }
    let text = answer.text().expect("the answer is text");
    let json: Value = serde_json::from_str(&text).expect("the answer is JSON");
    json["predictions"].as_array().cloned()
}

fn check_scores(model: &str, given: &Value, expected: &[f32]) {
    let given = given.as_array().expect("scores is a list");
    assert_eq!(given.len(), expected.len());
    for (given, expected) in given.iter().zip(expected) {
        let difference = given.as_f64().expect("a score is a number") - f64::from(*expected);
        assert!(
            difference.abs() < TOLERANCE,
            "{model}: {given} is not {expected}"
        );
    }
}

/// A row of every type that OpenVINO and records share.
fn every_type() -> Vec<Tensor> {
    let shape = [1, 2];
    vec![
        numbers("boolean_in", DType::Bool, &shape, &[1u8, 0]),
        numbers("i8_in", DType::Int8, &shape, &[i8::MIN, i8::MAX]),
        numbers("i16_in", DType::Int16, &shape, &[i16::MIN, i16::MAX]),
        numbers("i32_in", DType::Int32, &shape, &[i32::MIN, i32::MAX]),
        numbers("i64_in", DType::Int64, &shape, &[-5i64, 0x7fff_ffff]),
        numbers("u8_in", DType::Uint8, &shape, &[0u8, u8::MAX]),
        numbers("u16_in", DType::Uint16, &shape, &[0u16, u16::MAX]),
        numbers("u32_in", DType::Uint32, &shape, &[0u32, u32::MAX]),
        numbers("u64_in", DType::Uint64, &shape, &[0u64, 0x7fff_ffff]),
        numbers("f16_in", DType::Float16, &shape, &[0x3c00u16, 0xfbff]),
        numbers("bf16_in", DType::Bfloat16, &shape, &[0x3f80u16, 0xc2f7]),
        numbers("f32_in", DType::Float32, &shape, &[-1.5f32, f32::MAX]),
        numbers("f64_in", DType::Float64, &shape, &[0.5f64, -0.0]),
    ]
}

/// The images of `load/models/make_resnet50.py`, by the same formula.
fn pixels(rows: usize) -> Tensor {
    let pixel = |number: usize| {
        let number = u32::try_from(number).expect("a few images");
        let hashed = number.wrapping_mul(2_654_435_761) >> 8;
        // 24 bits are exact in FP32.
        let fraction = f64::from(hashed) / f64::from(1 << 24);
        #[expect(clippy::cast_possible_truncation, reason = "nothing is lost")]
        let pixel = ((fraction - 0.5) * 4.0) as f32;
        pixel
    };
    let pixels: Vec<f32> = (0..rows * 3 * 224 * 224).map(pixel).collect();
    numbers("image", DType::Float32, &[rows, 3, 224, 224], &pixels)
}

fn read_json(path: &str) -> Value {
    let text = fs::read_to_string(project_path(path)).expect("the file is in the project");
    serde_json::from_str(&text).expect("the file is JSON")
}
