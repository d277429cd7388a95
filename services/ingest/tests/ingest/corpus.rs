//! The corpus of bad inputs: each gets the answer of the table, and costs nobody else anything.
//!
//! Requests lie in `tests/corpus/http` as the bytes that are sent, or are made by the functions of
//! [`generated`]; `tests/corpus/expectations.toml` says what each must get. A row of other protocols
//! needs a file or a function, and a table there.

mod expectation;
mod generated;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use expectation::Expectation;
use stage::Stage;

/// One entry of the table and its requests.
struct Row {
    name: String,
    expectation: Expectation,
    /// At least one; all must get the same answer.
    requests: Vec<Vec<u8>>,
}

#[test]
fn every_bad_input_gets_its_answer_and_costs_nobody_else_anything() {
    let rows = rows();
    let (mut open, mut guarded) = (Stage::open(), Stage::guarded(&folder()));
    let mut failures = Vec::new();
    for row in &rows {
        let stage = match row.expectation.guarded {
            true => &mut guarded,
            false => &mut open,
        };
        if let Err(problem) = stage.check(row) {
            failures.push(format!("{}: {problem}", row.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Every row; files without an expectation and expectations without requests are faults.
fn rows() -> Vec<Row> {
    let table = fs::read_to_string(folder().join("expectations.toml")).unwrap();
    let table: BTreeMap<String, Expectation> = toml::from_str(&table).unwrap();
    for entry in fs::read_dir(folder().join("http")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(table.contains_key(name), "nobody expects {name}");
    }
    let mut rows = Vec::new();
    for (name, expectation) in table {
        let requests = match fs::read(folder().join("http").join(format!("{name}.req"))) {
            Ok(request) => vec![request],
            Err(_) => generated::requests(&name),
        };
        assert!(!requests.is_empty(), "{name} has no requests");
        rows.push(Row {
            name,
            expectation,
            requests,
        });
    }
    rows
}
