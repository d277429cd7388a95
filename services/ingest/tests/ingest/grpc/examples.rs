//! `Classify`, `Regress` and `MultiInference`: every feature reaches its input, every answer its row.

use std::sync::mpsc::channel as queue;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use millrace_kafka::OutRecord;
use millrace_wire::avro::ModelDescriptor;
use millrace_wire::{DType, Limits, Record, Status, Tensor, VariableData, encode_tensors};
use tonic::Code;

use super::proto::tensorflow::serving::input::Kind;
use super::proto::tensorflow::serving::model_spec::VersionChoice;
use super::proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use super::proto::tensorflow::serving::*;
use super::proto::tensorflow::{
    BytesList, Example, Feature, Features, FloatList, Int64List, feature,
};
use super::tensorflow::spec;
use super::{channel, check_refusal, run};
use crate::played::{Asked, Input as Column, descriptor};
use crate::scene::Scene;

fn feature(kind: feature::Kind) -> Feature {
    Feature { kind: Some(kind) }
}

pub(crate) fn texts(values: &[&str]) -> Feature {
    feature(feature::Kind::BytesList(BytesList {
        value: values.iter().map(|it| it.as_bytes().to_vec()).collect(),
    }))
}

pub(crate) fn floats(values: &[f32]) -> Feature {
    let value = values.to_vec();
    feature(feature::Kind::FloatList(FloatList { value }))
}

pub(crate) fn int64s(values: &[i64]) -> Feature {
    let value = values.to_vec();
    feature(feature::Kind::Int64List(Int64List { value }))
}

pub(crate) fn example(features: &[(&str, Feature)]) -> Example {
    let named = |(name, feature): &(&str, Feature)| ((*name).to_owned(), feature.clone());
    Example {
        features: Some(Features {
            feature: features.iter().map(named).collect(),
        }),
    }
}

pub(crate) fn list(examples: Vec<Example>) -> Input {
    Input {
        kind: Some(Kind::ExampleList(ExampleList { examples })),
    }
}

/// A model that takes a text and a number and gives classes.
pub(crate) fn cars() -> ModelDescriptor {
    let inputs: [Column; 2] = [("name", "STRING", &[-1]), ("wheels", "INT64", &[-1])];
    let outputs: [Column; 2] = [
        ("scores", "FP64", &[-1, 2]),
        ("classes", "STRING", &[-1, 2]),
    ];
    ModelDescriptor {
        outputs: descriptor("cars", &outputs).outputs,
        ..descriptor("cars", &inputs)
    }
}

/// The same that also gives a number.
fn cars_with_price() -> ModelDescriptor {
    let mut described = cars();
    described.model = "priced".to_owned();
    let number: [Column; 1] = [("outputs", "FP32", &[-1, 1])];
    let number = descriptor("priced", &number).outputs;
    described.outputs.extend(number);
    described
}

/// For each car its name and no name, with as many wheels and none; and a price.
fn judge(asked: &Asked) -> Vec<OutRecord> {
    let value = asked.record.value.clone().unwrap();
    let request = Record::decode(value, &Limits::default()).unwrap();
    let column = |name| request.tensor(request.column_index(name).unwrap()).unwrap();
    let (names, wheels) = (column("name"), column("wheels"));
    let (mut classes, mut scores, mut prices) = (VariableData::new(), Vec::new(), Vec::new());
    for (name, &wheels) in names
        .elements()
        .unwrap()
        .iter()
        .zip(wheels.typed::<i64>().unwrap())
    {
        classes.push(name);
        classes.push(b"");
        let wheels = wheels as f32;
        scores.extend(
            [f64::from(wheels) + 0.1, 0.0]
                .map(f64::to_le_bytes)
                .concat(),
        );
        prices.extend((wheels * 1000.0).to_le_bytes());
    }
    let rows = request.rows();
    let tensors = [
        Tensor::fixed("scores", DType::Float64, vec![rows, 2], scores.into()).unwrap(),
        Tensor::variable("classes", DType::String, vec![rows, 2], classes).unwrap(),
        Tensor::fixed("outputs", DType::Float32, vec![rows, 1], prices.into()).unwrap(),
    ];
    let all = asked.record.topic.ends_with("priced");
    let value = encode_tensors(&tensors[..if all { 3 } else { 2 }]).unwrap();
    vec![asked.reply(Status::Ok, None, Some(value))]
}

fn scene() -> &'static Scene {
    static SCENE: LazyLock<Scene> = LazyLock::new(|| {
        let scene = Scene::start(|_| {});
        scene.serve(&cars(), judge);
        scene.serve(&cars_with_price(), judge);
        scene.wait_ready();
        for model in ["cars", "priced"] {
            scene.wait_answer(&format!("/v1/models/{model}"), |it| it.status == 200);
        }
        scene
    });
    &SCENE
}

/// A fiat, and something with three wheels.
fn two() -> Vec<Example> {
    let one =
        |name, wheels: i64| example(&[("name", texts(&[name])), ("wheels", int64s(&[wheels]))]);
    vec![one("fiat", 4), one("ape", 3)]
}

async fn client() -> PredictionServiceClient<tonic::transport::Channel> {
    PredictionServiceClient::new(channel(scene().grpc).await)
}

fn class(label: &str, score: f32) -> Class {
    Class {
        label: label.to_owned(),
        score,
    }
}

fn classified() -> ClassificationResult {
    let row = |classes| Classifications { classes };
    ClassificationResult {
        classifications: vec![
            row(vec![class("fiat", 4.1), class("", 0.0)]),
            row(vec![class("ape", 3.1), class("", 0.0)]),
        ],
    }
}

fn regressed() -> RegressionResult {
    let row = |value| Regression { value };
    RegressionResult {
        regressions: vec![row(4000.0), row(3000.0)],
    }
}

#[track_caller]
fn check_spec(given: Option<ModelSpec>, model: &str) {
    let given = given.unwrap();
    assert_eq!(given.name, model);
    assert_eq!(given.version_choice, Some(VersionChoice::Version(1)));
    assert_eq!(given.signature_name, "serving_default");
}

#[test]
fn examples_are_classified_and_regressed() {
    let (classes, values) = run(async {
        let mut client = client().await;
        let input = Some(list(two()));
        let classify = ClassificationRequest {
            model_spec: spec("cars"),
            input: input.clone(),
        };
        let regress = RegressionRequest {
            model_spec: spec("priced"),
            input,
        };
        // A model with two floats: the one called `outputs` is the value.
        (
            client.classify(classify).await,
            client.regress(regress).await,
        )
    });
    let classes = classes.unwrap().into_inner();
    assert_eq!(classes.result, Some(classified()));
    check_spec(classes.model_spec, "cars");
    let values = values.unwrap().into_inner();
    assert_eq!(values.result, Some(regressed()));
    check_spec(values.model_spec, "priced");
}

#[test]
fn one_run_of_a_model_answers_all_tasks_in_their_order() {
    let task = |method: &str| InferenceTask {
        model_spec: spec("priced"),
        method_name: format!("tensorflow/serving/{method}"),
    };
    let ask = |methods: &[&str]| {
        let request = MultiInferenceRequest {
            tasks: methods.iter().map(|it| task(it)).collect(),
            input: Some(list(two())),
        };
        let answer = run(async { client().await.multi_inference(request).await });
        answer.unwrap().into_inner().results
    };
    for methods in [
        &["regress", "classify"][..],
        &["classify", "regress"],
        &["classify"],
    ] {
        let results = ask(methods);
        assert_eq!(results.len(), methods.len());
        for (method, result) in methods.iter().zip(results) {
            let expected = match *method {
                "classify" => inference_result::Result::ClassificationResult(classified()),
                _ => inference_result::Result::RegressionResult(regressed()),
            };
            assert_eq!(result.result, Some(expected));
            check_spec(result.model_spec, "priced");
        }
    }
}

#[test]
fn the_context_belongs_to_every_example() {
    let name = |name| example(&[("name", texts(&[name]))]);
    let request = ClassificationRequest {
        model_spec: spec("cars"),
        input: Some(Input {
            kind: Some(Kind::ExampleListWithContext(ExampleListWithContext {
                examples: vec![name("fiat"), name("lada")],
                context: Some(example(&[("wheels", int64s(&[4]))])),
            })),
        }),
    };
    let answer = run(async { client().await.classify(request).await });
    let result = answer.unwrap().into_inner().result.unwrap();
    let labels: Vec<_> = result
        .classifications
        .iter()
        .map(|row| (row.classes[0].label.as_str(), row.classes[0].score))
        .collect();
    assert_eq!(labels, [("fiat", 4.1), ("lada", 4.1)]);
}

#[test]
fn a_model_whose_outputs_are_no_such_answer_says_what_it_would_need() {
    let request = RegressionRequest {
        model_spec: spec("cars"),
        input: Some(list(two())),
    };
    // FP64 scores of two per row are no single number.
    let answer = run(async { client().await.regress(request).await });
    let status = check_refusal(
        answer,
        Code::InvalidArgument,
        "method regress needs a model with",
    );
    assert_eq!(status.metadata().get("mr-reason").unwrap(), "method_unfit");
}

/// Each type with a row of a feature, and the bytes of its elements.
fn rows() -> Vec<(&'static str, Feature, Vec<u8>)> {
    let halves = [0x3c00_u16, 0xc000].map(u16::to_le_bytes).concat();
    let brains = [0x3f80_u16, 0xc000].map(u16::to_le_bytes).concat();
    let numbers = int64s(&[1, 2]);
    vec![
        (
            "FP32",
            floats(&[1.0, -2.0]),
            [1.0_f32, -2.0].map(f32::to_le_bytes).concat(),
        ),
        (
            "FP64",
            floats(&[1.5, -2.0]),
            [1.5_f64, -2.0].map(f64::to_le_bytes).concat(),
        ),
        ("FP16", floats(&[1.0, -2.0]), halves),
        ("BF16", floats(&[1.0, -2.0]), brains),
        ("INT8", int64s(&[-128, 127]), vec![0x80, 0x7f]),
        (
            "INT16",
            int64s(&[-1, 2]),
            [-1_i16, 2].map(i16::to_le_bytes).concat(),
        ),
        (
            "INT32",
            int64s(&[-1, 2]),
            [-1_i32, 2].map(i32::to_le_bytes).concat(),
        ),
        (
            "INT64",
            int64s(&[i64::MIN, 2]),
            [i64::MIN, 2].map(i64::to_le_bytes).concat(),
        ),
        ("UINT8", int64s(&[0, 255]), vec![0, 255]),
        (
            "UINT16",
            numbers.clone(),
            [1_u16, 2].map(u16::to_le_bytes).concat(),
        ),
        (
            "UINT32",
            numbers.clone(),
            [1_u32, 2].map(u32::to_le_bytes).concat(),
        ),
        ("UINT64", numbers, [1_u64, 2].map(u64::to_le_bytes).concat()),
        ("BOOL", int64s(&[1, 0]), vec![1, 0]),
    ]
}

#[test]
fn features_of_every_type_reach_their_inputs() {
    let scene = Scene::start(|_| {});
    let (sender, asked) = queue::<Vec<u8>>();
    let sender = Mutex::new(sender);
    let shape: &[i64] = &[-1, 2];
    let mut inputs: Vec<Column> = rows()
        .iter()
        .map(|(dtype, ..)| (*dtype, *dtype, shape))
        .collect();
    inputs.push(("BYTES", "BYTES", &[-1, -1]));
    let score: [Column; 1] = [("scores", "FP32", &[-1, 1])];
    let described = ModelDescriptor {
        outputs: descriptor("all", &score).outputs,
        ..descriptor("all", &inputs)
    };
    scene.serve(&described, move |it| {
        sender
            .lock()
            .unwrap()
            .send(it.record.value.clone().unwrap())
            .unwrap();
        let score = Tensor::fixed("scores", DType::Float32, vec![1, 1], vec![0_u8; 4].into());
        let value = encode_tensors(&[score.unwrap()]).unwrap();
        vec![it.reply(Status::Ok, None, Some(value))]
    });
    scene.wait_ready();
    let mut features: Vec<_> = rows().into_iter().map(|(name, it, _)| (name, it)).collect();
    features.push(("BYTES", texts(&["a", "", "bc"])));
    let request = ClassificationRequest {
        model_spec: spec("all"),
        input: Some(list(vec![example(&features)])),
    };
    let answer = run(async {
        let mut client = PredictionServiceClient::new(channel(scene.grpc).await);
        client.classify(request).await
    });
    // A class without a name and with a score of nothing is still a class.
    let result = answer.unwrap().into_inner().result.unwrap();
    assert_eq!(result.classifications[0].classes, [class("", 0.0)]);
    let value = asked.recv_timeout(Duration::from_secs(30)).unwrap();
    let record = Record::decode(value, &Limits::default()).unwrap();
    let column = |name| record.tensor(record.column_index(name).unwrap()).unwrap();
    for (name, _, expected) in rows() {
        assert_eq!(column(name).fixed_bytes().unwrap(), expected, "{name}");
        assert_eq!(column(name).shape(), [1, 2], "{name}");
    }
    let bytes = column("BYTES");
    let bytes: Vec<&[u8]> = bytes.elements().unwrap().iter().collect();
    assert_eq!(bytes, [&b"a"[..], b"", b"bc"]);
}
