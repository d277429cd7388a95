//! `millrace tail` prints the results of a real topic.

use millrace_kafka::{Headers, OutRecord};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Status, Tensor, encode_tensors};
use serde_json::Value;

use crate::line::{Line, record};

const BEGINNING: [&str; 5] = ["tail", "digits", "--from", "beginning", "--once"];

/// A result with a row per score, or a failure where there are none.
fn result(id: &str, scores: &[f32]) -> OutRecord {
    let failed = scores.is_empty();
    let headers = ResultHeaders {
        id: id.to_owned(),
        model: "digits".to_owned(),
        version: Some(3),
        weights_sha256: None,
        status: if failed { Status::Internal } else { Status::Ok },
        error: failed.then(|| "the model failed".to_owned()),
        source: Source {
            topic: "mill.requests.digits".to_owned(),
            partition: 0,
            offset: 0,
        },
    };
    let mut pairs = Headers::new();
    for (name, value) in headers.to_pairs() {
        pairs.push(name, Some(value));
    }
    let bytes: Vec<u8> = scores.iter().flat_map(|it| it.to_le_bytes()).collect();
    let score = Tensor::fixed("score", DType::Float32, vec![scores.len()], bytes.into());
    let value = (!failed).then(|| encode_tensors(&[score.unwrap()]).unwrap());
    OutRecord {
        headers: pairs,
        ..record(value)
    }
}

fn line_with_results() -> Line {
    let line = Line::new(&["digits"]);
    let results = vec![result("first", &[0.25, 0.5]), result("second", &[])];
    line.write("results.digits", results);
    line
}

#[test]
fn results_are_a_table_with_a_line_per_row() {
    let text = line_with_results().run(&BEGINNING).good().text();
    let lines: Vec<&str> = text.lines().collect();
    let [head, one, two, failure] = lines.as_slice() else {
        panic!("{text}");
    };
    assert!(
        head.starts_with("PLACE") && head.ends_with("OUTPUTS"),
        "{head}"
    );
    assert!(
        one.starts_with("0/0") && one.ends_with("score=0.2500"),
        "{one}"
    );
    assert!(
        two.starts_with("0/0") && two.ends_with("score=0.5000"),
        "{two}"
    );
    let says_why = failure.contains("INTERNAL") && failure.contains("the model failed");
    assert!(failure.starts_with("0/1") && says_why, "{failure}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn results_as_json_are_an_object_per_line_from_the_offset_that_is_named() {
    let line = line_with_results();
    let command = ["tail", "digits", "--from", "1", "--once", "--json"];
    let text = line.run(&command).good().text();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 1, "{text}");
    assert_eq!(
        (&rows[0]["offset"], &rows[0]["id"]),
        (&1.into(), &"second".into())
    );
    assert_eq!(rows[0]["error"], "the model failed");
}

#[test]
fn topic_that_is_not_there_is_named_with_what_makes_it() {
    let line = Line::new(&[]);
    let answer = line.run(&["tail", "letters", "--once"]);
    answer.refused(5, "millrace topics apply --model letters");
}
