//! Partitions that move between members.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_kafka::State;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::{
    Collector, PATIENCE, Seen, Tickets, admin, cluster, cluster_with, eventually, fill,
    group_settings, new_topic, random_name,
};

/// How often each record of each partition was read.
fn readings(members: &[&Arc<Seen>]) -> BTreeMap<(i32, i64), usize> {
    let mut readings = BTreeMap::new();
    for seen in members {
        for record in &*seen.records.lock().unwrap() {
            *readings
                .entry((record.partition, record.offset))
                .or_default() += 1;
        }
    }
    readings
}

/// Finishes held tickets in a scrambled order until told to stop.
fn work(seen: &Arc<Seen>, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (seen, stop) = (Arc::clone(seen), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut round = 0;
        while !stop.load(Ordering::SeqCst) {
            round += 1;
            seen.finish(|offset| (offset + round) % 3 != 0);
            std::thread::yield_now();
        }
        seen.finish(|_| true);
    })
}

#[test]
fn partitions_move_between_two_members_without_loss_or_repetition() {
    move_between_two_members("cooperative-sticky");
}

#[test]
fn the_same_holds_when_all_partitions_are_given_up_at_every_change() {
    move_between_two_members("range");
}

fn move_between_two_members(strategy: &str) {
    let topic = new_topic(4);
    let group = random_name("group");
    fill(&topic, 4, 1000);
    let stop = Arc::new(AtomicBool::new(false));

    let mut settings = group_settings(&group, &topic);
    settings.cluster = cluster_with(&[("partition.assignment.strategy", strategy)]);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    let worker = work(&seen, &stop);
    eventually("the first member reads", || seen.count() > 100);
    let (second, also_seen) = Collector::start(settings, Tickets::Hold);
    let second_worker = work(&also_seen, &stop);
    eventually("two partitions each", || {
        seen.owned() == 2 && also_seen.owned() == 2
    });
    fill(&topic, 4, 1000);
    eventually("the second member reads", || also_seen.count() > 0);
    first.stop(PATIENCE).unwrap();
    eventually("the second member has all", || also_seen.owned() == 4);
    fill(&topic, 4, 500);
    let members = [&seen, &also_seen];
    eventually("everything read", || readings(&members).len() == 4 * 2500);
    second.stop(PATIENCE).unwrap();
    stop.store(true, Ordering::SeqCst);
    worker.join().unwrap();
    second_worker.join().unwrap();

    // Nothing crashed, every drain ended in time: nobody read anything twice.
    let repeated = readings(&members)
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .count();
    assert_eq!(repeated, 0);
    let lag = admin().lag(&group, &topic).unwrap();
    assert!(lag.iter().all(|partition| partition.lag == 0), "{lag:?}");
}

#[test]
fn a_revoked_partition_waits_for_its_open_records() {
    let topic = new_topic(2);
    let group = random_name("group");
    fill(&topic, 2, 50);
    let mut settings = group_settings(&group, &topic);
    settings.drain_deadline = PATIENCE;
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    eventually("100 records read", || seen.count() == 100);

    let (second, also_seen) = Collector::start(settings, Tickets::Finish);
    eventually("a partition is to be given up", || {
        seen.revoking.lock().unwrap().len() == 1
    });
    let ticks = seen.ticks.load(Ordering::SeqCst);
    eventually("the member goes on while it drains", || {
        seen.ticks.load(Ordering::SeqCst) > ticks + 20
    });
    assert_eq!(seen.revoked.lock().unwrap().len(), 0);
    assert_eq!(also_seen.count(), 0);

    seen.finish(|_| true);
    eventually("one partition each", || {
        seen.owned() == 1 && also_seen.owned() == 1
    });
    first.stop(PATIENCE).unwrap();
    eventually("the second has both", || also_seen.owned() == 2);
    fill(&topic, 2, 1);
    eventually("the new records read", || also_seen.count() == 2);
    assert_eq!(readings(&[&seen, &also_seen]).len(), 102);
    second.stop(PATIENCE).unwrap();
}

#[test]
fn an_intake_that_flushes_when_asked_gives_up_its_partitions_finished() {
    let topic = new_topic(2);
    let group = random_name("group");
    fill(&topic, 2, 50);
    let settings = group_settings(&group, &topic);
    let (first, seen) = Collector::start(settings, Tickets::HoldUntilRevoking);
    eventually("100 records read", || seen.count() == 100);
    first.stop(PATIENCE).unwrap();
    let committed = admin().committed(&group, &topic).unwrap();
    assert_eq!(committed, BTreeMap::from([(0, 50), (1, 50)]));
}

#[test]
fn past_the_drain_deadline_a_partition_goes_and_late_tickets_count_nothing() {
    let topic = new_topic(2);
    let group = random_name("group");
    fill(&topic, 2, 50);
    let mut settings = group_settings(&group, &topic);
    settings.drain_deadline = Duration::from_millis(300);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    eventually("100 records read", || seen.count() == 100);

    let (second, also_seen) = Collector::start(settings, Tickets::Hold);
    eventually("one partition each", || {
        seen.owned() == 1 && also_seen.owned() == 1
    });
    eventually("its records are read again", || also_seen.count() == 50);
    let given_up = seen.revoked.lock().unwrap()[0].partition;
    let late = |(_, ticket): &(i64, millrace_kafka::Ticket)| !ticket.is_current();
    let late_tickets = seen
        .tickets
        .lock()
        .unwrap()
        .iter()
        .filter(|t| late(t))
        .count();
    assert_eq!(late_tickets, 50);
    seen.finish(|_| true);
    eventually("the kept partition is committed", || {
        let committed = admin().committed(&group, &topic).unwrap();
        committed.get(&(1 - given_up)) == Some(&50)
    });
    let committed = admin().committed(&group, &topic).unwrap();
    assert_eq!(committed.get(&given_up), None);
    also_seen.finish(|_| true);
    first.stop(PATIENCE).unwrap();
    second.stop(PATIENCE).unwrap();
}

#[test]
fn a_partition_that_comes_back_flows_again() {
    let topic = new_topic(2);
    let group = random_name("group");
    fill(&topic, 2, 10);
    let settings = group_settings(&group, &topic);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Finish);
    eventually("20 records read", || seen.count() == 20);
    let (second, also_seen) = Collector::start(settings, Tickets::Finish);
    eventually("one partition each", || {
        seen.owned() == 1 && also_seen.owned() == 1
    });
    second.stop(PATIENCE).unwrap();
    eventually("both partitions are back", || seen.owned() == 2);
    fill(&topic, 2, 10);
    eventually("40 records read", || seen.count() == 40);
    first.stop(PATIENCE).unwrap();
}

#[test]
fn partitions_that_arrive_during_a_stop_are_not_read() {
    let topic = new_topic(4);
    let group = random_name("group");
    let settings = group_settings(&group, &topic);
    let (first, seen) = Collector::start(settings.clone(), Tickets::Hold);
    let (second, also_seen) = Collector::start(settings.clone(), Tickets::Finish);
    eventually("two partitions each", || {
        seen.owned() == 2 && also_seen.owned() == 2
    });
    let taken = seen.assigned.lock().unwrap().clone();
    let busy = seen.busy.lock().unwrap();
    second.stop(PATIENCE).unwrap();
    // The new assignment is on its way to the first member, which does not look.
    eventually("all partitions are the first member's", || {
        settled_with_one_member(&group)
    });
    fill(&topic, 4, 10);
    let state = first.state();
    drop(first); // Asks it to stop, before it looks again.
    drop(busy);
    eventually("the first member has ended", || {
        matches!(*state.borrow(), State::Stopped)
    });
    assert_eq!(*seen.assigned.lock().unwrap(), taken);
    assert_eq!(seen.revoked.lock().unwrap().len(), taken.len());
}

fn settled_with_one_member(group: &str) -> bool {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &cluster().brokers)
        .create()
        .unwrap();
    let groups = consumer.fetch_group_list(Some(group), PATIENCE).unwrap();
    let group = &groups.groups()[0];
    group.state() == "Stable" && group.members().len() == 1
}
