//! Any bytes as the body of a classify or regress request; what is taken becomes a record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{JsonLimits, JsonRules, Method, Strictness, parse_examples};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};

fuzz_target!(|data: &[u8]| {
    let body = millrace_fuzz::body_of(data);
    let signature = signature();
    for strictness in [Strictness::Lenient, Strictness::Strict] {
        let limits = JsonLimits {
            rules: JsonRules {
                strictness,
                ..JsonRules::default()
            },
            ..JsonLimits::default()
        };
        let Ok(request) = parse_examples(body, &signature, &limits, Method::Classify) else {
            continue;
        };
        let payload = request.encode().expect("inputs have equally many rows");
        let record = Record::decode(payload, &Limits::default()).expect("what was encoded");
        signature.check(&record).expect("what was parsed fits the signature");
    }
});

fn signature() -> Signature {
    let input = |name: &str, dtype, row_shape: &[Option<usize>]| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: [&[None], row_shape].concat(),
    };
    Signature {
        inputs: vec![
            input("age", DType::Int64, &[]),
            input("vector", DType::Float32, &[Some(2), None]),
            input("words", DType::Bytes, &[None]),
        ],
        outputs: Vec::new(),
    }
}
