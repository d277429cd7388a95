//! The lanes of a model: for each a consumer group of its own, so that a long backlog in one never holds up the other,
//! and under `exactly_once` a transactional producer of its own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use millrace_kafka::{
    Committing, GroupSettings, ProducerSettings, TransactionSettings, Transactions,
};

use super::Surroundings;
use super::limit::Limit;
use super::reading::Reading;
use super::results::{Drafts, Outlet, Outlets, Transactor};
use crate::batch::Priority;
use crate::repository::BULK_END;
use crate::sabotage::{self, Guard};
use crate::settings::Delivery;

/// The bulk lane reads ahead this part of what the other one may: it only has to keep engines busy that are free.
const BULK_PART: usize = 4;

/// What the lanes of a pipeline begin with.
pub(super) struct Lanes {
    /// That of interactive records first.
    pub(super) readings: Vec<Reading>,
    pub(super) outlets: Outlets,
    pub(super) drafts: Arc<Drafts>,
}

impl Lanes {
    /// Starts the threads of transactions, where there are some; nothing is read yet.
    pub(super) fn open(model: &str, surroundings: &Surroundings<'_>) -> anyhow::Result<Self> {
        let drafts = Arc::new(Drafts::new(model, surroundings.topics.clone()));
        let topics = &surroundings.topics;
        let open = |priority, topic: &str| {
            let group = group_settings(surroundings, model, (priority, topic));
            lane(surroundings, &drafts, (priority, group))
        };
        let (first, interactive) = open(Priority::Interactive, &topics.requests)?;
        let bulk = topics.bulk_requests.as_deref();
        let bulk = bulk.map(|topic| open(Priority::Bulk, topic)).transpose()?;
        let (second, bulk) = bulk.unzip();
        Ok(Self {
            readings: [first].into_iter().chain(second).collect(),
            outlets: Outlets { interactive, bulk },
            drafts,
        })
    }
}

/// Lets all lanes drain at the same time.
///
/// # Errors
/// The first thing that could not be finished in time.
pub(super) fn stop(readings: &mut [Reading], deadline: Duration) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let stops: Vec<_> = readings
            .iter_mut()
            .map(|reading| scope.spawn(move || reading.stop(deadline)))
            .collect();
        let mut first = Ok(());
        for stop in stops {
            let stopped = stop.join().map(|stopped| stopped.map_err(Into::into));
            let panicked = |_| Err(anyhow::anyhow!("a consumer panicked at its stop"));
            first = first.and(stopped.unwrap_or_else(panicked));
        }
        first
    })
}

fn lane(
    surroundings: &Surroundings<'_>,
    drafts: &Arc<Drafts>,
    (priority, group): (Priority, GroupSettings),
) -> anyhow::Result<(Reading, Outlet)> {
    let (counter, transactor) = match surroundings.options.delivery {
        Delivery::AtLeastOnce => (None, None),
        Delivery::ExactlyOnce => {
            let transactor = transactor(surroundings, &group.group, Arc::clone(drafts))?;
            let (counter, thread) = transactor.spawn()?;
            (Some(counter), Some(thread))
        }
    };
    let limit = Limit::new(surroundings.settings.dead_letters.clone());
    let reading = Reading::new(priority, group, transactor);
    Ok((reading, Outlet { counter, limit }))
}

fn group_settings(
    surroundings: &Surroundings<'_>,
    model: &str,
    (priority, topic): (Priority, &str),
) -> GroupSettings {
    let settings = surroundings.settings;
    let (end, part) = match priority {
        Priority::Interactive => ("", 1),
        Priority::Bulk => (BULK_END, BULK_PART),
    };
    let part_of = |whole: usize| (whole / part).max(1);
    GroupSettings {
        cluster: settings.kafka.clone(),
        group: format!("{}.infer.{model}{end}", settings.topics.prefix),
        topics: vec![topic.to_owned()],
        max_in_flight_bytes: part_of(settings.consumer.max_in_flight_bytes),
        max_in_flight_records: part_of(settings.consumer.max_in_flight_records),
        commit_interval: settings.consumer.commit_interval,
        drain_deadline: settings.drain_deadline,
        instance_id: settings.consumer.instance_id.clone(),
        committing: match surroundings.options.delivery {
            Delivery::AtLeastOnce => Committing::Member,
            Delivery::ExactlyOnce => Committing::Transactions,
        },
        max_record_bytes: settings.consumer.max_record_bytes,
        ..GroupSettings::default()
    }
}

/// The thread that commits results of `group` together with its progress.
fn transactor(
    surroundings: &Surroundings<'_>,
    group: &str,
    drafts: Arc<Drafts>,
) -> anyhow::Result<Transactor> {
    let settings = surroundings.settings;
    let transactions = TransactionSettings {
        producer: ProducerSettings {
            cluster: settings.kafka.clone(),
            max_queue_bytes: settings.producer.max_queue_bytes,
            max_record_bytes: settings.producer.max_record_bytes,
            ..ProducerSettings::default()
        },
        // The group has the model's name in it, so it is another one for each model, lane and replica, and the same after
        // a restart.
        transactional_id: match sabotage::is_missing(Guard::Name) {
            true => format!("{group}.{}", uuid::Uuid::new_v4()),
            false => format!("{group}.{}", surroundings.replica),
        },
        timeout: settings.transactions.timeout,
    };
    let opened = Transactions::open(&transactions, surroundings.kafka_metrics);
    Ok(Transactor {
        transactions: opened.context("the transactional producer cannot start")?,
        interval: settings.transactions.commit_interval,
        max_bytes: settings.producer.max_queue_bytes / 2,
        drafts,
        metrics: surroundings.metrics.clone(),
        fatal: surroundings.fatal.clone(),
        signals: Arc::default(),
    })
}
