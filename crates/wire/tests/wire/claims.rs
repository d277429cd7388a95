//! Headers of values in a store, as `schemas/vectors` has them for every language.

use millrace_wire::headers::{Claim, HeaderError};
use serde_json::Value;

use crate::golden::index;

fn headers(entry: &Value) -> Vec<(&str, &[u8])> {
    let headers = entry["headers"].as_object().expect("headers by name");
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a text").as_bytes()))
        .collect()
}

fn parse(headers: &[(&str, &[u8])]) -> Result<Option<Claim>, HeaderError> {
    Claim::parse(headers.iter().map(|(name, value)| (*name, Some(*value))))
}

fn vectors(kind: &str) -> Vec<Value> {
    let index = index();
    let all = index["claims"].as_array().expect("a list of claims");
    let of_kind: Vec<Value> = all
        .iter()
        .filter(|entry| entry.get(kind).is_some())
        .cloned()
        .collect();
    assert!(of_kind.len() >= 4, "there are vectors");
    of_kind
}

#[test]
fn good_headers_are_read_and_written_as_they_are() {
    for entry in vectors("claim") {
        let headers = headers(&entry);
        let claim = parse(&headers)
            .expect("they are good")
            .expect("there is a claim");
        let said = &entry["claim"];
        assert_eq!(claim.path, said["path"], "{}", entry["name"]);
        assert_eq!(claim.length, said["length"], "{}", entry["name"]);
        assert_eq!(claim.sha256_text(), said["sha256"], "{}", entry["name"]);
        let written = claim.to_pairs();
        let written: Vec<_> = written
            .iter()
            .map(|(name, it)| (*name, it.as_slice()))
            .collect();
        assert_eq!(written, headers);
    }
}

#[test]
fn bad_headers_are_refused_by_name() {
    for entry in vectors("refused") {
        let error = parse(&headers(&entry)).expect_err("they are bad");
        let name = match &error {
            HeaderError::Missing { name } | HeaderError::Value { name, .. } => *name,
            other => panic!("{other}"),
        };
        assert_eq!(name, entry["refused"], "{}: {error}", entry["name"]);
    }
}

#[test]
fn a_record_may_have_no_claim_and_not_two() {
    assert_eq!(parse(&[("mr-id", b"a")]), Ok(None));
    let twice: [(&str, &[u8]); 2] = [("mr-claim", b"a"), ("mr-claim", b"b")];
    let name = "mr-claim";
    assert_eq!(parse(&twice), Err(HeaderError::Duplicate { name }));
}
