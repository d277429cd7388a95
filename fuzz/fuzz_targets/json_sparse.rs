//! Any bytes as a predict body of sparse rows, and as an Arrow record with sparse columns; what is
//! taken becomes dense.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{JsonLimits, parse_predict};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};

/// What the rows may stand for here: the fuzzer is to look for faults, not to fill memory.
const MAX_DENSE_ELEMENTS: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let body = millrace_fuzz::body_of(data);
    for dtype in [DType::Float32, DType::Bool, DType::String] {
        let signature = Signature {
            inputs: vec![TensorSpec {
                name: "x".to_owned(),
                dtype,
                shape: vec![None, None, Some(3)],
            }],
            outputs: Vec::new(),
        };
        let limits = JsonLimits {
            max_elements: MAX_DENSE_ELEMENTS,
            ..JsonLimits::default()
        };
        if let Ok(request) = parse_predict(body, &signature, &limits) {
            let payload = request.encode().expect("inputs have equally many rows");
            let record = Record::decode(payload, &Limits::default()).expect("what was encoded");
            signature.check(&record).expect("what was parsed fits the signature");
            make_dense(&record);
        }
    }
    let limits = Limits {
        max_elements: MAX_DENSE_ELEMENTS,
        ..Limits::default()
    };
    if let Ok(record) = Record::decode(data.to_vec(), &limits) {
        make_dense(&record);
    }
});

fn make_dense(record: &Record) {
    for column in 0..record.columns().len() {
        // Rows of differing shapes are no tensor; nothing else is an error.
        let _ = record.tensor(column);
        let _ = record.sparse_tensor(column);
    }
    assert!(record.dense_bytes() >= record.payload().len());
}
