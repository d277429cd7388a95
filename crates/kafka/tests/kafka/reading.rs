//! Reading records where they lie.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

use millrace_kafka::{Error, Metrics, Reader, Span};

use crate::support::{PATIENCE, cluster, fill, new_topic, random_name};

fn reader() -> Reader {
    Reader::open(&cluster(), 1 << 20, &Metrics::default()).unwrap()
}

fn offsets_of(reader: &Reader, topic: &str, partition: i32, offsets: Range<i64>) -> Vec<i64> {
    let span = Span {
        topic: Arc::from(topic),
        partition,
        offsets,
    };
    let mut seen = Vec::new();
    let visit = |record: millrace_kafka::Record| {
        assert_eq!(record.partition, partition);
        assert_eq!(
            record.value.as_deref(),
            Some(record.offset.to_string().as_bytes())
        );
        seen.push(record.offset);
        ControlFlow::Continue(())
    };
    reader
        .read(&span, Instant::now() + PATIENCE, visit)
        .unwrap();
    seen
}

#[test]
fn any_run_of_records_is_read_again_and_again() {
    let topic = new_topic(2);
    fill(&topic, 2, 300);
    let reader = reader();
    let until = Instant::now() + PATIENCE;
    assert_eq!(reader.partition_count(&topic, until).unwrap(), 2);
    assert_eq!(reader.bounds(&topic, 1, until).unwrap(), 0..300);
    for (partition, offsets) in [(1, 100..103), (0, 0..1), (1, 299..300), (0, 7..200)] {
        let read = offsets_of(&reader, &topic, partition, offsets.clone());
        assert_eq!(read, offsets.collect::<Vec<_>>());
    }
}

#[test]
fn reading_ends_where_the_partition_ends() {
    let topic = new_topic(1);
    fill(&topic, 1, 5);
    let reader = reader();
    assert_eq!(offsets_of(&reader, &topic, 0, 3..1000), vec![3, 4]);
    let nothing: Vec<i64> = Vec::new();
    assert_eq!(offsets_of(&reader, &topic, 0, 5..6), nothing);
    assert_eq!(offsets_of(&reader, &topic, 0, 4000..4001), nothing);
    assert_eq!(offsets_of(&reader, &topic, 0, 3..3), nothing);
}

#[test]
fn reading_ends_when_the_visitor_has_seen_enough() {
    let topic = new_topic(1);
    fill(&topic, 1, 50);
    let span = Span {
        topic: Arc::from(topic.as_str()),
        partition: 0,
        offsets: 0..50,
    };
    let mut seen = 0;
    let visit = |_| {
        seen += 1;
        match seen {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let until = Instant::now() + PATIENCE;
    reader().read(&span, until, visit).unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn a_topic_or_partition_that_does_not_exist_is_named() {
    let reader = reader();
    let until = Instant::now() + PATIENCE;
    let missing = random_name("missing");
    let error = reader.partition_count(&missing, until).unwrap_err();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
    let topic = new_topic(1);
    let error = reader.bounds(&topic, 9, until).unwrap_err();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
}

#[test]
fn one_record_is_read_in_milliseconds() {
    let topic = new_topic(1);
    fill(&topic, 1, 1000);
    let reader = reader();
    offsets_of(&reader, &topic, 0, 0..1);
    let mut took: Vec<_> = (0..50)
        .map(|turn| {
            let began = Instant::now();
            assert_eq!(
                offsets_of(&reader, &topic, 0, turn * 17..turn * 17 + 1).len(),
                1
            );
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!(
        "one record at a random place: median {:?}, most {:?}",
        took[25], took[49]
    );
    assert!(took[25] < std::time::Duration::from_millis(100), "{took:?}");
}
