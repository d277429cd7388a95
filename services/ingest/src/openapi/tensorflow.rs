//! TensorFlow Serving's REST API.

use serde_json::{Value, json};
use utoipa::openapi::path::HttpMethod;

use super::operation::{Body, Good, Media, Operation};
use super::refusals;

const TAG: &str = "TensorFlow Serving";
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";
const JSON: &str = "application/json";

pub(super) const REQUEST: &[Media] = &[(JSON, "PredictRequest"), (ARROW, "Bytes")];
pub(super) const RESPONSE: &[Media] = &[(JSON, "PredictResponse"), (ARROW, "Bytes")];
/// What every request for a prediction may say in its head.
pub(super) const HEADERS: &[&str] = &["Request-Timeout", "Prefer", "Idempotency-Key"];

/// One image that the model `digits` of the demo answers.
fn example() -> Value {
    json!({"instances": [{"image": image()}]})
}

/// A three, 8 by 8.
pub(super) fn image() -> Value {
    json!([
        [0, 0, 7, 15, 13, 1, 0, 0],
        [0, 8, 13, 6, 15, 4, 0, 0],
        [0, 2, 1, 13, 13, 0, 0, 0],
        [0, 0, 2, 15, 11, 1, 0, 0],
        [0, 0, 0, 1, 12, 12, 1, 0],
        [0, 0, 0, 0, 1, 10, 8, 0],
        [0, 0, 8, 4, 5, 14, 9, 0],
        [0, 0, 7, 13, 13, 9, 0, 0]
    ])
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(predictions());
    all.extend(examples());
    all.extend(states());
    all.extend(metadata());
    all.into_iter()
        .map(|it| Operation { tag: TAG, ..it })
        .collect()
}

/// A request for predictions, answered now or later.
pub(super) fn predict(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        method: HttpMethod::Post,
        parameters: HEADERS,
        body: Some(Body {
            media: REQUEST,
            example: Some(example()),
            is_required: true,
        }),
        answers: vec![
            Good::ok("One prediction per instance, in order.", RESPONSE),
            super::later::accepted(),
        ],
        refusals: refusals::PREDICT,
        ..Operation::get(path, id, summary)
    }
}

fn predictions() -> [Operation; 3] {
    [
        predict(
            "/v1/models/{model}:predict",
            "predict",
            "Predict with the newest version",
        ),
        predict(
            "/v1/models/{model}/versions/{version}:predict",
            "predictWithVersion",
            "Predict with a version",
        ),
        predict(
            "/v1/models/{model}/labels/{label}:predict",
            "predictWithLabel",
            "Predict with the version of a label",
        ),
    ]
}

fn examples() -> Vec<Operation> {
    let verbs = [
        (
            "/v1/models/{model}:classify",
            "classify",
            "Classify examples",
        ),
        ("/v1/models/{model}:regress", "regress", "Regress examples"),
    ];
    let of = |(path, id, summary)| Operation {
        body: Some(Body {
            media: &[(JSON, "ExamplesRequest")],
            example: None,
            is_required: true,
        }),
        answers: vec![
            Good::ok(
                "One result per example, in order.",
                &[(JSON, "ResultsResponse")],
            ),
            super::later::accepted(),
        ],
        ..predict(path, id, summary)
    };
    verbs.map(of).into()
}

fn states() -> Vec<Operation> {
    let paths = [
        (
            "/v1/models/{model}",
            "modelStatus",
            "The state of every version of a model",
        ),
        (
            "/v1/models/{model}/versions/{version}",
            "modelVersionStatus",
            "The state of a version",
        ),
        (
            "/v1/models/{model}/labels/{label}",
            "modelLabelStatus",
            "The state of the version of a label",
        ),
    ];
    let of = |(path, id, summary)| Operation {
        answers: vec![Good::ok(
            "Versions and their states.",
            &[(JSON, "ModelStatus")],
        )],
        ..Operation::get(path, id, summary)
    };
    paths.map(of).into()
}

fn metadata() -> Vec<Operation> {
    let paths = [
        (
            "/v1/models/{model}/metadata",
            "modelMetadata",
            "A model's signature: names, types, shapes",
        ),
        (
            "/v1/models/{model}/versions/{version}/metadata",
            "modelVersionMetadata",
            "A version's signature",
        ),
        (
            "/v1/models/{model}/labels/{label}/metadata",
            "modelLabelMetadata",
            "The signature of the version of a label",
        ),
    ];
    let of = |(path, id, summary)| Operation {
        answers: vec![Good::ok("The signature.", &[(JSON, "ModelMetadata")])],
        ..Operation::get(path, id, summary)
    };
    paths.map(of).into()
}
