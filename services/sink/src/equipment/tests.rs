use anyhow::anyhow;
use millrace_boot::Health;
use millrace_kafka::{Producer, ProducerSettings};
use prometheus_client::registry::Registry;

use super::*;
use crate::metrics::Metrics;
use crate::testing::partition;

/// A destination that is out of order for the first attempts, as its readiness was seen then.
struct Flaky {
    failures: usize,
    health: Health,
    ready: Arc<AtomicBool>,
}

impl Writer for Flaky {
    fn claim(&mut self, _: &TopicPartition) -> Result<i64, WriteError> {
        self.ready.store(self.health.is_ready(), Ordering::Relaxed);
        if self.failures == 0 {
            return Ok(42);
        }
        self.failures -= 1;
        Err(WriteError::Transient(anyhow!("disk full")))
    }

    fn write(&mut self, _: &Batch) -> Result<Written, WriteError> {
        Ok(Written::default())
    }

    fn release(&mut self, _: &TopicPartition) {}
}

struct Rig {
    with: Equipment,
    health: Health,
    ready_at_last_attempt: Arc<AtomicBool>,
}

fn rig(failures: usize) -> Rig {
    let health = Health::new();
    let ready = Arc::new(AtomicBool::new(true));
    let writer = Flaky {
        failures,
        health: health.clone(),
        ready: Arc::clone(&ready),
    };
    let producer = Producer::start(
        &ProducerSettings::default(),
        &millrace_kafka::Metrics::default(),
    );
    let gate = health.gate("destination");
    gate.open();
    let with = Equipment {
        writer: Box::new(writer),
        letters: Letters::new(producer.unwrap(), "mill"),
        max_outage: Duration::from_secs(60),
        metrics: Metrics::register(&mut Registry::default()).of("table"),
        gate,
        hurry: Arc::default(),
    };
    Rig {
        with,
        health,
        ready_at_last_attempt: ready,
    }
}

#[test]
fn outage_is_waited_for_and_unready_meanwhile() {
    let mut rig = rig(2);
    assert_eq!(rig.with.claim(&partition("t", 0)).unwrap(), 42);
    assert!(!rig.ready_at_last_attempt.load(Ordering::Relaxed));
    assert!(rig.health.is_ready());
    assert_eq!(rig.with.metrics.commit_failures.get(), 2);
}

#[test]
fn long_outage_is_an_error_with_its_cause() {
    let mut rig = rig(usize::MAX);
    rig.with.max_outage = Duration::from_millis(200);
    let error = rig.with.claim(&partition("t", 0)).unwrap_err();
    assert!(format!("{error:#}").contains("disk full"), "{error:#}");
    assert!(!rig.health.is_ready());
}

#[test]
fn stopping_process_does_not_wait_for_outages() {
    let mut rig = rig(usize::MAX);
    rig.with.hurry.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert!(rig.with.claim(&partition("t", 0)).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}
