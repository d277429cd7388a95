//! Any bytes as a record; what is taken is copied into tensors, encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::{Limits, Record, Tensor, encode_tensors};

fuzz_target!(|payload: &[u8]| {
    // A sparse row of few bytes may stand for many elements.
    let limits = Limits {
        max_dense_bytes: 1 << 20,
        ..Limits::default()
    };
    let Ok(record) = Record::decode(payload.to_vec(), &limits) else {
        return;
    };
    assert_eq!(record.uniform_runs().last().map(|run| run.end), Some(record.rows()));
    let columns = 0..record.columns().len();
    let tensors: Result<Vec<Tensor>, _> = columns.map(|column| record.tensor(column)).collect();
    if let Ok(tensors) = tensors {
        let again = encode_tensors(&tensors).expect("tensors of one record go together");
        let again = Record::decode(again, &limits).expect("what was encoded can be decoded");
        assert_eq!(again.rows(), record.rows());
    }
});
