//! The calls around the data.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_kafka::{Admin, Cluster, Error, TopicOutcome, TopicSpec};

use crate::support::{
    Collector, PATIENCE, Tickets, admin, eventually, fill, group_settings, new_topic,
    new_topic_with, random_name,
};

#[test]
fn creating_a_topic_twice_finds_it_the_second_time() {
    let spec = TopicSpec {
        name: random_name("topic"),
        partitions: 3,
        replication: 1,
        config: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
    };
    let name = spec.name.clone();
    let specs = [spec];
    let first = admin().create_topics(&specs).unwrap();
    assert_eq!(first, [(name.clone(), TopicOutcome::Created)]);
    let second = admin().create_topics(&specs).unwrap();
    assert_eq!(second, [(name.clone(), TopicOutcome::Exists)]);
    assert_eq!(admin().partition_count(&name).unwrap(), Some(3));
    assert!(admin().topics().unwrap().contains(&name));
}

#[test]
fn a_topic_that_does_not_exist_is_said_to_not_exist() {
    let name = random_name("missing");
    assert_eq!(admin().partition_count(&name).unwrap(), None);
    for error in [
        admin().end_offsets(&name).unwrap_err(),
        admin().max_message_bytes(&name).unwrap_err(),
        admin().committed("group", &name).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NoTopic { .. }), "{error}");
    }
}

#[test]
fn an_impossible_topic_is_refused_with_its_name() {
    let spec = TopicSpec {
        name: random_name("topic"),
        partitions: 1,
        replication: 30,
        config: BTreeMap::new(),
    };
    let error = admin()
        .create_topics(std::slice::from_ref(&spec))
        .unwrap_err();
    assert!(error.to_string().contains(&spec.name), "{error}");
}

#[test]
fn the_lag_of_a_group_that_never_committed_is_the_whole_topic() {
    let topic = new_topic(2);
    fill(&topic, 2, 7);
    let lag = admin().lag(&random_name("group"), &topic).unwrap();
    assert_eq!(lag.len(), 2);
    for partition in lag {
        assert_eq!((partition.committed, partition.lag), (None, 7));
    }
}

#[test]
fn the_cluster_describes_itself() {
    admin().wait_for_broker(PATIENCE).unwrap();
    let description = admin().describe().unwrap();
    assert!(!description.brokers.is_empty());
    assert!(description.cluster_id.is_some());
    println!("{description:?}");
}

#[test]
fn a_broker_that_is_not_there_is_waited_for_no_longer_than_asked() {
    let admin = Admin::connect(&Cluster::at("127.0.0.1:1")).unwrap();
    let error = admin
        .wait_for_broker(Duration::from_millis(300))
        .unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[test]
fn a_topic_is_described_with_its_copies_and_its_configuration() {
    let name = new_topic_with(3, &[("retention.ms", "12345")]);
    let layouts = admin().layouts().unwrap();
    let layout = layouts.iter().find(|layout| layout.name == name).unwrap();
    let numbers: Vec<i32> = layout.partitions.iter().map(|it| it.partition).collect();
    assert_eq!(numbers, [0, 1, 2]);
    for partition in &layout.partitions {
        assert!(partition.leader.is_some());
        assert_eq!((partition.replicas, partition.in_sync), (1, 1));
    }
    let config = admin().topic_config(&name).unwrap();
    assert_eq!(config["retention.ms"], "12345");
    // Defaults are there as well.
    assert_eq!(config["cleanup.policy"], "delete");
    let error = admin().topic_config(&random_name("missing")).unwrap_err();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
}

#[test]
fn groups_are_found_with_their_members_and_without() {
    let (group, topic) = (random_name("group"), new_topic(1));
    fill(&topic, 1, 1);
    let members = |count: usize| {
        let groups = admin().groups(&group).unwrap();
        groups.len() == 1 && groups[0].name == group && groups[0].members == count
    };
    let (consumer, seen) = Collector::start(group_settings(&group, &topic), Tickets::Finish);
    eventually("a record is read", || seen.count() == 1);
    eventually("the group has a member", || members(1));
    consumer.stop(PATIENCE).unwrap();
    eventually("the group has offsets and no member", || members(0));
    assert!(admin().groups(&random_name("group")).unwrap().is_empty());
}

#[test]
fn records_are_deleted_before_an_offset_only() {
    let topic = new_topic(2);
    fill(&topic, 2, 7);
    let before = BTreeMap::from([(1, 5)]);
    let first = admin().delete_records_before(&topic, &before).unwrap();
    assert_eq!(first, before);
    let spans = admin().spans(&topic).unwrap();
    assert_eq!(spans, BTreeMap::from([(0, 0..7), (1, 5..7)]));
    let beyond = BTreeMap::from([(0, 8)]);
    let error = admin().delete_records_before(&topic, &beyond).unwrap_err();
    assert!(error.to_string().contains(&topic), "{error}");
}
