//! A full budget stops reading, and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{
    Collector, PATIENCE, Tickets, cluster_with, eventually, fill, group_settings, new_topic,
    random_name,
};

#[test]
fn a_full_budget_pauses_reading_while_polling_goes_on() {
    let topic = new_topic(2);
    fill(&topic, 2, 1000);
    let mut settings = group_settings(&random_name("group"), &topic);
    settings.max_in_flight_records = 50;
    // Not polling for this long would cost us the partitions.
    settings.cluster = cluster_with(&[
        ("session.timeout.ms", "1500"),
        ("heartbeat.interval.ms", "300"),
        ("max.poll.interval.ms", "1500"),
    ]);
    let (consumer, seen) = Collector::start(settings, Tickets::Hold);
    eventually("the budget is spent", || seen.count() >= 50);
    // More than two of the intervals above.
    let ticks = seen.ticks.load(Ordering::SeqCst);
    eventually("time passes in ticks", || {
        seen.ticks.load(Ordering::SeqCst) > ticks + 70
    });
    assert_eq!(seen.count(), 50);
    assert_eq!(seen.revoking.lock().unwrap().len(), 0);
    assert_eq!(seen.assigned.lock().unwrap().len(), 2);
    assert!(*seen.longest_silence.lock().unwrap() < Duration::from_secs(1));

    eventually("everything read", || {
        seen.finish(|_| true);
        seen.count() >= 2000
    });
    for partition in 0..2 {
        assert_eq!(seen.offsets(partition), (0..1000).collect::<Vec<i64>>());
    }
    assert!(seen.held() <= 50);
    seen.finish(|_| true);
    consumer.stop(PATIENCE).unwrap();
}

#[test]
fn a_full_budget_of_bytes_pauses_reading_too() {
    let topic = new_topic(1);
    fill(&topic, 1, 1000);
    let mut settings = group_settings(&random_name("group"), &topic);
    settings.max_in_flight_bytes = 10_000;
    let (consumer, seen) = Collector::start(settings, Tickets::Hold);
    eventually("reading begins", || seen.count() > 0);
    let ticks = seen.ticks.load(Ordering::SeqCst);
    eventually("time passes in ticks", || {
        seen.ticks.load(Ordering::SeqCst) > ticks + 10
    });
    let bytes: usize = seen
        .records
        .lock()
        .unwrap()
        .iter()
        .map(millrace_kafka::Record::size_bytes)
        .sum();
    assert!((10_000..11_000).contains(&bytes), "{bytes}");
    eventually("everything read", || {
        seen.finish(|_| true);
        seen.count() == 1000
    });
    seen.finish(|_| true);
    consumer.stop(PATIENCE).unwrap();
}

#[test]
fn a_paused_member_stays_paused_when_another_joins() {
    let topic = new_topic(2);
    fill(&topic, 2, 1000);
    let mut settings = group_settings(&random_name("group"), &topic);
    settings.max_in_flight_records = 50;
    settings.drain_deadline = Duration::from_millis(200);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    eventually("the budget is spent", || seen.count() >= 50);
    let (second, also_seen) = Collector::start(settings, Tickets::Finish);
    eventually("one partition each", || {
        seen.owned() == 1 && also_seen.owned() == 1
    });
    eventually("the other reads", || also_seen.count() == 1000);
    // What was not finished in time still counts against the budget.
    assert_eq!(seen.count(), 50);

    let kept = 1 - seen.revoked.lock().unwrap()[0].partition;
    second.stop(PATIENCE).unwrap();
    eventually("both partitions are back", || seen.owned() == 2);
    assert_eq!(seen.count(), 50);
    eventually("the kept partition is read on", || {
        seen.finish(|_| true);
        seen.offsets(kept).len() == 1000
    });
    assert_eq!(seen.offsets(kept), (0..1000).collect::<Vec<i64>>());
    fill(&topic, 2, 10);
    eventually("the one that came back is read on", || {
        seen.finish(|_| true);
        seen.offsets(1 - kept).ends_with(&[1009])
    });
    first.stop(PATIENCE).unwrap();
}
