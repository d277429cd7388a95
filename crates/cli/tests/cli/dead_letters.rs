//! Dead letters on a real broker: seen, written back once, deleted.

use millrace_kafka::{OutRecord, Record};
use millrace_wire::avro::{DeadLetter, Header};

use crate::line::{Line, record};

fn header(name: &str, value: Option<&[u8]>) -> Header {
    Header {
        name: name.to_owned(),
        value: value.map(<[u8]>::to_vec),
    }
}

fn letter(line: &Line, number: i64) -> DeadLetter {
    DeadLetter {
        key: Some(format!("key {number}").into_bytes()),
        value: Some(vec![0xff, number.try_into().unwrap(), 0]),
        headers: vec![
            header("b", Some(b"1")),
            header("mr-deadline", Some(b"1")),
            header("a", None),
            header("b", Some(&[0xfe])),
        ],
        topic: line.topic("requests.digits"),
        partition: 2,
        offset: 100 + number,
        timestamp_unix_ms: 1,
        code: "INVALID_ARGUMENT".to_owned(),
        reason: format!("reason {number}"),
        stage: if number == 0 { "decode" } else { "infer" }.to_owned(),
        model: "digits".to_owned(),
        attempts: 2,
        failed_at_unix_ms: 1000 * (number + 1),
    }
}

/// A line with so many dead letters in partition 0.
fn line_with(count: i64) -> Line {
    let line = Line::new(&["digits"]);
    let letters = (0..count).map(|number| record(Some(letter(&line, number).encode().unwrap())));
    let letters: Vec<OutRecord> = letters.collect();
    line.write("dead-letters", letters);
    line
}

fn values(records: &[Record]) -> Vec<Option<Vec<u8>>> {
    records.iter().map(|record| record.value.clone()).collect()
}

#[test]
fn letters_are_listed_shown_and_filtered() {
    let line = line_with(3);
    let all = line.json(&["dead-letters", "list"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[0]["letter"], "0@0");
    let newest = line.json(&["dead-letters", "list", "--limit", "1"]);
    assert_eq!(newest[0]["reason"], "reason 2");
    let decode = line.json(&[
        "dead-letters",
        "list",
        "--stage",
        "decode",
        "--model",
        "digits",
    ]);
    assert_eq!(decode.as_array().unwrap().len(), 1);
    // They failed in 1970.
    let recent = line.run(&["dead-letters", "list", "--since", "1h"]).good();
    assert!(
        recent.text().contains("none of 3 dead letters"),
        "{}",
        recent.text()
    );
    let source = format!("{}/2@101", line.topic("requests.digits"));
    let raw = line.run(&["dead-letters", "show", "--raw", &source]).good();
    assert_eq!(raw.out, [0xff, 1, 0]);
    let shown = line.run(&["dead-letters", "show", "0@1"]).good().text();
    for part in ["reason 1", "key 1", "header        b: 1", &source] {
        assert!(shown.contains(part), "{part} is missing in: {shown}");
    }
    line.run(&["dead-letters", "show", "0@17"])
        .refused(5, "0@17");
}

#[test]
fn a_record_is_written_back_whole_and_only_once() {
    let line = line_with(2);
    // There is nobody to ask.
    line.run(&["dead-letters", "requeue", "0@1"])
        .refused(2, "--yes");
    assert!(line.read("requests.digits").is_empty());
    line.run(&["dead-letters", "requeue", "0@1", "--yes"])
        .good();
    let written = line.read("requests.digits");
    assert_eq!(written.len(), 1);
    let back = &written[0];
    assert_eq!(back.partition, 2);
    assert_eq!(back.key.as_deref(), Some(&b"key 1"[..]));
    assert_eq!(back.value.as_deref(), Some(&[0xff, 1, 0][..]));
    let headers: Vec<_> = back.headers.iter().collect();
    let expected: [(&str, Option<&[u8]>); 4] = [
        ("b", Some(b"1")),
        ("a", None),
        ("b", Some(&[0xfe])),
        ("mr-attempts", Some(b"2")),
    ];
    assert_eq!(headers, expected);
    line.run(&["dead-letters", "requeue", "0@1", "--yes"])
        .refused(1, "--again");
    // The other one is still meant by all, this one no more.
    line.run(&["dead-letters", "requeue", "--all", "--yes"])
        .good();
    line.run(&["dead-letters", "requeue", "--all", "--yes"])
        .good();
    let mut both = values(&line.read("requests.digits"));
    both.sort();
    assert_eq!(both, [Some(vec![0xff, 0, 0]), Some(vec![0xff, 1, 0])]);
    let left = line.json(&["dead-letters", "list"]);
    assert_eq!(left.as_array().unwrap().len(), 0);
    let all = line.json(&["dead-letters", "list", "--all"]);
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .all(|it| it["requeued"] == true),
        "{all}"
    );
}

#[test]
fn a_record_whose_partition_is_gone_is_not_noted_as_written_back() {
    let line = Line::new(&["digits"]);
    let mut lost = letter(&line, 0);
    lost.partition = 99;
    line.write("dead-letters", vec![record(Some(lost.encode().unwrap()))]);
    let source = format!("{}/99@100", line.topic("requests.digits"));
    line.run(&["dead-letters", "requeue", "0@0", "--yes"])
        .refused(6, &source);
    let left = line.json(&["dead-letters", "list"]);
    assert_eq!(left[0]["requeued"], false);
}

#[test]
fn letters_are_deleted_from_the_beginning() {
    let line = line_with(3);
    line.run(&["dead-letters", "purge", "--up-to", "0@1"])
        .refused(2, "2 of 3 dead letters");
    line.run(&["dead-letters", "purge", "--up-to", "0@1", "--yes"])
        .good();
    let left = line.json(&["dead-letters", "list"]);
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["letter"], "0@2");
    let purged = line.json(&["dead-letters", "purge", "--older-than", "1h", "--yes"]);
    assert_eq!(purged[0]["deleted"], 1);
    let nothing = line
        .run(&["dead-letters", "purge", "--all", "--yes"])
        .good();
    assert!(
        nothing.text().contains("nothing was deleted"),
        "{}",
        nothing.text()
    );
}
