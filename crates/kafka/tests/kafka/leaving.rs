//! A member that leaves while the group takes in somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use millrace_kafka::{GroupSettings, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{
    Collector, PATIENCE, Seen, Tickets, admin, cluster, cluster_with, eventually, fill,
    group_settings, new_topic, random_name,
};

/// Everybody hears of a rebalance within this many milliseconds.
const HEARTBEAT_MS: &str = "200";
/// A rebalance that takes longer waits for somebody.
const STUCK: Duration = Duration::from_secs(2);

/// A member that keeps the group waiting when it has to give something up,
/// because nobody polls it.
fn slow_member(settings: &GroupSettings) -> BaseConsumer {
    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &cluster().brokers)
        .set("group.id", &settings.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .create()
        .unwrap();
    member.subscribe(&[&settings.topics[0]]).unwrap();
    member
}

fn poll_until(over: &Arc<AtomicBool>, member: BaseConsumer) -> JoinHandle<()> {
    let over = Arc::clone(over);
    thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            drop(member.poll(Duration::from_millis(10)));
        }
    })
}

fn wait_until_stuck(group: &str) {
    let mut since = Instant::now();
    eventually("the group to wait for the slow member", || {
        if admin().groups(group).unwrap()[0].state != "PreparingRebalance" {
            since = Instant::now();
        }
        since.elapsed() > STUCK
    });
}

fn owned(seen: &Seen) -> Vec<TopicPartition> {
    let given_up = seen.revoked.lock().unwrap().clone();
    let mut owned = seen.assigned.lock().unwrap().clone();
    owned.retain(|partition| !given_up.contains(partition));
    owned
}

#[test]
fn what_is_finished_during_a_rebalance_is_committed_by_a_member_that_leaves() {
    let topic = new_topic(4);
    let mut settings = group_settings(&random_name("group"), &topic);
    settings.cluster = cluster_with(&[("heartbeat.interval.ms", HEARTBEAT_MS)]);
    let (leaver, seen) = Collector::start(settings.clone(), Tickets::Hold);
    let slow = slow_member(&settings);
    eventually("two partitions each", || {
        drop(slow.poll(Duration::ZERO));
        slow.assignment().unwrap().count() == 2 && seen.owned() == 2
    });
    // With one or two of these the slow one has to give a partition up, and with the next the group waits for it.
    let guests = [(); 3].map(|()| Collector::start(settings.clone(), Tickets::Finish));
    wait_until_stuck(&settings.group);
    let kept = owned(&seen);
    seen.revoking.lock().unwrap().clear();
    fill(&topic, 4, 50);
    eventually("its records to be read", || {
        kept.iter().all(|it| seen.offsets(it.partition).len() == 50)
    });

    let leaving = thread::spawn(move || leaver.stop(PATIENCE));
    eventually("the leaver to begin", || {
        kept.iter()
            .all(|it| seen.revoking.lock().unwrap().contains(it))
    });
    seen.finish(|_| true);
    let over = Arc::new(AtomicBool::new(false));
    let polling = poll_until(&over, slow);
    leaving.join().unwrap().unwrap();
    let committed = admin().committed(&settings.group, &topic).unwrap();
    for partition in &kept {
        assert_eq!(committed.get(&partition.partition), Some(&50));
    }
    over.store(true, Ordering::SeqCst);
    polling.join().unwrap();
    fill(&topic, 4, 1);
    let read = |partition: i32| -> Vec<i64> {
        let guests = guests.iter();
        guests
            .flat_map(|(_, guest)| guest.offsets(partition))
            .collect()
    };
    eventually("the next record of each partition to be read", || {
        (0..4).all(|partition| read(partition).contains(&50))
    });
    for partition in &kept {
        assert_eq!(read(partition.partition), [50], "nobody reads them again");
    }
}
