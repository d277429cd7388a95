//! A store of large tensors that is away costs time, and one that lacks them costs dead letters, never a record.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{Feed, Infer, Line, PATIENCE, Tap, header, tool, wait_for};
use millrace_wire::avro::DeadLetter;

use crate::large_tensors::{ARROW, Large, borrowed, check_claimed, record};

#[test]
fn a_store_that_is_away_is_waited_for_and_nothing_is_lost() {
    let large = Large::new();
    let results = Tap::open(&large.line, "results.negate");
    let letters = Tap::open(&large.line, "dead-letters");
    let infer = large.infer("at_least_once");
    let headers = large.put(&record(500_000));
    let away = large.line.dir().join("away");
    fs::rename(large.folder(), &away).expect("a folder can be moved");
    let feed = Feed::new(&large.line, "requests.negate");
    feed.send(Some(0), Some(Vec::new()), &borrowed(&headers));
    feed.send(Some(0), Some(record(3)), &[("mr-id", "small")]);
    feed.flush();
    wait_for(PATIENCE, "infer to try the store", || {
        let log = infer.log();
        log.contains("the store of large values cannot be used")
            .then_some(())
    });
    // Longer than a missing object is looked for.
    wait_for(PATIENCE, "infer to try it for a while", || {
        (infer.metric("millrace_claims_attempts_total") >= 6.0).then_some(())
    });
    assert!(
        results.records().is_empty(),
        "the order of the partition holds"
    );
    fs::rename(&away, large.folder()).expect("a folder can be moved");
    let all = results.wait_for(2);
    assert_eq!(header(&all[0], "mr-status"), Some("OK"));
    check_claimed(&all[0], 2_000_000);
    assert_eq!(header(&all[1], "mr-id"), Some("small"));
    assert!(letters.records().is_empty());
}

type Claimed = [(&'static str, String); 3];

/// Headers that name no object, or none of this store, with the code and a part of the sentence that they give.
fn faulty(good: &Claimed) -> [(Claimed, &'static str, &'static str); 5] {
    let hostile = |name: usize, value: &str| {
        let mut headers = good.clone();
        headers[name].1 = value.to_owned();
        headers
    };
    [
        (good.clone(), "DATA_LOSS", "has no object"),
        (
            hostile(0, "../../etc/hostname"),
            "INVALID_ARGUMENT",
            "a path within the store",
        ),
        (
            hostile(0, "values/%2e%2e/x"),
            "INVALID_ARGUMENT",
            "a path within the store",
        ),
        (
            hostile(1, "99999999999"),
            "OUT_OF_RANGE",
            "claims.max_bytes",
        ),
        (
            hostile(2, "abc"),
            "INVALID_ARGUMENT",
            "64 lower-case hexadecimal digits",
        ),
    ]
}

/// A dead letter holds what came, so that it can be written back.
fn check_original(letter: &DeadLetter, headers: &Claimed) {
    assert_eq!(letter.value.as_deref(), Some(&[][..]), "the original");
    for (name, value) in headers {
        let kept = letter.headers.iter().find(|it| it.name == *name);
        assert_eq!(
            kept.and_then(|it| it.value.as_deref()),
            Some(value.as_bytes())
        );
    }
}

#[test]
fn what_is_not_in_the_store_is_a_dead_letter_that_can_be_written_back() {
    let large = Large::new();
    let results = Tap::open(&large.line, "results.negate");
    let letters = Tap::open(&large.line, "dead-letters");
    let _infer = large.infer("at_least_once");
    let good = large.put(&record(300_000));
    let file = large.folder().join(&good[0].1);
    fs::remove_file(&file).expect("it is there");
    let cases = faulty(&good);
    let feed = Feed::new(&large.line, "requests.negate");
    for (headers, _, _) in &cases {
        feed.send(Some(0), Some(Vec::new()), &borrowed(headers));
    }
    feed.flush();
    let records = letters.wait_for(cases.len());
    let mut found: Vec<DeadLetter> = records
        .iter()
        .map(|it| DeadLetter::decode(it.value.as_deref().expect("a letter")).expect("it decodes"))
        .collect();
    found.sort_by_key(|letter| letter.offset);
    for (letter, (headers, code, sentence)) in found.iter().zip(&cases) {
        assert_eq!(letter.code, *code, "{}", letter.reason);
        assert!(letter.reason.contains(sentence), "{}", letter.reason);
        check_original(letter, headers);
    }
    fs::write(&file, record(300_000)).expect("a file can be written");
    let prefix = large.line.topic("x");
    let flags = [
        "--brokers",
        large.line.brokers(),
        "--prefix",
        prefix.trim_end_matches(".x"),
    ];
    tool(
        &[
            &["dead-letters", "requeue", "--code", "DATA_LOSS", "--yes"],
            &flags[..],
        ]
        .concat(),
    );
    let answered = results.wait_for(cases.len() + 1);
    let last = answered.last().expect("a result");
    assert_eq!(
        header(last, "mr-status"),
        Some("OK"),
        "{:?}",
        header(last, "mr-error")
    );
}

#[test]
fn without_a_store_the_refusal_names_the_setting() {
    let line = Line::with_small_records(&["negate"]);
    let mut infer = line.infer(Infer {
        models: "tests/models",
        names: &["negate"],
        ..Infer::default()
    });
    infer.wait_ready();
    let mut ingest = line.ingest("[limits]\nrecord_bytes = 1000000");
    ingest.wait_ready();
    let answer = reqwest::blocking::Client::new()
        .post(ingest.url("/v1/models/negate:predict"))
        .header("content-type", ARROW)
        .body(record(249_000))
        .send()
        .expect("ingest answers");
    let (status, text) = (answer.status(), answer.text().expect("a sentence"));
    assert!(
        status == 200 || text.contains("claims.url"),
        "{status} {text}"
    );
    let answer = reqwest::blocking::Client::new()
        .post(ingest.url("/v1/models/negate:predict"))
        .header("content-type", ARROW)
        .body(record(300_000))
        .send()
        .expect("ingest answers");
    assert_eq!(answer.status(), 413);
}

#[test]
fn old_values_are_deleted_and_not_while_a_record_may_name_them() {
    let large = Large::new();
    let headers = large.put(&record(3));
    let purge = |arguments: &[&str]| {
        let url = format!("claims.url={}", large.url);
        let prefix = large.line.topic("x");
        let flags = [
            "claims",
            "purge",
            "--json",
            "--yes",
            "--brokers",
            large.line.brokers(),
            "--prefix",
            prefix.trim_end_matches(".x"),
            "--set",
            &url,
        ];
        let command = std::process::Command::new(e2e::binary_path("millrace"))
            .args(flags)
            .args(arguments)
            .output();
        let output = command.expect("the tool runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (done, said) = purge(&["--older-than", "10days"]);
    assert!(
        !done && said.contains("dead letters for 30 days more"),
        "{said}"
    );
    let file = large.folder().join(&headers[0].1);
    assert!(file.exists());
    let age = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("now")
        .as_secs()
        / 86_400;
    // The day of the value is 2026-01-31; the test may run on any day after.
    let span = format!("{}days", age - 20_484 - 1);
    let (done, said) = purge(&["--older-than", &span]);
    assert!(done, "{said}");
    assert!(!file.exists(), "{said}");
}
