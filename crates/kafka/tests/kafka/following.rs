//! Reading without a group.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use millrace_kafka::{
    Error, FollowFrom, FollowPartitions, Follower, FollowerSettings, Metrics, ProducerSettings,
    Record,
};

use crate::support::{PATIENCE, cluster, fill, new_topic, producer, random_name, record};

type Records = Arc<Mutex<Vec<Record>>>;

fn follow(settings: FollowerSettings) -> (Follower, Records) {
    let records = Records::default();
    let keep = Arc::clone(&records);
    let on_record = move |record| keep.lock().unwrap().push(record);
    let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    (follower, records)
}

#[test]
fn a_whole_topic_has_been_read_once_the_follower_is_caught_up() {
    let topic = new_topic(3);
    fill(&topic, 3, 200);
    let (follower, records) = follow(FollowerSettings::whole_topic(cluster(), &topic));
    follower.wait_caught_up(PATIENCE).unwrap();
    assert_eq!(records.lock().unwrap().len(), 600);
    follower.stop(PATIENCE).unwrap();
}

#[test]
fn an_empty_topic_is_caught_up_at_once() {
    let topic = new_topic(3);
    let (follower, records) = follow(FollowerSettings::whole_topic(cluster(), &topic));
    follower.wait_caught_up(PATIENCE).unwrap();
    assert_eq!(records.lock().unwrap().len(), 0);
    assert!(follower.state().borrow().is_running());
}

#[test]
fn one_partition_from_its_end_sees_only_what_comes_after() {
    let topic = new_topic(2);
    fill(&topic, 2, 50);
    let (sender, records) = mpsc::channel();
    let settings = FollowerSettings::tail_of(cluster(), &topic, 1);
    let on_record = move |record: Record| drop(sender.send(record));
    let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    fill(&topic, 2, 3);
    for offset in 50..53 {
        let record = records.recv_timeout(PATIENCE).unwrap();
        assert_eq!((record.partition, record.offset), (1, offset));
    }
    follower.stop(PATIENCE).unwrap();
    assert_eq!(records.iter().count(), 0, "partition 0 is not ours");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_reported_by_name() {
    let topic = random_name("missing");
    let (follower, _) = follow(FollowerSettings::whole_topic(cluster(), &topic));
    let error = tokio::time::timeout(PATIENCE, follower.failed())
        .await
        .unwrap();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
    assert!(error.to_string().contains(&topic), "{error}");
}

#[tokio::test]
async fn a_partition_that_does_not_exist_is_reported() {
    let topic = new_topic(1);
    let settings = FollowerSettings {
        partitions: FollowPartitions::One(5),
        from: FollowFrom::End,
        ..FollowerSettings::whole_topic(cluster(), &topic)
    };
    let (follower, _) = follow(settings);
    let error = tokio::time::timeout(PATIENCE, follower.failed())
        .await
        .unwrap();
    assert!(error.to_string().contains("no such partition"), "{error}");
}

#[test]
fn a_reply_arrives_soon_after_it_was_sent() {
    let topic = new_topic(1);
    let (sender, records) = mpsc::channel();
    let settings = FollowerSettings::tail_of(cluster(), &topic, 0);
    let on_record = move |_| sender.send(Instant::now()).unwrap();
    let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    let producer = producer();
    let mut latencies = Vec::new();
    for index in 0..200 {
        let sent = Instant::now();
        producer
            .send(record(&topic, 0, index.to_string()), |_| {})
            .unwrap();
        latencies.push(records.recv_timeout(PATIENCE).unwrap() - sent);
    }
    latencies.sort_unstable();
    let (median, p99) = (latencies[100], latencies[197]);
    println!(
        "send to follow, one record at a time, linger {:?}: median {median:?}, p99 {p99:?}",
        ProducerSettings::default().linger
    );
    assert!(median < Duration::from_millis(50), "{median:?}");
}
