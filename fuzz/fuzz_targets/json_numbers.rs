//! The JSON-to-tensor parser beside `serde_json`: what both take they read as the same values, and
//! what strict rules take is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{JsonLimits, JsonRules, Strictness, parse_predict};
use millrace_wire::{DType, Signature, TensorSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The same body as `serde_json` reads it, unknown keys aside.
#[derive(Deserialize)]
struct Rows<T> {
    instances: Vec<Vec<T>>,
}

fuzz_target!(|data: &[u8]| {
    let body = millrace_fuzz::body_of(data);
    compare(body, DType::Float64, |values: &[f64]| values.iter().map(|v| v.to_bits()).collect());
    compare(body, DType::Float32, |values: &[f32]| {
        values.iter().map(|v| u64::from(v.to_bits())).collect()
    });
    compare(body, DType::Int64, |values: &[i64]| values.iter().map(|v| v.cast_unsigned()).collect());
    compare(body, DType::Uint8, |values: &[u8]| values.iter().map(|v| u64::from(*v)).collect());
});

fn compare<T>(body: &[u8], dtype: DType, bits: fn(&[T]) -> Vec<u64>)
where
    T: DeserializeOwned + Clone + arrow::datatypes::ArrowNativeType,
{
    let signature = Signature {
        inputs: vec![TensorSpec {
            name: "x".to_owned(),
            dtype,
            shape: vec![None, None],
        }],
        outputs: Vec::new(),
    };
    let limits = JsonLimits {
        rules: JsonRules {
            strictness: Strictness::Strict,
            ..JsonRules::default()
        },
        ..JsonLimits::default()
    };
    let Ok(request) = parse_predict(body, &signature, &limits) else {
        return;
    };
    serde_json::from_slice::<serde_json::Value>(body).expect("strict rules take only JSON");
    // Bodies by column or by name are taken as well; those only one of us can read.
    let Ok(rows) = serde_json::from_slice::<Rows<T>>(body) else {
        return;
    };
    let Some(tensor) = request.tensors.first() else {
        return;
    };
    assert_eq!(tensor.rows(), rows.instances.len());
    let ours = bits(tensor.typed::<T>().expect("the type that was asked for"));
    assert_eq!(ours, bits(&rows.instances.concat()));
}
