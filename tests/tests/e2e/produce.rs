//! `millrace produce` puts every row on the topic once, as records that infer answers.

use std::collections::HashMap;
use std::fs;

use e2e::{Infer, Line, Tap, digits, header};
use millrace_wire::{Limits, Record};

use crate::command_line::{path, run, said, succeed, write_images};

const ROWS: usize = 500;

#[test]
fn every_row_is_acknowledged_once_and_answered_under_its_id() {
    let line = Line::new(&["digits"], 2);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let results = Tap::open(&line, "results.digits");
    let input = path(&line, "images.parquet");
    write_images(&input, ROWS);
    let said = succeed(&line, &["produce", "digits", &input, "--id-column", "id"]);
    assert!(said.starts_with("500 rows in 500 records to "), "{said}");
    assert!(said.ends_with(": 500 acknowledged\n"), "{said}");

    let labels = digits().reference_labels();
    let mut seen: HashMap<usize, i64> = HashMap::new();
    for result in results.wait_for(ROWS) {
        let id = header(&result, "mr-id").and_then(|id| id.parse().ok());
        let value = result.value.clone().expect("a result");
        let record = Record::decode(value, &Limits::default()).expect("an Arrow record");
        let label = record.tensor(record.column_index("label").expect("a label"));
        let label = label.expect("a tensor").typed::<i64>().expect("INT64")[0];
        assert_eq!(seen.insert(id.expect("a number"), label), None);
    }
    for (id, label) in seen {
        assert_eq!(label, labels[id % labels.len()], "row {id}");
    }
}

#[test]
fn rows_that_do_not_fit_are_told_and_not_sent() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let requests = Tap::open(&line, "requests.digits");
    let input = path(&line, "rows.jsonl");
    let row = |index: usize| format!("{{\"image\": {}}}\n", digits().json(index));
    let bad = "{\"image\": [1, 2]}\n".to_owned();
    fs::write(&input, [row(0), row(1), bad, row(3), row(4)].concat()).expect("a folder");
    let grouped = ["--rows-per-record", "2", "--id-prefix", "run-7-"];
    let output = run(
        &line,
        &[&["produce", "digits", &input][..], &grouped].concat(),
    );
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(
        said(&output).contains("not sent: line 3: "),
        "{}",
        said(&output)
    );
    // Rows 0 and 1, row 3 without its neighbour, row 4 at the end.
    let records = requests.wait_for(3);
    let mut ids: Vec<_> = records
        .iter()
        .filter_map(|record| header(record, "mr-id"))
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["run-7-0", "run-7-3", "run-7-4"]);
}
