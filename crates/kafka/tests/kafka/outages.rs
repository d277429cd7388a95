//! A broker that goes and comes back, on librdkafka's mock cluster.

use std::sync::atomic::Ordering;

use millrace_kafka::{
    Cluster, GroupConsumer, GroupSettings, Metrics, Producer, ProducerSettings, State,
};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::support::{Collector, PATIENCE, Tickets, eventually, record};

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> (Mock, Cluster) {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("topic", 1, 1).unwrap();
    let cluster = Cluster::at(mock.bootstrap_servers());
    (mock, cluster)
}

#[test]
fn a_lost_broker_is_a_state_and_reading_goes_on_when_it_is_back() {
    let (mock, cluster) = mock();
    let settings = ProducerSettings {
        cluster: cluster.clone(),
        ..ProducerSettings::default()
    };
    let producer = Producer::start(&settings, &Metrics::default()).unwrap();
    producer.send(record("topic", 0, "before"), |_| {}).unwrap();
    let settings = GroupSettings {
        cluster,
        group: "group".to_owned(),
        topics: vec!["topic".to_owned()],
        ..GroupSettings::default()
    };
    let (collector, seen) = Collector::new(Tickets::Finish);
    let consumer = GroupConsumer::start(settings, collector, &Metrics::default()).unwrap();
    let (reading, writing) = (consumer.state(), producer.state());
    eventually("the record read", || seen.count() == 1);
    eventually("both run", || {
        reading.borrow().is_running() && writing.borrow().is_running()
    });

    mock.broker_down(1).unwrap();
    eventually("both notice", || {
        let down = |state: &State| matches!(state, State::BrokerDown);
        down(&reading.borrow()) && down(&writing.borrow())
    });
    let ticks = seen.ticks.load(Ordering::SeqCst);
    producer.send(record("topic", 0, "during"), |_| {}).unwrap();
    eventually("the consumer goes on ticking", || {
        seen.ticks.load(Ordering::SeqCst) > ticks + 10
    });

    mock.broker_up(1).unwrap();
    eventually("both run again", || {
        reading.borrow().is_running() && writing.borrow().is_running()
    });
    eventually("the second record read", || seen.count() == 2);
    producer.stop(PATIENCE).unwrap();
    consumer.stop(PATIENCE).unwrap();
}

#[test]
fn a_consumer_without_a_broker_stops_in_time() {
    let settings = GroupSettings {
        cluster: Cluster::at("127.0.0.1:1"),
        group: "group".to_owned(),
        topics: vec!["topic".to_owned()],
        ..GroupSettings::default()
    };
    let (consumer, seen) = Collector::start(settings, Tickets::Finish);
    let states = consumer.state();
    eventually("no broker is there", || {
        matches!(&*states.borrow(), State::BrokerDown)
    });
    assert_eq!(seen.count(), 0);
    let begin = std::time::Instant::now();
    consumer.stop(std::time::Duration::from_secs(2)).unwrap();
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
}
