//! The calls around the data.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_kafka::{Admin, Cluster, Error, TopicOutcome, TopicSpec};

use crate::support::{PATIENCE, admin, fill, new_topic, random_name};

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
