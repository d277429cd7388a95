//! What becomes of records that are sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use millrace_kafka::{
    Cluster, DeliveryResult, Error, Failure, Follower, FollowerSettings, Headers, Metrics,
    Producer, ProducerSettings, SendError,
};

use crate::support::{
    PATIENCE, admin, cluster, cluster_with, eventually, new_topic, new_topic_with, producer,
    random_name, record,
};

fn producer_with(change: impl FnOnce(&mut ProducerSettings)) -> Producer {
    let mut settings = ProducerSettings {
        cluster: cluster(),
        ..ProducerSettings::default()
    };
    change(&mut settings);
    Producer::start(&settings, &Metrics::default()).unwrap()
}

/// A cluster that nobody listens at.
fn nowhere() -> Cluster {
    Cluster::at("127.0.0.1:1")
}

#[test]
fn stopping_a_producer_delivers_what_it_accepted() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| settings.linger = Duration::from_millis(500));
    let delivered = Arc::new(AtomicUsize::new(0));
    for index in 0..1000 {
        let delivered = Arc::clone(&delivered);
        let on_delivery = move |result: DeliveryResult| {
            assert_eq!(result.unwrap().partition, 0);
            delivered.fetch_add(1, Ordering::SeqCst);
        };
        producer
            .send(record(&topic, 0, index.to_string()), on_delivery)
            .unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    assert_eq!(delivered.load(Ordering::SeqCst), 1000);
    assert_eq!(admin().end_offsets(&topic).unwrap()[&0], 1000);
    let refused = producer
        .send(record(&topic, 0, "late"), |_| {})
        .unwrap_err();
    assert!(matches!(refused.reason, SendError::Stopping));
}

#[test]
fn a_producer_that_is_only_dropped_delivers_what_it_accepted() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| settings.linger = Duration::from_millis(300));
    for index in 0..100 {
        producer
            .send(record(&topic, 0, index.to_string()), |_| {})
            .unwrap();
    }
    drop(producer);
    eventually("all records in the topic", || {
        admin().end_offsets(&topic).unwrap()[&0] == 100
    });
}

#[test]
fn records_that_cannot_be_delivered_before_the_deadline_get_their_callbacks() {
    let producer = producer_with(|settings| settings.cluster = nowhere());
    let (sender, results) = mpsc::channel();
    for _ in 0..10 {
        let sender = sender.clone();
        producer
            .send(record("topic", 0, "x"), move |result| {
                sender.send(result).unwrap();
            })
            .unwrap();
    }
    let error = producer.stop(Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, Error::Undelivered { count: 10 }), "{error}");
    drop(sender);
    let results: Vec<DeliveryResult> = results.iter().collect();
    assert_eq!(results.len(), 10);
    for result in results {
        assert_eq!(result.unwrap_err().failure, Failure::Transient);
    }
    assert_eq!(producer.in_flight_bytes(), 0);
}

#[test]
fn a_message_timeout_fails_the_record_with_a_transient_error() {
    let producer = producer_with(|settings| {
        settings.cluster = nowhere();
        settings.message_timeout = Some(Duration::from_millis(200));
    });
    let (sender, results) = mpsc::channel();
    producer
        .send(record("topic", 0, "x"), move |result| {
            sender.send(result).unwrap();
        })
        .unwrap();
    let error = results.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.failure, Failure::Transient);
    producer.stop(PATIENCE).unwrap();
}

#[test]
fn a_record_above_the_limit_is_refused_before_it_is_produced() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| settings.max_record_bytes = 10_000);
    let refused = producer
        .send(record(&topic, 0, vec![1; 10_000]), |_| {})
        .unwrap_err();
    assert!(
        matches!(
            refused.reason,
            SendError::TooLarge {
                limit_bytes: 10_000,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(refused.record.value.map(|value| value.len()), Some(10_000));
    producer
        .send(record(&topic, 0, vec![1; 9_000]), |_| {})
        .unwrap();
    producer.stop(PATIENCE).unwrap();
    assert_eq!(admin().end_offsets(&topic).unwrap()[&0], 1);
}

#[test]
fn a_record_that_the_broker_refuses_is_poison_and_its_neighbours_are_delivered() {
    let topic = new_topic_with(1, &[("max.message.bytes", "5000")]);
    let producer = producer_with(|settings| {
        settings.compression = millrace_kafka::Compression::None;
        // The limit of the topic holds for whole batches.
        let batch = ("batch.size".to_owned(), "4000".to_owned());
        settings.cluster.options.extend([batch]);
    });
    let (sender, results) = mpsc::channel();
    for index in 0..9 {
        let bytes = if index == 4 { 20_000 } else { 100 };
        let sender = sender.clone();
        producer
            .send(record(&topic, 0, vec![1; bytes]), move |result| {
                sender.send((index, result)).unwrap();
            })
            .unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    drop(sender);
    for (index, result) in results.iter() {
        if index == 4 {
            assert_eq!(result.unwrap_err().failure, Failure::Poison);
        } else {
            result.unwrap();
        }
    }
    assert_eq!(admin().max_message_bytes(&topic).unwrap(), 5000);
}

#[test]
fn a_spent_budget_gives_record_and_callback_back() {
    let producer = producer_with(|settings| {
        settings.cluster = nowhere();
        settings.max_queue_bytes = 3_000;
        settings.max_record_bytes = 2_000;
    });
    let accepted = |value: &[u8]| producer.send(record("topic", 0, value), |_| {}).is_ok();
    assert!(accepted(&[1; 1500]));
    let token = Arc::new(());
    let kept = Arc::clone(&token);
    let refused = producer
        .send(record("topic", 0, [2; 1500]), move |_| drop(kept))
        .unwrap_err();
    assert!(matches!(refused.reason, SendError::Busy), "{refused:?}");
    assert_eq!(refused.record.value.as_deref(), Some([2; 1500].as_slice()));
    assert_eq!(Arc::strong_count(&token), 2, "the callback is alive");

    let waited = producer.send_blocking(
        refused.record,
        refused.on_delivery,
        Duration::from_millis(50),
    );
    assert!(matches!(waited.unwrap_err().reason, SendError::Busy));
    assert!(producer.stop(Duration::ZERO).is_err());
}

#[test]
fn waiting_for_room_gets_every_record_through_a_small_budget() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| {
        settings.max_queue_bytes = 5_000;
        settings.max_record_bytes = 1_000;
    });
    for index in 0..2000 {
        let value = index.to_string();
        producer
            .send_blocking(
                record(&topic, 0, value),
                |result| assert!(result.is_ok()),
                PATIENCE,
            )
            .unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    assert_eq!(admin().end_offsets(&topic).unwrap()[&0], 2000);
}

#[test]
fn records_of_one_partition_keep_their_order_and_their_bytes() {
    let topic = new_topic(1);
    let producer = producer();
    let offsets = Arc::new(Mutex::new(Vec::new()));
    for index in 0..10_000_i64 {
        let mut sent = record(&topic, 0, index.to_string());
        sent.key = (index % 2 == 0).then(|| index.to_string().into_bytes());
        if index % 3 == 0 {
            sent.headers.push_text("mr-id", index.to_string());
            sent.headers.push("none", None);
            sent.headers.push_text("mr-id", "again");
        }
        let offsets = Arc::clone(&offsets);
        let on_delivery = move |result: DeliveryResult| {
            offsets.lock().unwrap().push(result.unwrap().offset);
        };
        producer.send(sent, on_delivery).unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    assert_eq!(*offsets.lock().unwrap(), (0..10_000).collect::<Vec<i64>>());

    let read = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&read);
    let settings = FollowerSettings::whole_topic(cluster(), &topic);
    let on_record = move |record| keep.lock().unwrap().push(record);
    let follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    follower.wait_caught_up(PATIENCE).unwrap();
    follower.stop(PATIENCE).unwrap();
    let read = read.lock().unwrap();
    assert_eq!(read.len(), 10_000);
    for (index, record) in read.iter().enumerate() {
        let text = index.to_string().into_bytes();
        assert_eq!(record.value.as_ref(), Some(&text));
        assert_eq!(record.key, (index % 2 == 0).then(|| text.clone()));
        let expected = if index % 3 == 0 {
            Headers::from(vec![
                ("mr-id".to_owned(), Some(text)),
                ("none".to_owned(), None),
                ("mr-id".to_owned(), Some(b"again".to_vec())),
            ])
        } else {
            Headers::new()
        };
        assert_eq!(record.headers, expected);
    }
}

#[test]
fn tombstones_and_empty_values_are_different_things() {
    let topic = new_topic(1);
    let producer = producer();
    let mut tombstone = record(&topic, 0, "");
    tombstone.value = None;
    producer.send(tombstone, |_| {}).unwrap();
    producer.send(record(&topic, 0, ""), |_| {}).unwrap();
    producer.stop(PATIENCE).unwrap();
    let (sender, records) = mpsc::channel();
    let settings = FollowerSettings::whole_topic(cluster(), &topic);
    let on_record = move |record| drop(sender.send(record));
    let _follower = Follower::start(settings, on_record, &Metrics::default()).unwrap();
    assert_eq!(records.recv_timeout(PATIENCE).unwrap().value, None);
    assert_eq!(
        records.recv_timeout(PATIENCE).unwrap().value,
        Some(Vec::new())
    );
}

#[test]
fn an_unknown_topic_fails_its_records_clearly_and_the_producer_survives() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| {
        settings.cluster = cluster_with(&[("topic.metadata.propagation.max.ms", "100")]);
    });
    let (sender, results) = mpsc::channel();
    let missing = random_name("missing");
    let on_delivery = move |result| drop(sender.send(result));
    producer
        .send(record(&missing, 0, "x"), on_delivery)
        .unwrap();
    let error = results.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.failure, Failure::Fatal);
    assert!(error.to_string().contains(&missing), "{error}");
    assert!(error.to_string().contains("create it"), "{error}");

    producer.send(record(&topic, 0, "x"), |_| {}).unwrap();
    producer.stop(PATIENCE).unwrap();
    assert_eq!(admin().end_offsets(&topic).unwrap()[&0], 1);
}

#[test]
fn a_partition_that_does_not_exist_is_poison() {
    let topic = new_topic(1);
    let producer = producer();
    let (sender, results) = mpsc::channel();
    let on_delivery =
        move |result: DeliveryResult| sender.send(result.unwrap_err().failure).unwrap();
    let failure = match producer.send(record(&topic, 7, "x"), on_delivery) {
        Ok(()) => results.recv_timeout(PATIENCE).unwrap(),
        Err(not_sent) => match not_sent.reason {
            SendError::Refused { failure, .. } => failure,
            reason => panic!("{reason}"),
        },
    };
    assert_eq!(failure, Failure::Poison);
}

#[test]
fn a_callback_that_panics_takes_no_other_record_with_it() {
    let topic = new_topic(1);
    let producer = producer_with(|settings| settings.linger = Duration::from_millis(200));
    let delivered = Arc::new(AtomicUsize::new(0));
    for index in 0..10 {
        let delivered = Arc::clone(&delivered);
        let on_delivery = move |_| {
            assert_ne!(index, 3, "on purpose");
            delivered.fetch_add(1, Ordering::SeqCst);
        };
        producer.send(record(&topic, 0, "x"), on_delivery).unwrap();
    }
    producer.stop(PATIENCE).unwrap();
    assert_eq!(delivered.load(Ordering::SeqCst), 9);
}
