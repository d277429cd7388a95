//! Any bytes as an Arrow body of a request: what fits the signature is passed on as it is, and what comes
//! back as an answer is read whole, in every form that it may be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::json::{Format, JsonRules, write_predictions};
use millrace_wire::oip::{Answer, Outputs, write_infer};
use millrace_wire::{DType, Limits, Record, Signature, TensorSpec};

fuzz_target!(|body: &[u8]| {
    let Ok(record) = Record::decode(body.to_vec(), &Limits::default()) else {
        return;
    };
    for dtype in DType::ALL {
        for dimensions in 0..3 {
            let _ = of_x(dtype, dimensions).check(&record);
        }
    }
    let rules = JsonRules::default();
    let answer = Answer {
        model: "m",
        version: 1,
        id: None,
    };
    for outputs in [Outputs::default(), Outputs::all_binary()] {
        let _ = write_infer(&answer, &record, &outputs, &rules);
    }
    for format in [Format::Row, Format::Column] {
        let _ = write_predictions(format, &record, &rules, &mut Vec::new());
    }
    assert_eq!(record.into_payload(), body, "passed on as it is");
});

/// A model of one input `x` with so many open dimensions beside the rows.
fn of_x(dtype: DType, dimensions: usize) -> Signature {
    Signature {
        inputs: vec![TensorSpec {
            name: "x".to_owned(),
            dtype,
            shape: vec![None; 1 + dimensions],
        }],
        outputs: Vec::new(),
    }
}
