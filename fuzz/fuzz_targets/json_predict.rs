//! Any bytes as the body of a predict request, for a model of three inputs; what is taken becomes a
//! record and an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{JsonLimits, JsonRules, parse_predict, write_predictions};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};

fuzz_target!(|data: &[u8]| {
    let body = millrace_fuzz::body_of(data);
    // A sparse row of few bytes may stand for many elements.
    let limits = JsonLimits {
        max_elements: 1 << 16,
        ..JsonLimits::default()
    };
    for signature in [of_inputs(&[IMAGE]), of_inputs(&[IMAGE, ID, KEEP])] {
        let Ok(request) = parse_predict(body, &signature, &limits) else {
            continue;
        };
        let payload = request.encode().expect("inputs have equally many rows");
        let record = Record::decode(payload, &Limits::default()).expect("what was encoded");
        signature.check(&record).expect("what was parsed fits the signature");
        let mut answer = Vec::new();
        // An answer may be refused, by text that JSON cannot hold for example, but not panic.
        let _ = write_predictions(request.format, &record, &JsonRules::default(), &mut answer);
    }
});

type Input = (&'static str, DType, &'static [Option<usize>]);
const IMAGE: Input = ("image", DType::Float32, &[None, None, Some(2)]);
const ID: Input = ("id", DType::String, &[None]);
const KEEP: Input = ("keep", DType::Bool, &[None, Some(1)]);

fn of_inputs(inputs: &[Input]) -> Signature {
    let spec = |(name, dtype, shape): &Input| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        shape: shape.to_vec(),
    };
    Signature {
        inputs: inputs.iter().map(spec).collect(),
        outputs: Vec::new(),
    }
}
