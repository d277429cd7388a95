//! The bulk lane of a model gets what callers who wait leave, and a share where they leave nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::{Feed, Infer, Line, PATIENCE, Process, Tap, header, wait_for};
use millrace_wire::avro::DeadLetter;
use millrace_wire::headers::Source;
use serde_json::Value;

use crate::bad_records::row_of;
use crate::command_line::{path, run, said, succeed, write_images};
use crate::digit_records::image_record;

const BULK: &str = "[bulk]\nenabled = true\nweight = 20";

/// One row at a time, each of which takes about 30 ms.
fn slow(line: &Line) -> Process {
    let mut infer = line.infer(Infer {
        models: "tests/models",
        names: &["slow"],
        max_rows: 1,
        settings: BULK,
        ..Infer::default()
    });
    infer.wait_ready();
    infer
}

fn send(line: &Line, topic: &str, records: usize) {
    let feed = Feed::new(line, topic);
    for number in 0..records {
        feed.send(
            None,
            Some(row_of(1.0)),
            &[("mr-id", &format!("{topic}-{number}"))],
        );
    }
    feed.flush();
}

/// Results of requests whose ids begin so.
fn answered(results: &Tap, of: &str) -> usize {
    let records = results.records();
    let is_of = |id: &str| id.rsplit_once('-').is_some_and(|(topic, _)| topic == of);
    let of_lane = records
        .iter()
        .filter(|it| header(it, "mr-id").is_some_and(is_of));
    of_lane.count()
}

/// How long an answer takes when one request follows the other.
fn median_latency(feed: &Feed, results: &Tap, name: &str) -> Duration {
    let mut latencies: Vec<Duration> = (0..9)
        .map(|number| {
            let id = format!("{name}-{number}");
            let begun = Instant::now();
            feed.send(None, Some(row_of(1.0)), &[("mr-id", &id)]);
            wait_for(PATIENCE, "an answer", || {
                let records = results.records();
                let mut newest = records.iter().rev();
                newest.find(|it| header(it, "mr-id") == Some(&id)).map(drop)
            });
            begun.elapsed()
        })
        .collect();
    latencies.sort();
    latencies[latencies.len() / 2]
}

#[test]
fn callers_who_wait_are_answered_while_a_long_bulk_backlog_stands() {
    let line = Line::new(&["slow"], 1);
    let results = Tap::open(&line, "results.slow");
    let _infer = slow(&line);
    let feed = Feed::new(&line, "requests.slow");
    let idle = median_latency(&feed, &results, "idle");
    const BACKLOG: usize = 1_500;
    send(&line, "requests.slow.bulk", BACKLOG);
    wait_for(PATIENCE, "bulk work", || {
        (answered(&results, "requests.slow.bulk") > 0).then_some(())
    });
    let busy = median_latency(&feed, &results, "busy");
    let done = answered(&results, "requests.slow.bulk");
    println!("idle {idle:?}, beside {BACKLOG} bulk records {busy:?}, of which {done} were done");
    assert!(done > 0 && done < BACKLOG, "{done}");
    // A run may be under way, and one more may be the share of the bulk lane.
    assert!(
        busy < 4 * idle + Duration::from_millis(300),
        "{busy:?} instead of {idle:?}"
    );
}

#[test]
fn while_callers_never_cease_the_bulk_lane_gets_its_share() {
    let line = Line::new(&["slow"], 1);
    let results = Tap::open(&line, "results.slow");
    send(&line, "requests.slow", 600);
    send(&line, "requests.slow.bulk", 600);
    let infer = slow(&line);
    let both = || ["requests.slow", "requests.slow.bulk"].map(|topic| answered(&results, topic));
    let begin = wait_for(PATIENCE, "both lanes", || {
        let both = both();
        both.iter().all(|it| *it > 0).then_some(both)
    });
    let end = wait_for(PATIENCE, "150 callers to be answered", || {
        let both = both();
        (both[0] >= begin[0] + 150).then_some(both)
    });
    let [interactive, bulk] = [end[0] - begin[0], end[1] - begin[1]];
    println!("{interactive} of callers who wait, {bulk} of the bulk lane");
    // A weight of 20 is 20 % of the time, and all runs take equally long.
    let share = 100 * bulk / (interactive + bulk);
    assert!((10..=30).contains(&share), "{share} % instead of 20 %");
    assert!(infer.metric("millrace_infer_lane_seconds_total") > 1.0);
}

#[test]
fn both_lanes_keep_what_is_promised_about_results() {
    let line = Line::new(&["digits"], 2);
    let results = Tap::open(&line, "results.digits");
    let dead = Tap::open(&line, "dead-letters");
    let settings = format!("delivery = \"exactly_once\"\n{BULK}");
    let mut infer = line.infer(Infer {
        settings: &settings,
        ..Infer::default()
    });
    infer.wait_ready();
    for topic in ["requests.digits", "requests.digits.bulk"] {
        let feed = Feed::new(&line, topic);
        for number in 0..200 {
            let value = if number == 77 {
                b"bad".to_vec()
            } else {
                image_record(number)
            };
            let partition = i32::try_from(number % 2).expect("it is 0 or 1");
            feed.send(Some(partition), Some(value), &[]);
        }
        feed.flush();
    }
    let mut letters: Vec<_> = dead.wait_for(2).iter().map(source_of_letter).collect();
    letters.sort();
    let expected = ["requests.digits", "requests.digits.bulk"];
    assert_eq!(letters, expected.map(|topic| (line.topic(topic), 1, 38)));

    let mut seen: BTreeMap<(String, i32), i64> = BTreeMap::new();
    let all = results.wait_for(400);
    for record in &all {
        let source = header(record, "mr-source")
            .and_then(Source::parse)
            .expect("a source");
        assert_eq!(record.partition, source.partition);
        let next = seen.entry((source.topic, source.partition)).or_default();
        assert_eq!(source.offset, *next, "each once, and in its order");
        *next += 1;
    }
    assert_eq!((all.len(), seen.len()), (400, 4));
    wait_for(PATIENCE, "the offsets of both lanes", || {
        let lag = succeed(&line, &["lag", "--over", "0s", "--json"]);
        let lag: Vec<Value> = serde_json::from_str(&lag).expect("the tool prints JSON");
        let lanes: Vec<_> = lag
            .iter()
            .map(|it| (&it["reader"], &it["waiting_records"]))
            .collect();
        (lanes
            == [
                (&"infer".into(), &0.into()),
                (&"infer bulk".into(), &0.into()),
            ])
        .then_some(())
    });
}

fn source_of_letter(record: &millrace_kafka::Record) -> (String, i32, i64) {
    let value = record.value.as_ref().expect("a letter has a value");
    let letter = DeadLetter::decode(value).expect("a letter can be read");
    (letter.topic, letter.partition, letter.offset)
}

#[test]
fn a_file_is_scored_in_the_bulk_lane_where_somebody_reads_it() {
    let line = Line::new(&["digits"], 1);
    let (input, out) = (path(&line, "images.parquet"), path(&line, "out.parquet"));
    write_images(&input, 300);
    let score = [
        "score", &input, "--model", "digits", "--out", &out, "--lane", "bulk",
    ];
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let refused = run(&line, &score);
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("nobody reads the bulk lane of model digits"),
        "{}",
        said(&refused)
    );
    assert!(infer.terminate().success());

    let mut infer = line.infer(Infer {
        settings: BULK,
        ..Infer::default()
    });
    infer.wait_ready();
    succeed(&line, &score);
    let of_bulk = Tap::open(&line, "requests.digits.bulk");
    assert!(!of_bulk.wait_for(1).is_empty());
    assert!(
        Tap::open(&line, "results.digits")
            .wait_for(1)
            .iter()
            .all(|it| { header(it, "mr-source").is_some_and(|source| source.contains(".bulk/")) })
    );
}
