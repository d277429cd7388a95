//! Any bytes as the body of an infer request: as JSON, as JSON with raw tensors behind its last brace, and
//! raw. What is taken becomes a record and an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{JsonLimits, JsonRules};
use millrace_wire::oip::{Answer, InferBody, parse_infer, write_infer};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec, encode_tensors};

fuzz_target!(|bytes: &[u8]| {
    let last_brace = bytes.iter().rposition(|&byte| byte == b'}');
    let json_bytes = last_brace.map(|it| (it + 1).to_string());
    for header_length in [None, Some("0"), json_bytes.as_deref()] {
        read(InferBody {
            bytes,
            header_length,
        });
    }
});

fn read(body: InferBody<'_>) {
    for signature in [of_tensors(&[IMAGE]), of_tensors(&[TEXT]), of_tensors(&[IMAGE, TEXT, KEEP])] {
        let Ok(request) = parse_infer(body, &signature, &JsonLimits::default()) else {
            continue;
        };
        let payload = encode_tensors(&request.tensors).expect("inputs have equally many rows");
        let record = Record::decode(payload, &Limits::default()).expect("what was encoded");
        signature.check(&record).expect("what was parsed fits the signature");
        let answer = Answer {
            model: "m",
            version: 1,
            id: request.id.as_deref(),
        };
        // An answer may be refused, by text that JSON cannot hold for example, but not panic.
        let _ = write_infer(&answer, &record, &request.outputs, &JsonRules::default());
    }
}

type Tensor = (&'static str, DType, &'static [Option<usize>]);
const IMAGE: Tensor = ("image", DType::Float32, &[None, None, Some(2)]);
const TEXT: Tensor = ("text", DType::String, &[None]);
const KEEP: Tensor = ("keep", DType::Bool, &[None, Some(1)]);

/// A model that gives back what it takes.
fn of_tensors(tensors: &[Tensor]) -> Signature {
    let spec = |(name, dtype, shape): &Tensor| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        shape: shape.to_vec(),
    };
    let specs: Vec<TensorSpec> = tensors.iter().map(spec).collect();
    Signature {
        inputs: specs.clone(),
        outputs: specs,
    }
}
