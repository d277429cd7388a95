//! A request that any model takes: one row of zeros, as JSON.

use millrace_wire::{DType, Signature, TensorSpec};
use serde_json::{Map, Value, json};

/// The body of `:predict` with one instance; open dimensions are 1.
pub(super) fn zeros(signature: &Signature) -> String {
    let inputs: Map<String, Value> = signature
        .inputs
        .iter()
        .map(|input| (input.name.clone(), row(input)))
        .collect();
    json!({"instances": [inputs]}).to_string()
}

fn row(input: &TensorSpec) -> Value {
    let element = match input.dtype {
        DType::Bool => json!(false),
        DType::String | DType::Bytes => json!("a"),
        DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64 => json!(0.0),
        _ => json!(0),
    };
    let sizes = input.shape.iter().skip(1).rev();
    sizes.fold(element, |inner, size| {
        Value::Array(vec![inner; size.unwrap_or(1)])
    })
}

#[cfg(test)]
mod tests {
    use millrace_wire::json::{JsonLimits, parse_predict};

    use super::*;

    #[test]
    fn zeros_fit_the_signature() {
        let input = |name: &str, dtype, shape: &[Option<usize>]| TensorSpec {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
        };
        let inputs = DType::ALL.map(|dtype| {
            input(
                &format!("{dtype:?}"),
                dtype,
                &[None, Some(3), None, Some(2)],
            )
        });
        let mut signature = Signature {
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
        };
        signature
            .inputs
            .push(input("scalar", DType::Int64, &[None]));
        let body = zeros(&signature);
        let request = parse_predict(body.as_bytes(), &signature, &JsonLimits::default()).unwrap();
        assert_eq!(request.tensors.len(), 16);
        assert_eq!(request.tensors[0].shape(), [1, 3, 1, 2]);
        request.encode().unwrap();
    }
}
