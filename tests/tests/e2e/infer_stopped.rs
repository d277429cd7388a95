//! Infer may end at any moment: nothing is lost, and after a clean stop nothing is done twice.

use std::collections::HashMap;
use std::thread;

use e2e::{Feed, Infer, Line, PATIENCE, Process, Tap, digits, header, wait_for};
use millrace_kafka::Record;
use millrace_wire::{Limits, Record as Tensors};

use crate::digit_records::{image_record, send_images};

const RECORDS: usize = 10_000;
/// Single rows, so that the run is long enough to be interrupted.
const SINGLE_ROWS: Infer<'_> = Infer {
    models: "models",
    names: &["digits"],
    max_rows: 1,
    engines: 1,
    brokers: None,
    settings: "",
};

#[test]
fn killing_infer_in_the_middle_of_ten_thousand_records_loses_none() {
    let answered = interrupt(Process::kill_9);
    let twice = answered.values().filter(|&&count| count > 1).count();
    println!("{RECORDS} records answered, {twice} of them more than once");
}

#[test]
fn stopping_infer_cleanly_answers_every_record_exactly_once() {
    let answered = interrupt(|infer| assert!(infer.terminate().success(), "a clean stop"));
    assert!(
        answered.values().all(|&count| count == 1),
        "nothing is done twice"
    );
}

/// Ends infer while records flow in and results flow out; how often each record was answered after all.
fn interrupt(end: impl FnOnce(Process)) -> HashMap<String, usize> {
    let line = Line::new(&["digits"], 4);
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer(SINGLE_ROWS);
    infer.wait_ready();
    thread::scope(|scope| {
        scope.spawn(|| send_images(&line, 0..RECORDS / 2));
        let answered = results.wait_for(RECORDS / 20).len();
        assert!(
            answered < RECORDS / 2,
            "it is in the middle, after {answered} results"
        );
        end(infer);
    });
    send_images(&line, RECORDS / 2..RECORDS);
    let mut successor = line.infer(Infer::default());
    successor.wait_ready();
    wait_for_all(&results)
}

#[test]
fn two_infer_processes_share_four_partitions_and_both_work() {
    let line = Line::new(&["digits"], 4);
    let results = Tap::open(&line, "results.digits");
    let mut first = line.infer(Infer::default());
    let mut second = line.infer(Infer::default());
    first.wait_ready();
    second.wait_ready();
    let feed = Feed::new(&line, "requests.digits");
    let mut sent = 0;
    // The group needs a moment to share its partitions out: records flow until both have worked.
    wait_for(PATIENCE, "both to work", || {
        for partition in 0..4 {
            feed.send(Some(partition), Some(image_record(sent)), &[]);
            sent += 1;
        }
        let worked = |process: &Process| process.metric("millrace_infer_records_total") > 0.0;
        (worked(&first) && worked(&second)).then_some(())
    });
    for record in results.wait_for(sent) {
        assert_eq!(header(&record, "mr-status"), Some("OK"));
    }
}

/// Waits until every record of the run has a right answer; how often each was answered, by its source.
fn wait_for_all(results: &Tap) -> HashMap<String, usize> {
    let records = wait_for(PATIENCE, "an answer to every record", || {
        let records = results.records();
        let sources: std::collections::HashSet<_> = records
            .iter()
            .filter_map(|record| header(record, "mr-source"))
            .collect();
        (sources.len() >= RECORDS)
            .then_some(())
            .map(|()| records.clone())
    });
    let labels = digits().reference_labels();
    let mut answered = HashMap::new();
    for record in &records {
        check_label(record, &labels);
        *answered
            .entry(header(record, "mr-source").expect("a source").to_owned())
            .or_default() += 1;
    }
    assert_eq!(answered.len(), RECORDS);
    answered
}

/// The id says which image was asked about, so a result of another row of the batch would show.
pub(crate) fn check_label(record: &Record, labels: &[i64]) {
    let index: usize = header(record, "mr-id")
        .expect("an id")
        .parse()
        .expect("our id");
    let value = record.value.clone().expect("a result");
    let result = Tensors::decode(value, &Limits::default()).expect("results decode");
    let label = result
        .tensor(result.column_index("label").expect("a label"))
        .expect("a tensor");
    assert_eq!(
        label.typed::<i64>().expect("INT64")[0],
        labels[index % labels.len()],
        "image {index}"
    );
}
