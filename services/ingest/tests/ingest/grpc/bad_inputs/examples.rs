//! Rows of `Classify`, `Regress` and `MultiInference`.

use prost::Message;
use tonic::Code;

use super::stage::Stage;
use super::{CLASSIFY, MULTI_INFERENCE, REGRESS, spec};
use crate::grpc::examples::{cars, example, floats, int64s, list, texts};
use crate::grpc::proto::tensorflow::serving::input::Kind;
use crate::grpc::proto::tensorflow::serving::*;
use crate::grpc::proto::tensorflow::{Example, Feature};
use crate::played::echo;

/// A request to the model of cars that is right, as far as it goes.
pub(super) fn good() -> ClassificationRequest {
    asking(list(vec![example(&[
        ("name", texts(&["fiat"])),
        ("wheels", int64s(&[4])),
    ])]))
}

fn asking(input: Input) -> ClassificationRequest {
    ClassificationRequest {
        model_spec: spec("cars"),
        input: Some(input),
    }
}

/// The refusal of these examples.
#[track_caller]
fn invalid(stage: &mut Stage, examples: Vec<Example>, fragment: &str) {
    let message = asking(list(examples)).encode_to_vec();
    stage.check_bytes((CLASSIFY, message), Code::InvalidArgument, fragment);
}

pub(super) fn lists(stage: &mut Stage) {
    stage.scene().serve(&cars(), echo);
    stage
        .scene()
        .wait_answer("/v1/models/cars", |it| it.status == 200);
    // H01, H03, H05
    for input in [
        None,
        Some(Input { kind: None }),
        Some(list(Vec::new())),
        Some(with_context(Vec::new(), example(&[]))),
    ] {
        let message = ClassificationRequest { input, ..good() }.encode_to_vec();
        stage.check_bytes((CLASSIFY, message), Code::InvalidArgument, "Input is empty");
    }
    // H04, H36
    let mut both = good().encode_to_vec();
    both.extend(good().encode_to_vec());
    stage.check_bytes(
        (CLASSIFY, both),
        Code::InvalidArgument,
        "more than one input",
    );
    let one = || example(&[("name", texts(&["fiat"]))]);
    let wheels = example(&[("wheels", int64s(&[4]))]);
    let context = |example, context| asking(with_context(vec![example], context)).encode_to_vec();
    let twice = context(good_example(), wheels.clone());
    stage.check_bytes(
        (CLASSIFY, twice),
        Code::InvalidArgument,
        "and in the context",
    );
    let unknown = context(one(), example(&[("doors", int64s(&[4]))]));
    stage.check_bytes(
        (CLASSIFY, unknown),
        Code::InvalidArgument,
        "unknown feature doors",
    );
    // A context of a megabyte for each of a hundred examples.
    let long = "c".repeat(1 << 20);
    let long = example(&[("name", texts(&[&long])), ("wheels", int64s(&[4]))]);
    let message = asking(with_context(vec![Example::default(); 100], long)).encode_to_vec();
    stage.check_bytes((CLASSIFY, message), Code::ResourceExhausted, "of a record");
    // Millions of examples without anything.
    let message = asking(list(vec![Example::default(); 3_000_000])).encode_to_vec();
    stage.check_bytes(
        (CLASSIFY, message),
        Code::InvalidArgument,
        "Missing feature",
    );
}

fn good_example() -> Example {
    example(&[("name", texts(&["fiat"])), ("wheels", int64s(&[4]))])
}

fn with_context(examples: Vec<Example>, context: Example) -> Input {
    let context = Some(context);
    Input {
        kind: Some(Kind::ExampleListWithContext(ExampleListWithContext {
            examples,
            context,
        })),
    }
}

pub(super) fn features(stage: &mut Stage) {
    let name = || ("name", texts(&["fiat"]));
    let mut wheels = |feature: Feature, fragment: &str| {
        let examples = vec![good_example(), example(&[name(), ("wheels", feature)])];
        invalid(stage, examples, fragment);
    };
    // H09, H11, H13
    wheels(int64s(&[]), "has 0 elements, expected a row of shape []");
    wheels(int64s(&[4, 4]), "wheels in example 1 has 2 elements");
    wheels(floats(&[4.0]), "is float_list, but INT64 takes int64_list");
    wheels(texts(&["4"]), "is bytes_list, but INT64 takes int64_list");
    wheels(Feature { kind: None }, "has no list of values");
    // H39
    let missing = example(&[name()]);
    invalid(stage, vec![missing], "Missing feature: wheels in example 0");
    let other_case = example(&[("Name", texts(&["fiat"])), ("wheels", int64s(&[4]))]);
    invalid(stage, vec![other_case], "unknown feature Name");
    let long = "n".repeat(1 << 20);
    let long = example(&[(&long, texts(&["fiat"]))]);
    invalid(stage, vec![long], "unknown feature nnn");
    // H31
    let mut not_text = good_example();
    let features = not_text.features.as_mut().unwrap();
    features.feature.insert("name".to_owned(), bytes(&[0xff]));
    invalid(stage, vec![not_text], "name");
    // Said before the examples are read: these models give no floats.
    for model in ["u8", "i", "s"] {
        let request = RegressionRequest {
            model_spec: spec(model),
            input: good().input,
        };
        let message = request.encode_to_vec();
        stage.check_bytes(
            (REGRESS, message),
            Code::InvalidArgument,
            "needs a model with",
        );
    }
}

fn bytes(value: &[u8]) -> Feature {
    use crate::grpc::proto::tensorflow::{BytesList, feature};
    Feature {
        kind: Some(feature::Kind::BytesList(BytesList {
            value: vec![value.to_vec()],
        })),
    }
}

pub(super) fn tasks(stage: &mut Stage) {
    let classify = "tensorflow/serving/classify";
    let regress = "tensorflow/serving/regress";
    let mut refused = |tasks: &[(&str, &str)], code, fragment: &str| {
        let task = |(model, method): &(&str, &str)| InferenceTask {
            model_spec: spec(model),
            method_name: (*method).to_owned(),
        };
        let request = MultiInferenceRequest {
            tasks: tasks.iter().map(task).collect(),
            input: good().input,
        };
        stage.check_bytes((MULTI_INFERENCE, request.encode_to_vec()), code, fragment);
    };
    let invalid = Code::InvalidArgument;
    refused(&[], invalid, "no tasks");
    refused(
        &[("cars", "")],
        invalid,
        "Unsupported signature method_name",
    );
    let predict = "tensorflow/serving/predict";
    refused(
        &[("cars", predict)],
        invalid,
        "Unsupported signature method_name",
    );
    let twice = [("cars", classify), ("cars", classify)];
    refused(&twice, invalid, "Duplicate evaluation");
    let two = [("cars", classify), ("m", regress)];
    refused(&two, invalid, "must access the same model name");
    // Cars have no numbers to regress.
    let unfit = [("cars", classify), ("cars", regress)];
    refused(&unfit, invalid, "method regress needs a model with");
    refused(&[("other", classify)], Code::NotFound, "Servable not found");
}
