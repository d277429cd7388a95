//! Cluster Serving's HTTP API.

use super::operation::{Good, Operation};
use super::tensorflow::predict;

const TAG: &str = "Cluster Serving";
const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let all = [
        predict(
            "/predict",
            "predictDefault",
            "Predict with the default model, or the only one",
        ),
        list("/models", "listModels", "Every version of every model"),
        list(
            "/models/{model}",
            "listVersions",
            "Every version of a model",
        ),
        Operation {
            answers: vec![Good::ok(
                "One version of a model.",
                &[(JSON, "ServedModel")],
            )],
            ..Operation::get(
                "/models/{model}/versions/{version}",
                "describeVersion",
                "One version of a model",
            )
        },
        predict(
            "/models/{model}/versions/{version}",
            "predictVersion",
            "Predict with a version",
        ),
        predict(
            "/models/{model}/versions/{version}/predict",
            "predictVersionVerb",
            "Predict with a version, by its longer path",
        ),
    ];
    all.map(|it| Operation { tag: TAG, ..it }).into()
}

fn list(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        answers: vec![Good::ok("Versions of models.", &[(JSON, "ServedModels")])],
        ..Operation::get(path, id, summary)
    }
}
