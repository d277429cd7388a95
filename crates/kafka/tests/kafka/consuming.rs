//! What a group member reads, and what it commits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_kafka::metrics::{CONSUMED_RECORDS, ENDED_RECORDS, IN_FLIGHT_BYTES, REBALANCES};
use millrace_kafka::{Error, GroupConsumer, Metrics, StartAt, State};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::support::{
    Collector, PATIENCE, Tickets, admin, cluster, eventually, fill, group_settings, new_topic,
    producer, random_name, record,
};

#[test]
fn records_not_finished_by_a_dropped_consumer_are_read_again() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 100);

    let mut settings = group_settings(&group, &topic);
    settings.drain_deadline = Duration::from_millis(200);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    eventually("100 records read", || seen.count() == 100);
    seen.finish(|offset| offset < 40 || offset % 2 == 0);
    drop(first);
    eventually("the partition given up", || seen.owned() == 0);

    let (second, again) = Collector::start(settings, Tickets::Finish);
    // 40 is even and finished, so the prefix ends after it.
    eventually("the rest read again", || again.count() >= 59);
    assert_eq!(again.offsets(0), (41..100).collect::<Vec<i64>>());
    second.stop(PATIENCE).unwrap();
}

#[test]
fn a_stop_with_open_records_says_how_many() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 10);
    let (consumer, seen) = Collector::start(group_settings(&group, &topic), Tickets::Hold);
    eventually("10 records read", || seen.count() == 10);
    seen.finish(|offset| offset < 7);
    let error = consumer.stop(Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error, Error::Unfinished { count: 3 }), "{error}");
    assert_eq!(admin().committed(&group, &topic).unwrap()[&0], 7);
}

#[test]
fn a_partition_is_handed_over_in_order_without_gaps() {
    let topic = new_topic(2);
    fill(&topic, 2, 5000);
    let group = random_name("group");
    let (consumer, seen) = Collector::start(group_settings(&group, &topic), Tickets::Finish);
    eventually("10000 records read", || seen.count() == 10_000);
    for partition in 0..2 {
        assert_eq!(seen.offsets(partition), (0..5000).collect::<Vec<i64>>());
    }
    for record in &*seen.records.lock().unwrap() {
        assert_eq!(record.value, Some(record.offset.to_string().into_bytes()));
        assert_eq!(&*record.topic, topic);
        assert!(record.timestamp_unix_ms.is_some());
    }
    let mut sequences = seen.sequences.lock().unwrap().clone();
    sequences.sort_unstable();
    let expected: Vec<u64> = (0..5000)
        .flat_map(|sequence| [sequence, sequence])
        .collect();
    assert_eq!(sequences, expected);
    consumer.stop(PATIENCE).unwrap();
    let lag = admin().lag(&group, &topic).unwrap();
    assert!(lag.iter().all(|partition| partition.lag == 0), "{lag:?}");
}

#[test]
fn only_the_contiguous_finished_prefix_is_committed() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 20);
    let (consumer, seen) = Collector::start(group_settings(&group, &topic), Tickets::Hold);
    eventually("20 records read", || seen.count() == 20);
    let committed = || {
        let committed = admin().committed(&group, &topic).unwrap();
        committed.get(&0).copied()
    };
    seen.finish(|offset| offset == 3 || offset == 9);
    let ticks = seen.ticks.load(Ordering::SeqCst);
    eventually("several commit intervals", || {
        seen.ticks.load(Ordering::SeqCst) > ticks + 6
    });
    assert_eq!(committed(), None);
    seen.finish(|offset| offset < 3);
    eventually("a commit of 0 to 3", || committed() == Some(4));
    seen.finish(|offset| offset < 9);
    eventually("a commit of 0 to 9", || committed() == Some(10));
    seen.finish(|_| true);
    consumer.stop(PATIENCE).unwrap();
    assert_eq!(committed(), Some(20));
}

#[test]
fn reading_starts_at_the_offset_that_the_intake_names() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 100);
    // A commit elsewhere must not matter.
    let (first, seen) = Collector::start(group_settings(&group, &topic), Tickets::Finish);
    eventually("100 records read", || seen.count() == 100);
    first.stop(PATIENCE).unwrap();

    let (mut collector, seen) = Collector::new(Tickets::Finish);
    collector.start = StartAt::At(37);
    let settings = group_settings(&group, &topic);
    let consumer = GroupConsumer::start(settings, collector, &Metrics::default()).unwrap();
    eventually("63 records read", || seen.count() == 63);
    assert_eq!(seen.offsets(0), (37..100).collect::<Vec<i64>>());
    consumer.stop(PATIENCE).unwrap();
}

#[test]
fn a_ticket_dropped_without_an_outcome_stops_the_consumer_before_the_pile_grows() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 500);
    let mut settings = group_settings(&group, &topic);
    settings.max_waiting_records = 100;
    settings.max_in_flight_records = 50;
    let (consumer, seen) = Collector::start(settings, Tickets::Hold);
    eventually("some records read", || seen.count() > 10);
    seen.finish(|offset| offset < 5);
    drop(seen.tickets.lock().unwrap().remove(0));
    let states = consumer.state();
    eventually("the consumer fails", || {
        seen.finish(|_| true);
        matches!(&*states.borrow(), State::Failed(_) | State::Stopped)
    });
    let error = consumer.stop(PATIENCE).unwrap_err();
    assert!(
        matches!(error, Error::Abandoned { offset: 5, .. }),
        "{error}"
    );
    assert_eq!(admin().committed(&group, &topic).unwrap()[&0], 5);
    assert!(seen.count() < 300, "{}", seen.count());
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_fatal_and_the_sentence_says_what_to_do() {
    let topic = random_name("missing");
    let settings = group_settings(&random_name("group"), &topic);
    let (consumer, _) = Collector::start(settings, Tickets::Finish);
    let error = tokio::time::timeout(PATIENCE, consumer.failed())
        .await
        .unwrap();
    let sentence = error.to_string();
    assert!(sentence.contains(&topic), "{sentence}");
    assert!(sentence.contains("create it"), "{sentence}");
}

#[test]
fn a_topic_deleted_under_a_consumer_is_fatal() {
    let topic = new_topic(1);
    fill(&topic, 1, 1);
    let mut settings = group_settings(&random_name("group"), &topic);
    let refresh = ("topic.metadata.refresh.interval.ms", "200");
    settings
        .cluster
        .options
        .insert(refresh.0.to_owned(), refresh.1.to_owned());
    let (consumer, seen) = Collector::start(settings, Tickets::Finish);
    eventually("the record read", || seen.count() == 1);
    admin().delete_topics(&[&topic]).unwrap();
    let states = consumer.state();
    eventually("the consumer fails", || {
        matches!(&*states.borrow(), State::Failed(_) | State::Stopped)
    });
    assert!(consumer.stop(PATIENCE).is_err());
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let mut settings = group_settings("group", "topic");
    settings.max_in_flight_bytes = 0;
    let (collector, _) = Collector::new(Tickets::Finish);
    let error = GroupConsumer::start(settings, collector, &Metrics::default()).unwrap_err();
    assert!(error.to_string().contains("max_in_flight_bytes"), "{error}");

    let mut settings = group_settings("group", "topic");
    settings.cluster = cluster();
    let option = ("enable.auto.commit".to_owned(), "true".to_owned());
    settings.cluster.options.extend([option]);
    let (collector, _) = Collector::new(Tickets::Finish);
    let error = GroupConsumer::start(settings, collector, &Metrics::default()).unwrap_err();
    assert!(matches!(error, Error::OptionRefused { .. }), "{error}");
}

#[test]
fn what_was_read_and_finished_is_counted() {
    let topic = new_topic(1);
    let group = random_name("group");
    fill(&topic, 1, 10);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let (collector, seen) = Collector::new(Tickets::Finish);
    let settings = group_settings(&group, &topic);
    let consumer = GroupConsumer::start(settings, collector, &metrics).unwrap();
    eventually("10 records read", || seen.count() == 10);
    consumer.stop(PATIENCE).unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        format!("{CONSUMED_RECORDS}_total{{group=\"{group}\",topic=\"{topic}\"}} 10"),
        format!("{ENDED_RECORDS}_total{{group=\"{group}\",end=\"done\"}} 10"),
        format!("{IN_FLIGHT_BYTES}{{group=\"{group}\"}} 0"),
        format!("{REBALANCES}_total{{group=\"{group}\",kind=\"revoked\"}} 1"),
    ] {
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_record_far_above_the_usual_fetch_size_is_read() {
    let topic = new_topic(1);
    let producer = producer();
    let mut random = 1_u32;
    // Bytes that do not compress.
    let value: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0]
    })
    .take(12 << 20)
    .collect();
    for value in [value.as_slice(), b"small", value.as_slice()] {
        producer.send(record(&topic, 0, value), |_| {}).unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    let settings = group_settings(&random_name("group"), &topic);
    let (consumer, seen) = Collector::start(settings, Tickets::Finish);
    eventually("three records read", || seen.count() == 3);
    let records = seen.records.lock().unwrap();
    assert_eq!(records[1].value.as_deref(), Some(b"small".as_slice()));
    assert!(
        records[2].value.as_ref() == Some(&value),
        "the bytes differ"
    );
    drop(records);
    consumer.stop(PATIENCE).unwrap();
}
