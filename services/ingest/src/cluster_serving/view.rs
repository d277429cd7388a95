//! What Cluster Serving's callers read about a model.

use millrace_wire::TensorSpec;
use millrace_wire::avro::ModelState;
use serde_json::{Value, json};

use crate::front::catalog::Listed;

/// One version of a model: the keys of Cluster Serving, then what else is known.
pub(super) fn version(listed: &Listed) -> Value {
    let inputs = &listed.signature.inputs;
    let features: Vec<&str> = inputs.iter().map(|it| it.name.as_str()).collect();
    json!({
        "modelName": listed.model,
        "modelVersion": listed.status.version.to_string(),
        "features": features,
        "state": state(listed),
        "reason": listed.status.reason,
        "inputs": tensors(inputs),
        "outputs": tensors(&listed.signature.outputs),
    })
}

fn state(listed: &Listed) -> &'static str {
    match listed.status.state {
        Some(ModelState::Loading) => "LOADING",
        Some(ModelState::Available) => "AVAILABLE",
        Some(ModelState::Unloading) => "UNLOADING",
        Some(ModelState::End) => "END",
        Some(ModelState::Failed) => "FAILED",
        None => "NOT_SERVED",
    }
}

fn tensors(specs: &[TensorSpec]) -> Vec<Value> {
    specs.iter().map(tensor).collect()
}

/// An open dimension is −1.
fn tensor(spec: &TensorSpec) -> Value {
    let size = |size: &Option<usize>| size.map_or(json!(-1), |size| json!(size));
    let shape: Vec<Value> = spec.shape.iter().map(size).collect();
    json!({ "name": spec.name, "datatype": spec.dtype.to_string(), "shape": shape })
}
