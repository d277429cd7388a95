//! What callers read about a model: its metadata and, as Triton has it, its configuration.

use millrace_wire::avro::ModelState;
use millrace_wire::{DType, TensorSpec, oip};
use serde_json::{Value, json};

use crate::front::Front;
use crate::front::catalog::{Served, VersionStatus};

/// What runs the models, in Triton's words.
const PLATFORM: &str = "onnxruntime_onnx";

/// The body of `GET /v2/models/MODEL`.
pub(super) fn metadata(served: &Served, versions: &[VersionStatus]) -> Value {
    let is_available = |it: &&VersionStatus| it.state == Some(ModelState::Available);
    let available = versions.iter().rev().filter(is_available);
    let versions: Vec<String> = available.map(|it| it.version.to_string()).collect();
    json!({
        "name": served.model,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": tensors(&served.signature.inputs),
        "outputs": tensors(&served.signature.outputs),
    })
}

fn tensors(specs: &[TensorSpec]) -> Vec<Value> {
    let tensor = |spec: &TensorSpec| {
        json!({
            "name": spec.name,
            "datatype": oip::datatype(spec.dtype),
            "shape": sizes(&spec.shape),
        })
    };
    specs.iter().map(tensor).collect()
}

/// Sizes as the protocol writes them: -1 is open.
fn sizes(shape: &[Option<usize>]) -> Vec<i64> {
    let size = |size: &Option<usize>| size.map_or(-1, |it| i64::try_from(it).unwrap_or(i64::MAX));
    shape.iter().map(size).collect()
}

/// The body of `GET /v2/models/MODEL/config`: dimensions without that of the rows, which
/// `max_batch_size` stands for.
pub(super) fn config(served: &Served, front: &Front) -> Value {
    json!({
        "name": served.model,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": { "latest": { "num_versions": 1 } },
        "max_batch_size": front.limits.json.max_rows,
        "input": settings_of(&served.signature.inputs),
        "output": settings_of(&served.signature.outputs),
        "dynamic_batching": {},
    })
}

fn settings_of(specs: &[TensorSpec]) -> Vec<Value> {
    let tensor = |spec: &TensorSpec| {
        json!({
            "name": spec.name,
            "data_type": config_type(spec.dtype),
            "dims": sizes(spec.shape.get(1..).unwrap_or_default()),
        })
    };
    specs.iter().map(tensor).collect()
}

fn config_type(dtype: DType) -> String {
    match dtype {
        DType::String | DType::Bytes => "TYPE_STRING".to_owned(),
        other => format!("TYPE_{}", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millrace_wire::Signature;

    use super::*;

    #[test]
    fn metadata_reads_as_triton_writes_it() {
        let spec = |name: &str, dtype, shape: &[Option<usize>]| TensorSpec {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
        };
        let served = Served {
            backlog_records: 0,
            model: "m".into(),
            version: 2,
            signature: Arc::new(Signature {
                inputs: vec![spec("x", DType::Float32, &[None, Some(784)])],
                outputs: vec![spec("y", DType::String, &[None])],
            }),
        };
        let status = |version, state| VersionStatus {
            version,
            state,
            reason: String::new(),
        };
        let versions = [
            status(3, Some(ModelState::Loading)),
            status(2, Some(ModelState::Available)),
            status(1, Some(ModelState::Available)),
        ];
        assert_eq!(
            metadata(&served, &versions).to_string(),
            r#"{"name":"m","versions":["1","2"],"platform":"onnxruntime_onnx","inputs":[{"name":"x","datatype":"FP32","shape":[-1,784]}],"outputs":[{"name":"y","datatype":"BYTES","shape":[-1]}]}"#
        );
    }
}
