//! A new version takes over between two records: none is lost, none is answered by the old one afterwards, and a version
//! that cannot be loaded changes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use e2e::{Feed, Line, ModelFolder, PATIENCE, Tap, header, wait_for};
use millrace_kafka::Record;
use millrace_wire::avro::{ModelDescriptor, ModelState};

use crate::digit_records::image_record;

const PARTITIONS: i32 = 3;

/// The newest descriptor of each version of a model.
pub(crate) fn descriptors(tap: &Tap, model: &str) -> HashMap<i64, ModelDescriptor> {
    let read = |record: &Record| ModelDescriptor::decode(record.value.as_deref()?).ok();
    let records = tap.records();
    let of_model = records
        .iter()
        .filter_map(read)
        .filter(|it| it.model == model);
    of_model
        .map(|descriptor| (descriptor.version, descriptor))
        .collect()
}

/// Waits until a version is in a state; its descriptor.
pub(crate) fn wait_state(
    tap: &Tap,
    (model, version): (&str, i64),
    state: ModelState,
) -> ModelDescriptor {
    wait_for(
        PATIENCE,
        &format!("{model}/{version} to be {state:?}"),
        || {
            let found = descriptors(tap, model).remove(&version)?;
            (found.state == state).then_some(found)
        },
    )
}

/// The version that answered, and with which weights.
fn answered_by(record: &Record) -> (i64, String) {
    assert_eq!(
        header(record, "mr-status"),
        Some("OK"),
        "{:?}",
        header(record, "mr-error")
    );
    let version = header(record, "mr-version").expect("a version");
    let weights = header(record, "mr-weights-sha256").expect("a hash");
    (version.parse().expect("a number"), weights.to_owned())
}

#[test]
fn a_new_version_takes_over_under_load_and_no_record_is_lost() {
    let line = Line::new(&["digits"], 3);
    let models = ModelFolder::new();
    let first = models.put("digits", 1);
    let (results, told) = (
        Tap::open(&line, "results.digits"),
        Tap::open(&line, "models"),
    );
    let mut infer = line.infer_over(models.path(), "");
    infer.wait_ready();

    let feed = Feed::new(&line, "requests.digits");
    let enough = AtomicBool::new(false);
    let mut second = String::new();
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&feed, &enough));
        results.wait_for(300);
        second = models.put("digits", 2);
        wait_for(PATIENCE, "version 2 to answer", || {
            let records = results.records();
            records
                .last()
                .filter(|record| answered_by(record).0 == 2)
                .map(drop)
        });
        enough.store(true, Ordering::Relaxed);
        sender.join().expect("records can be sent")
    });

    let records = results.wait_for(sent);
    assert_eq!(records.len(), sent, "every record is answered once");
    for partition in 0..PARTITIONS {
        let of_partition = records
            .iter()
            .filter(|record| record.partition == partition);
        let (mut versions, mut numbers) = (Vec::new(), Vec::new());
        for record in of_partition {
            let (version, weights) = answered_by(record);
            assert_eq!(weights, if version == 1 { &*first } else { &*second });
            versions.push(version);
            numbers.push(header(record, "mr-id").and_then(|id| id.parse::<usize>().ok()));
        }
        assert!(numbers.is_sorted(), "partition {partition} is in order");
        assert!(
            versions.is_sorted(),
            "after the switch none is answered by version 1"
        );
        assert!(versions.first() == Some(&1) && versions.last() == Some(&2));
    }
    wait_state(&told, ("digits", 1), ModelState::End);
    let serving = wait_state(&told, ("digits", 2), ModelState::Available);
    assert_eq!(serving.weights_sha256, second);
}

/// Sends single images to all partitions by turns; how many.
fn send_until(feed: &Feed, enough: &AtomicBool) -> usize {
    let mut sent: usize = 0;
    while !enough.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            let id = sent.to_string();
            feed.send(Some(partition), Some(image_record(sent)), &[("mr-id", &id)]);
            sent += 1;
        }
        // A load, not a flood: the queue is short, so that the switch is seen soon.
        thread::sleep(Duration::from_millis(1));
    }
    feed.flush();
    sent
}

#[test]
fn a_version_that_cannot_be_loaded_leaves_the_old_one_serving_and_is_tried_again_when_it_changes() {
    let line = Line::new(&["digits"], 1);
    let models = ModelFolder::new();
    models.put("digits", 1);
    let (results, told) = (
        Tap::open(&line, "results.digits"),
        Tap::open(&line, "models"),
    );
    let letters = Tap::open(&line, "dead-letters");
    let mut infer = line.infer_over(models.path(), "");
    infer.wait_ready();
    let feed = Feed::new(&line, "requests.digits");

    models.put_bytes("digits", 2, b"this is no model");
    let failed = wait_state(&told, ("digits", 2), ModelState::Failed);
    assert!(failed.reason.contains("model.onnx"), "{}", failed.reason);
    feed.send(None, Some(image_record(0)), &[]);
    assert_eq!(answered_by(&results.wait_for(1)[0]).0, 1);
    assert_eq!(
        descriptors(&told, "digits")[&1].state,
        ModelState::Available
    );

    // Who asks for it by number hears why, and the record can be written back later.
    feed.send(None, Some(image_record(1)), &[("mr-version", "2")]);
    let refused = &results.wait_for(2)[1];
    assert_eq!(header(refused, "mr-status"), Some("UNAVAILABLE"));
    assert!(header(refused, "mr-error").is_some_and(|error| error.contains("version 2")));
    letters.wait_for(1);

    let good = models.put("digits", 2);
    wait_state(&told, ("digits", 2), ModelState::Available);
    feed.send(None, Some(image_record(2)), &[]);
    assert_eq!(answered_by(&results.wait_for(3)[2]), (2, good));
}

#[test]
fn after_a_restart_the_version_before_a_bad_one_is_served_as_it_was() {
    let line = Line::new(&["digits"], 1);
    let models = ModelFolder::new();
    models.put("digits", 1);
    models.put_bytes("digits", 2, b"this is no model");
    let results = Tap::open(&line, "results.digits");
    let mut infer = line.infer_over(models.path(), "");
    infer.wait_ready();
    let feed = Feed::new(&line, "requests.digits");
    feed.send(None, Some(image_record(0)), &[]);
    assert_eq!(answered_by(&results.wait_for(1)[0]).0, 1);
}
