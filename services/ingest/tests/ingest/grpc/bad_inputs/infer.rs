//! Rows of `ModelInfer`. Numbers are rows of the project's list of bad inputs.

use tonic::Code;

use super::stage::Stage;
use crate::grpc::proto::inference::model_infer_request::InferRequestedOutputTensor;
use crate::grpc::proto::inference::{InferTensorContents, ModelInferRequest};
use crate::grpc::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::grpc::tensorflow::ask as ask_tensorflow;
use crate::grpc::{ask, floats, good, raw_input};

fn with_shape(shape: &[i64]) -> ModelInferRequest {
    ask("m", vec![floats(shape, &[1.0, 2.0, 3.0, 4.0])])
}

pub(super) fn with_raw(datatype: &str, shape: &[i64], raw: &[u8]) -> ModelInferRequest {
    let mut request = ask("m", vec![raw_input("x", datatype, shape)]);
    request.raw_input_contents = vec![raw.to_vec()];
    request
}

pub(super) fn hostile_shapes(stage: &mut Stage) {
    // H47
    let overflowing = vec![(1_i64 << 60) + 2; 8];
    stage.check(
        with_shape(&overflowing),
        Code::ResourceExhausted,
        "elements",
    );
    stage.check(
        with_raw("FP32", &[i64::MAX, i64::MAX], &[]),
        Code::ResourceExhausted,
        "elements",
    );
    stage.check(
        with_shape(&[1, 1 << 40]),
        Code::ResourceExhausted,
        "elements",
    );
    // H48
    stage.invalid(with_shape(&[-1, 4]), "negative");
    stage.invalid(with_shape(&[1, -4]), "negative");
    stage.invalid(with_shape(&[i64::MIN]), "negative");
    stage.invalid(with_shape(&[0, 4]), "x");
    stage.invalid(with_raw("FP32", &[0, 4], &[]), "x");
    stage.invalid(with_raw("FP32", &[1, 0], &[]), "x");
    stage.invalid(with_shape(&[]), "no shape");
    stage.check(
        with_shape(&[1; 1000]),
        Code::ResourceExhausted,
        "dimensions",
    );
}

pub(super) fn datatypes(stage: &mut Stage) {
    // H49
    for datatype in ["", "fp32", "FLOAT", "STRING", "FP32\0", &"F".repeat(4096)] {
        stage.invalid(with_raw(datatype, &[1, 4], &[0; 16]), "datatype");
    }
    stage.invalid(with_raw("INT32", &[1, 4], &[0; 16]), "must be FP32");
    stage.invalid(with_raw("FP64", &[1, 4], &[0; 32]), "must be FP32");
    stage.invalid(with_raw("BYTES", &[1, 1], b"\x01\0\0\0a"), "must be FP32");
    let mut ints = raw_input("x", "FP32", &[1, 4]);
    ints.contents = Some(InferTensorContents {
        int_contents: vec![1, 2, 3, 4],
        ..InferTensorContents::default()
    });
    stage.invalid(
        ask("m", vec![ints]),
        "takes fp32_contents, got int_contents",
    );
}

pub(super) fn lengths(stage: &mut Stage) {
    // H50
    for size in [0, 1, 15, 17, 32] {
        stage.invalid(with_raw("FP32", &[1, 4], &vec![0; size]), "16");
    }
    stage.invalid(ask("m", vec![floats(&[1, 4], &[1.0; 3])]), "got 3");
    stage.invalid(
        ask("m", vec![floats(&[1, 4], &[1.0; 5])]),
        "more were given",
    );
    stage.invalid(ask("m", vec![floats(&[1, 4], &[])]), "got 0");
    // H07, H09
    stage.invalid(
        ask("m", vec![floats(&[1, 3], &[1.0; 3])]),
        "must be FP32[-1,4], got FP32[1,3]",
    );
    stage.invalid(
        ask("m", vec![floats(&[4], &[1.0; 4])]),
        "must be FP32[-1,4], got FP32[4]",
    );
    stage.invalid(
        ask("m", vec![floats(&[1, 1, 4], &[1.0; 4])]),
        "must be FP32",
    );
}

pub(super) fn raw_contents(stage: &mut Stage) {
    // H51
    let mut mixed = with_shape(&[1, 4]);
    mixed.raw_input_contents = vec![vec![0; 16]];
    stage.invalid(mixed, "may not mix");
    let mut too_many = with_raw("FP32", &[1, 4], &[0; 16]);
    too_many.raw_input_contents.push(Vec::new());
    stage.invalid(too_many, "1 inputs but 2 raw_input_contents");
    let mut without_inputs = ask("m", Vec::new());
    without_inputs.raw_input_contents = vec![vec![0; 16]];
    stage.invalid(without_inputs, "0 inputs but 1 raw_input_contents");
    let mut without_dtype = ask("m", vec![raw_input("x", "FP16", &[1, 4])]);
    without_dtype.inputs[0].contents = Some(InferTensorContents {
        fp32_contents: vec![1.0; 4],
        ..InferTensorContents::default()
    });
    stage.invalid(without_dtype, "raw_input_contents");
}

pub(super) fn names(stage: &mut Stage) {
    stage.invalid(ask("m", Vec::new()), "missing input x");
    let x = || floats(&[1, 4], &[1.0; 4]);
    stage.invalid(ask("m", vec![x(), x()]), "twice");
    let mut other = x();
    other.name = "y".to_owned();
    stage.invalid(ask("m", vec![other]), "unknown input y");
    let mut nameless = x();
    nameless.name = "n".repeat(1 << 20);
    stage.invalid(ask("m", vec![nameless]), "unknown input nnn");
    // H40
    let numbers = |name: &str, datatype: &str, rows: i64| raw_input(name, datatype, &[rows]);
    let mut rows = ask(
        "m2",
        vec![numbers("a", "FP32", 2), numbers("b", "INT32", 1)],
    );
    rows.raw_input_contents = vec![vec![0; 8], vec![0; 4]];
    stage.invalid(rows, "rows");
    // H52
    let output = |name: &str| InferRequestedOutputTensor {
        name: name.to_owned(),
        ..InferRequestedOutputTensor::default()
    };
    let mut twice = good();
    twice.outputs = vec![output("x"), output("x")];
    stage.invalid(twice, "asked for twice");
    let mut unknown = good();
    unknown.outputs = vec![output("z")];
    stage.invalid(unknown, "unknown output z");
    let mut many = good();
    many.outputs = vec![output("x"); 100_000];
    stage.check(many, Code::ResourceExhausted, "more than 256 outputs");
    stage.check(
        ask("m", vec![x(); 10_000]),
        Code::ResourceExhausted,
        "more than 256 inputs",
    );
}

pub(super) fn models(stage: &mut Stage) {
    // H65, H66
    let with = |model: &str, version: &str| {
        let mut request = good();
        request.model_name = model.to_owned();
        request.model_version = version.to_owned();
        request
    };
    stage.check(
        with("other", ""),
        Code::NotFound,
        "Servable not found for request: Latest(other)",
    );
    stage.check(with("m", "7"), Code::NotFound, "Specific(m, 7)");
    for version in ["abc", "-1", "+1", "1.0", " 1", "99999999999999999999"] {
        stage.invalid(with("m", version), "is not a number");
    }
    for model in ["../m", "a/b", "..", "m\0", "m m", &"m".repeat(4096)] {
        stage.invalid(with(model, ""), "is not a name");
    }
    stage.invalid(with("", ""), "several models are served");
    let mut negative = ask_tensorflow("m", &[]);
    let spec = negative.model_spec.as_mut().unwrap();
    spec.version_choice = Some(VersionChoice::Version(-1));
    stage.check_predict(&negative, Code::InvalidArgument, "is not a number");
}

pub(super) fn cut_off_bytes(stage: &mut Stage) {
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
        stage.invalid(with(raw), "s");
    }
    stage.invalid(with(b"\x01\0\0\0a\0\0\0\0"), "more were given");
    // H31: text that is not UTF-8
    stage.invalid(with(b"\x01\0\0\0\xff"), "s");
}
