//! Commands about files say what is wrong with a file before they ask anybody.

use std::fs;

use tempfile::TempDir;

use crate::program::run;

/// No broker listens there; whoever asks for one waits ten seconds.
const NOBODY: [&str; 2] = ["--brokers", "127.0.0.1:1"];

fn refused(arguments: &[&str], part: &str) {
    let (output, text) = run(&[arguments, &NOBODY].concat());
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(part), "{arguments:?}: {text}");
    assert!(!text.contains("no Kafka broker"), "{arguments:?}: {text}");
}

#[test]
fn a_file_that_is_not_there_or_not_known_is_named() {
    let folder = TempDir::new().unwrap();
    let unknown = folder.path().join("rows.xlsx");
    fs::write(&unknown, "rows").unwrap();
    let unknown = unknown.to_str().unwrap();
    refused(
        &["predict", "digits", "no_such.csv"],
        "cannot read no_such.csv",
    );
    refused(&["predict", "digits", unknown], "--input-format");
    refused(
        &["produce", "digits", "no_such.csv"],
        "cannot read no_such.csv",
    );
    let score = ["score", "no_such.csv", "--model", "digits", "--out"];
    refused(
        &[&score[..], &["out.csv"]].concat(),
        "cannot read no_such.csv",
    );
    refused(
        &[&score[..], &["out.txt"]].concat(),
        ".parquet, .csv or .jsonl",
    );
}

#[test]
fn an_output_that_is_there_is_not_replaced_unasked() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, out) = (path("in.csv"), path("out.csv"));
    fs::write(&input, "x\n1\n").unwrap();
    fs::write(&out, "precious").unwrap();
    refused(
        &["score", &input, "--model", "m", "--out", &out],
        "--overwrite",
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
    let nowhere = path("no/such/out.csv");
    refused(
        &["score", &input, "--model", "m", "--out", &nowhere],
        "there is no folder",
    );
}

#[test]
fn models_versions_and_times_that_are_none_are_wrong_usage() {
    for arguments in [
        &["predict", "digits@new"][..],
        &["predict", "digits:"],
        &["predict", "digits", "--timeout", "soon"],
        &["predict", "digits", "--timeout", "0"],
        &["produce", "digits"],
        &["score", "in.csv", "--out", "out.csv"],
        &[
            "score", "in.csv", "--model", "m", "--out", "o.csv", "--map", "x",
        ],
    ] {
        let (output, text) = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    }
}
