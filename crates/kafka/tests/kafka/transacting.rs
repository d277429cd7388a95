//! Records and progress, committed together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_kafka::{
    Committing, FollowFrom, FollowPartitions, Follower, FollowerSettings, GroupConsumer,
    GroupSettings, Metrics, OutRecord, Ticket, TopicPartition, Transaction, TransactionError,
    TransactionSettings, Transactions,
};

use crate::support::{
    Collector, PATIENCE, Seen, Tickets, admin, cluster, eventually, fill, group_settings,
    new_topic, new_topic_with, random_name, record,
};

fn transactions() -> Transactions {
    let mut settings = TransactionSettings {
        transactional_id: random_name("transactions"),
        ..TransactionSettings::default()
    };
    settings.producer.cluster = cluster();
    Transactions::open(&settings, &Metrics::default()).unwrap()
}

/// A member that leaves commits to transactions.
fn member(group: &str, topic: &str) -> (GroupConsumer, Arc<Seen>) {
    let settings = GroupSettings {
        committing: Committing::Transactions,
        drain_deadline: Duration::from_millis(200),
        ..group_settings(group, topic)
    };
    Collector::start(settings, Tickets::Hold)
}

/// What a reader of committed records sees in partition 0, in order.
fn committed_values(topic: &str) -> Vec<String> {
    let settings = FollowerSettings {
        cluster: cluster(),
        topic: topic.to_owned(),
        partitions: FollowPartitions::One(0),
        from: FollowFrom::Beginning,
        max_record_bytes: 1 << 20,
    };
    let (sender, values) = std::sync::mpsc::channel();
    let on_record = move |record: millrace_kafka::Record| {
        let value = String::from_utf8(record.value.unwrap()).unwrap();
        sender.send(value).unwrap();
    };
    let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    follower.stop(PATIENCE).unwrap();
    values.into_iter().collect()
}

struct Rig {
    source: String,
    target: String,
    group: String,
}

impl Rig {
    fn new(records: usize) -> Self {
        let rig = Self {
            source: new_topic(1),
            target: new_topic_with(1, &[("max.message.bytes", "2000")]),
            group: random_name("group"),
        };
        fill(&rig.source, 1, records);
        rig
    }

    fn outputs(&self, values: std::ops::Range<usize>) -> Vec<OutRecord> {
        values
            .map(|value| record(&self.target, 0, value.to_string()))
            .collect()
    }

    fn progress(&self, next: i64) -> [(TopicPartition, i64); 1] {
        let partition = TopicPartition {
            topic: Arc::from(self.source.as_str()),
            partition: 0,
        };
        [(partition, next)]
    }

    fn committed(&self) -> Option<i64> {
        admin()
            .committed(&self.group, &self.source)
            .unwrap()
            .get(&0)
            .copied()
    }
}

/// One of the tickets that a member holds, which goes on holding the rest.
fn any_ticket(seen: &Seen) -> Ticket {
    seen.tickets.lock().unwrap().pop().unwrap().1
}

#[test]
fn records_and_progress_become_visible_together() {
    let rig = Rig::new(10);
    let (member, seen) = member(&rig.group, &rig.source);
    eventually("ten records read", || seen.count() == 10);
    let ticket = any_ticket(&seen);
    let tenure = ticket.tenure();
    let mut transactions = transactions();
    for (values, next) in [(0..4, 4), (4..10, 10)] {
        let transaction = Transaction {
            records: &rig.outputs(values),
            progress: &rig.progress(next),
            membership: tenure.membership(),
            still_ours: &|| ticket.is_current(),
        };
        transactions.commit(&transaction).unwrap();
        assert_eq!(rig.committed(), Some(next));
        let stable = tenure.membership().committed(ticket.partition(), PATIENCE);
        assert_eq!(stable.unwrap(), Some(next));
    }
    ticket.done();
    seen.finish(|_| true);
    member.stop(PATIENCE).unwrap();
    let all: Vec<String> = (0..10).map(|value| value.to_string()).collect();
    assert_eq!(committed_values(&rig.target), all);
    assert_eq!(rig.committed(), Some(10));
}

#[test]
fn member_that_finishes_records_does_not_commit_behind_a_transaction() {
    let rig = Rig::new(10);
    let (member, seen) = member(&rig.group, &rig.source);
    eventually("ten records read", || seen.count() == 10);
    seen.finish(|offset| offset < 5);
    let ticks = seen.ticks.load(std::sync::atomic::Ordering::SeqCst);
    eventually("several commit intervals have passed", || {
        seen.ticks.load(std::sync::atomic::Ordering::SeqCst) > ticks + 10
    });
    seen.finish(|_| true);
    member.stop(PATIENCE).unwrap();
    assert_eq!(rig.committed(), None);
}

#[test]
fn refused_record_is_named_and_takes_the_whole_transaction_back() {
    let rig = Rig::new(3);
    let (member, seen) = member(&rig.group, &rig.source);
    eventually("three records read", || seen.count() == 3);
    let ticket = any_ticket(&seen);
    let tenure = ticket.tenure();
    let mut outputs = rig.outputs(0..3);
    // Above what the topic takes, not above what the producer takes.
    let large: Vec<u8> = (0..4000u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    outputs[1] = record(&rig.target, 0, large);
    let mut transactions = transactions();
    let mut commit = |records: &[OutRecord]| {
        transactions.commit(&Transaction {
            records,
            progress: &rig.progress(3),
            membership: tenure.membership(),
            still_ours: &|| true,
        })
    };
    let error = commit(&outputs).unwrap_err();
    assert!(matches!(error, TransactionError::Refused { .. }), "{error}");
    assert_eq!(rig.committed(), None);
    outputs.remove(1);
    commit(&outputs).unwrap();
    assert_eq!(committed_values(&rig.target), ["0", "2"]);
    assert_eq!(rig.committed(), Some(3));
    drop(ticket);
    seen.finish(|_| true);
    member.stop(PATIENCE).unwrap();
}

#[test]
fn member_that_lost_its_partition_commits_nothing_more() {
    let rig = Rig::new(10);
    let (first, seen) = member(&rig.group, &rig.source);
    eventually("ten records read", || seen.count() == 10);
    let ticket = any_ticket(&seen);
    let tenure = ticket.tenure();
    let mut transactions = transactions();
    let outputs = rig.outputs(0..10);
    let mut commit = |still_ours: &dyn Fn() -> bool| {
        transactions.commit(&Transaction {
            records: &outputs,
            progress: &rig.progress(10),
            membership: tenure.membership(),
            still_ours,
        })
    };
    // The member leaves between the question and the commit: the broker must notice.
    let member = std::cell::Cell::new(Some(first));
    let lose = || {
        let left = member.take().unwrap().stop(PATIENCE);
        assert!(left.is_err(), "ten records were unfinished");
        true
    };
    let error = commit(&lose).unwrap_err();
    assert!(matches!(error, TransactionError::Fenced), "{error}");
    assert!(!ticket.is_current());
    let error = commit(&|| ticket.is_current()).unwrap_err();
    assert!(matches!(error, TransactionError::Fenced), "{error}");
    assert_eq!(rig.committed(), None);
    assert_eq!(committed_values(&rig.target), Vec::<String>::new());
}

#[test]
fn transaction_of_another_process_under_the_same_name_is_ended() {
    let rig = Rig::new(2);
    let (member, seen) = member(&rig.group, &rig.source);
    eventually("two records read", || seen.count() == 2);
    let ticket = any_ticket(&seen);
    let tenure = ticket.tenure();
    let mut settings = TransactionSettings {
        transactional_id: random_name("transactions"),
        ..TransactionSettings::default()
    };
    settings.producer.cluster = cluster();
    let open = || Transactions::open(&settings, &Metrics::default()).unwrap();
    let (mut old, mut new) = (open(), open());
    let commit = |writer: &mut Transactions, next: i64| {
        let next_value = usize::try_from(next).unwrap();
        writer.commit(&Transaction {
            records: &rig.outputs(next_value - 1..next_value),
            progress: &rig.progress(next),
            membership: tenure.membership(),
            still_ours: &|| true,
        })
    };
    commit(&mut old, 1).unwrap();
    commit(&mut new, 2).unwrap();
    // It is not to take the name back: both would do so in turn, for ever.
    let error = commit(&mut old, 1).unwrap_err();
    assert!(matches!(error, TransactionError::Usurped(_)), "{error}");
    assert_eq!(committed_values(&rig.target), ["0", "1"]);
    assert_eq!(rig.committed(), Some(2));
    drop(ticket);
    seen.finish(|_| true);
    member.stop(PATIENCE).unwrap();
}

#[test]
fn empty_transaction_takes_less_than_20_ms() {
    let rig = Rig::new(1);
    let (member, seen) = member(&rig.group, &rig.source);
    eventually("one record read", || seen.count() == 1);
    let ticket = any_ticket(&seen);
    let tenure = ticket.tenure();
    let mut transactions = transactions();
    // A flush of rdkafka would cost 100 ms each time; other delays come and go.
    let quick = (0..200).any(|_| {
        let begun = Instant::now();
        let transaction = Transaction {
            records: &[],
            progress: &rig.progress(1),
            membership: tenure.membership(),
            still_ours: &|| true,
        };
        transactions.commit(&transaction).unwrap();
        begun.elapsed() < Duration::from_millis(20)
    });
    assert!(quick, "not one of 200 was quick enough");
    ticket.done();
    member.stop(PATIENCE).unwrap();
}

#[test]
fn of_two_writers_with_one_name_the_later_one_writes() {
    let topic = new_topic(1);
    let mut settings = TransactionSettings {
        transactional_id: random_name("transactions"),
        ..TransactionSettings::default()
    };
    settings.producer.cluster = cluster();
    let open = || Transactions::open(&settings, &Metrics::default()).unwrap();
    let (mut early, mut late) = (open(), open());
    early.prepare().unwrap();
    early.write(&[record(&topic, 0, "first")]).unwrap();
    late.prepare().unwrap();
    let refused = early.write(&[record(&topic, 0, "fenced")]).unwrap_err();
    assert!(matches!(refused, TransactionError::Aborted(_)), "{refused}");
    late.write(&[record(&topic, 0, "a"), record(&topic, 0, "b")])
        .unwrap();
    // A record that can never be written takes the others with it.
    let impossible = [record(&topic, 0, "c"), record(&topic, 9, "d")];
    let refused = late.write(&impossible).unwrap_err();
    assert!(
        matches!(refused, TransactionError::Refused { index: 1, .. }),
        "{refused}"
    );
    assert_eq!(committed_values(&topic), ["first", "a", "b"]);
}
