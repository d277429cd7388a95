//! The golden vectors read, are refused, and are written as their index says.

use std::fs;

use millrace_wire::{DecodeErrorKind, Decoder, Limits, Record};

use crate::golden::{self, Golden, text};

#[test]
fn every_vector_holds_what_the_index_says() {
    let vectors = golden::arrow_vectors();
    assert!(vectors.len() > 60);
    for vector in &vectors {
        golden::assert_holds(&decode(vector), vector);
    }
}

#[test]
fn a_decoder_that_remembers_schemas_reads_the_same() {
    let mut decoder = Decoder::new(Limits::default());
    for vector in &golden::arrow_vectors() {
        for _ in 0..2 {
            let record = decoder.decode(vector.payload.clone()).unwrap();
            golden::assert_holds(&record, vector);
        }
    }
}

#[test]
fn every_vector_survives_encoding() {
    for vector in &golden::arrow_vectors() {
        let payload = golden::encode_again(&decode(vector));
        let record = Record::decode(payload, &Limits::default()).unwrap();
        golden::assert_holds(&record, vector);
    }
}

/// If this fails on purpose: `cargo run -p millrace-wire --example write_vectors`.
#[test]
fn the_vectors_written_by_rust_are_not_stale() {
    let vectors = golden::arrow_vectors();
    let files = fs::read_dir(golden::folder().join("rust")).unwrap().count();
    assert_eq!(files, vectors.len());
    for vector in &vectors {
        let expected = golden::read("rust", &format!("{}.arrows", vector.name));
        assert!(
            golden::encode_again(&decode(vector)) == expected,
            "{} is stale",
            vector.name
        );
    }
}

#[test]
fn every_refused_vector_is_refused_for_its_reason() {
    let index = golden::index();
    let refused = index["refused"].as_array().unwrap();
    assert!(refused.len() > 20);
    for entry in refused {
        let name = text(&entry["name"]);
        let payload = golden::read("refused", &format!("{name}.arrows"));
        let error = Record::decode(payload.clone(), &Limits::default()).unwrap_err();
        let kind = match error.kind() {
            DecodeErrorKind::Malformed => "malformed",
            DecodeErrorKind::Unsupported => "unsupported",
            DecodeErrorKind::TooLarge => "too_large",
        };
        assert_eq!(kind, text(&entry["kind"]), "{name}: {error}");
        assert!(
            error.to_string().contains(text(&entry["message"])),
            "{name}: {error}"
        );
        assert_eq!(error.into_payload(), payload, "{name}");
    }
}

#[test]
fn every_vector_cut_off_at_any_byte_is_refused() {
    for vector in &golden::arrow_vectors() {
        for length in 0..vector.payload.len() {
            let cut = vector.payload[..length].to_vec();
            assert!(
                Record::decode(cut, &Limits::default()).is_err(),
                "{} at {length}",
                vector.name
            );
        }
    }
}

#[test]
fn every_vector_with_bytes_after_its_end_is_refused() {
    for vector in &golden::arrow_vectors() {
        for more in [&[0][..], &vector.payload] {
            let payload = [&vector.payload, more].concat();
            let error = Record::decode(payload, &Limits::default()).unwrap_err();
            assert!(
                error.to_string().contains("after its end-of-stream marker"),
                "{error}"
            );
        }
    }
}

fn decode(vector: &Golden) -> Record {
    Record::decode(vector.payload.clone(), &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", vector.name))
}
