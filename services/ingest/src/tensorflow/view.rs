//! What TensorFlow Serving's callers read about a model: its versions and its signature.

use millrace_wire::TensorSpec;
use millrace_wire::avro::ModelState;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value, json};

use crate::front::catalog::{Served, VersionStatus};

/// The body of `GET /v1/models/MODEL`.
pub(super) fn status(versions: &[VersionStatus]) -> Value {
    let versions: Vec<Value> = versions.iter().map(version_status).collect();
    json!({ "model_version_status": versions })
}

/// A view as TensorFlow Serving lays it out: one space per level.
pub(super) fn laid_out(view: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let format = PrettyFormatter::with_indent(b" ");
    view.serialize(&mut Serializer::with_formatter(&mut out, format))
        .expect("a value of strings and lists can always be written");
    out.push(b'\n');
    out
}

fn version_status(version: &VersionStatus) -> Value {
    let (state, code, message) = match version.state {
        Some(ModelState::Loading) => ("LOADING", "OK", ""),
        Some(ModelState::Available) => ("AVAILABLE", "OK", ""),
        Some(ModelState::Unloading) => ("UNLOADING", "OK", ""),
        Some(ModelState::End) => ("END", "OK", ""),
        // TensorFlow Serving has no state for it: such a version has ended, with an error.
        Some(ModelState::Failed) => ("END", "INTERNAL", version.reason.as_str()),
        None => (
            "END",
            "UNAVAILABLE",
            "no infer process that serves it is alive",
        ),
    };
    json!({
        "version": version.version.to_string(),
        "state": state,
        "status": { "error_code": code, "error_message": message },
    })
}

/// The body of `GET /v1/models/MODEL/metadata`.
pub(super) fn metadata(served: &Served) -> Value {
    let signature = json!({
        "inputs": tensors(&served.signature.inputs),
        "outputs": tensors(&served.signature.outputs),
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    });
    json!({
        "model_spec": {
            "name": served.model,
            "signature_name": "",
            "version": served.version.to_string(),
        },
        "metadata": {
            "signature_def": { "signature_def": { "serving_default": signature } },
        },
    })
}

fn tensors(specs: &[TensorSpec]) -> Value {
    let named = |spec: &TensorSpec| (spec.name.clone(), tensor(spec));
    Value::Object(specs.iter().map(named).collect::<Map<_, _>>())
}

fn tensor(spec: &TensorSpec) -> Value {
    let size = |size: &Option<usize>| size.map_or_else(|| "-1".to_owned(), |it| it.to_string());
    let dimension = |it: &Option<usize>| json!({ "size": size(it), "name": "" });
    let dimensions: Vec<Value> = spec.shape.iter().map(dimension).collect();
    json!({
        "dtype": spec.dtype.tensorflow_name(),
        "tensor_shape": { "dim": dimensions, "unknown_rank": false },
        "name": format!("{}:0", spec.name),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millrace_wire::{DType, Signature};

    use super::*;

    #[test]
    fn a_version_status_reads_as_tensorflow_serving_writes_it() {
        let available = VersionStatus {
            version: 123,
            state: Some(ModelState::Available),
            reason: "".into(),
        };
        assert_eq!(
            status(&[available]).to_string(),
            r#"{"model_version_status":[{"version":"123","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#
        );
    }

    #[test]
    fn a_version_that_failed_says_why() {
        let failed = VersionStatus {
            version: 1,
            state: Some(ModelState::Failed),
            reason: "bad".into(),
        };
        let body = status(&[failed]);
        let given = &body["model_version_status"][0];
        assert_eq!(given["state"], "END");
        assert_eq!(given["status"]["error_code"], "INTERNAL");
        assert_eq!(given["status"]["error_message"], "bad");
    }

    #[test]
    fn metadata_reads_as_tensorflow_serving_writes_it() {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            dtype: DType::Float32,
            shape: vec![None, Some(1)],
        };
        let signature = Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        };
        let served = Served {
            backlog_records: 0,
            model: "half".into(),
            version: 123,
            signature: Arc::new(signature),
        };
        let body = metadata(&served).to_string();
        let x = r#""x":{"dtype":"DT_FLOAT","tensor_shape":{"dim":[{"size":"-1","name":""},{"size":"1","name":""}],"unknown_rank":false},"name":"x:0"}"#;
        assert!(body.contains(x), "{body}");
        let spec = r#""model_spec":{"name":"half","signature_name":"","version":"123"}"#;
        assert!(body.starts_with(&format!("{{{spec}")), "{body}");
        assert!(body.contains(r#""method_name":"tensorflow/serving/predict","defaults":{}"#));
    }
}
