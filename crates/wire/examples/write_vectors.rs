//! Writes `schemas/vectors/rust`: every golden vector as this crate encodes it.

use std::fs;

use millrace_wire::{Limits, Record};

#[path = "../tests/wire/golden.rs"]
mod golden;

fn main() {
    let folder = golden::folder().join("rust");
    fs::create_dir_all(&folder).expect("the folder of the vectors is writable");
    for vector in golden::arrow_vectors() {
        let record = Record::decode(vector.payload.clone(), &Limits::default())
            .expect("every golden vector can be decoded");
        golden::assert_holds(&record, &vector);
        let path = folder.join(format!("{}.arrows", vector.name));
        fs::write(path, golden::encode_again(&record)).expect("the vector can be written");
    }
}
