//! One model from its requests topic to its results topic: poll thread → routing → a version's queue → its engine
//! threads → producer. A record's ticket ends when the broker has acknowledged its result, and its dead letter if it
//! has one.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_claims::Store;
use millrace_kafka::{
    Committing, GroupConsumer, GroupSettings, Producer, ProducerSettings, State,
    TransactionSettings, Transactions,
};
use millrace_wire::Signature;

use crate::batch::BatchQueue;
use crate::fatal::Fatal;
use crate::metrics::ModelMetrics;
use crate::models::LoadedModel;
use crate::sabotage::{self, Guard};
use crate::safety::Safety;
use crate::settings::{Delivery, ImageSettings, Settings};
use crate::topics::ModelTopics;

mod apart;
mod decoding;
mod desk;
mod intake;
mod lane;
mod outcome;
mod porters;
mod reception;
mod request;
mod results;
mod routing;
mod slot;
mod worker;

use apart::Apart;
use desk::Desk;
use intake::RequestIntake;
use porters::Porters;
use reception::Reception;
use request::Part;
use results::{Counter, Drafts, Results, Transactor};
pub(crate) use routing::{Canary, Switch, Table};
use slot::Station;
pub(crate) use slot::{Bell, Slot};
use worker::Worker;

/// What waits between the poll thread and the engine threads of one version.
type Queue = BatchQueue<Part>;

/// Engine threads get this long to end once their queue is closed and empty.
const JOIN_DEADLINE: Duration = Duration::from_secs(5);

/// The parts of the process that every pipeline uses.
pub(crate) struct Surroundings<'a> {
    pub(crate) settings: &'a Settings,
    /// The name of this process.
    pub(crate) replica: &'a str,
    pub(crate) producer: &'a Producer,
    pub(crate) topics: ModelTopics,
    pub(crate) kafka_metrics: &'a millrace_kafka::Metrics,
    pub(crate) metrics: ModelMetrics,
    pub(crate) fatal: Fatal,
    pub(crate) safety: Safety,
    /// Where values are that are too large for their records.
    pub(crate) store: Option<Arc<Store>>,
}

/// A model whose records can be answered.
#[derive(Debug)]
pub(crate) struct Pipeline {
    switch: Switch,
    results: Arc<Results>,
    desk: JoinHandle<()>,
    /// Under `exactly_once`.
    transactor: Option<JoinHandle<()>>,
    /// `None` before records are read.
    consumer: Option<GroupConsumer>,
    group: GroupSettings,
    /// The largest value, in a record or fetched for it.
    max_value_bytes: usize,
    images: ImageSettings,
    safety: Safety,
    kafka_metrics: millrace_kafka::Metrics,
}

/// What is said about a version that is being served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) sha256: String,
    pub(crate) signature: Signature,
    pub(crate) max_batch_rows: usize,
    /// The engine's name.
    pub(crate) engine: &'static str,
}

impl Pipeline {
    /// A pipeline without versions, which reads nothing yet.
    pub(crate) fn start(model: &str, surroundings: Surroundings<'_>) -> anyhow::Result<Self> {
        let group = group_settings(&surroundings, model);
        let (desk, errands) = Desk::new();
        let drafts = Arc::new(Drafts::new(model, surroundings.topics.clone()));
        let (counter, transactor) = match surroundings.settings.delivery {
            Delivery::AtLeastOnce => (None, None),
            Delivery::ExactlyOnce => {
                let transactor = transactor(&surroundings, &group.group, Arc::clone(&drafts))?;
                let (counter, thread) = transactor.spawn()?;
                (Some(counter), Some(thread))
            }
        };
        let results = Arc::new(Results::new(
            surroundings.producer.clone(),
            drafts,
            counter,
            results::Shared {
                desk,
                porters: surroundings.store.map(Porters::new),
                metrics: surroundings.metrics,
                fatal: surroundings.fatal,
            },
        ));
        if let Some(porters) = results.porters() {
            porters.start(&results, max_value_bytes(surroundings.settings))?;
        }
        Ok(Self {
            switch: Switch::default(),
            max_value_bytes: max_value_bytes(surroundings.settings),
            desk: errands.spawn(Arc::clone(&results))?,
            results,
            transactor,
            consumer: None,
            group,
            images: surroundings.settings.images.clone(),
            safety: surroundings.safety,
            kafka_metrics: surroundings.kafka_metrics.clone(),
        })
    }

    /// Gives a version its engines and lets in what waited for them. `bell` is called when a record comes while they
    /// are away again.
    pub(crate) fn open(&self, slot: &Slot, model: LoadedModel, bell: Bell) -> anyhow::Result<()> {
        let metrics = self.results.metrics().of_version(model.version);
        let (station, waiting) = slot.open(Station::new(&model, metrics, bell, &self.images));
        if let Some(decoding) = &station.decoding {
            decoding.start(&model.name, &self.results)?;
        }
        station.reopen();
        self.man(&station, model)?;
        let mut reception = self.reception();
        for arrival in waiting {
            reception.admit(&station, arrival);
        }
        Ok(())
    }

    /// Starts a thread per engine.
    fn man(&self, station: &Arc<Station>, model: LoadedModel) -> anyhow::Result<()> {
        let requests = self.requests();
        let mut threads = Vec::with_capacity(model.engines.len());
        for (index, engine) in model.engines.into_iter().enumerate() {
            let surroundings = (Arc::clone(station), Arc::clone(&self.results));
            let journal = self.safety.journal(&model.name, model.version, requests);
            let apart = Apart::new(&self.safety, requests, station);
            let build = Arc::clone(&model.build);
            let worker = Worker::new(engine, build, surroundings, (journal, apart));
            let name = format!("engine {} {index}", model.name);
            threads.push(worker.spawn(&name)?);
        }
        station.man(threads);
        Ok(())
    }

    /// Says where records go; before the first one is read, and whenever that changes.
    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Begins to read records, unless it has begun.
    pub(crate) fn consume(&mut self) -> anyhow::Result<()> {
        if self.consumer.is_none() {
            let intake = RequestIntake::new(self.switch.reader(), self.reception());
            let consumer = GroupConsumer::start(self.group.clone(), intake, &self.kafka_metrics)
                .context("the consumer cannot start")?;
            self.consumer = Some(consumer);
        }
        Ok(())
    }

    /// Answers what waits for a version that will have no engines.
    pub(crate) fn refuse(&self, slot: &Slot, reason: &str) {
        let refusal = routing::unavailable(self.model(), slot.version(), reason);
        let reception = self.reception();
        for arrival in slot.bar(refusal.clone()) {
            reception.turn_away(arrival, refusal.clone());
        }
        let Some(station) = slot.station() else {
            return;
        };
        station.close();
        while let Some(batch) = station.take_rest() {
            for part in batch.pieces {
                self.results.refuse(&part.request, refusal.clone());
            }
        }
    }

    fn reception(&self) -> Reception {
        Reception::new(self.max_value_bytes, Arc::clone(&self.results))
    }

    /// The model's name.
    pub(crate) fn model(&self) -> &str {
        self.results.model()
    }

    /// Records of this process's partitions that are not answered yet.
    pub(crate) fn backlog_records(&self) -> i64 {
        self.kafka_metrics
            .lag_records(&self.group.group, self.requests())
    }

    /// The topic of its records.
    fn requests(&self) -> &str {
        self.group.topics.first().map_or("", String::as_str)
    }

    /// What the consumer is doing.
    pub(crate) fn state(&self) -> State {
        match &self.consumer {
            Some(consumer) => consumer.state().borrow().clone(),
            None => State::Starting,
        }
    }

    /// Takes no more records, finishes those it has, commits, leaves the group and ends all threads, also those of
    /// `others`, which are in the table no more.
    ///
    /// # Errors
    /// What could not be finished in time.
    pub(crate) fn stop(self, others: &[Arc<Slot>], deadline: Duration) -> anyhow::Result<()> {
        let table = self.switch.table();
        let slots = table.slots.values().chain(others);
        let stations: Vec<_> = slots.filter_map(|slot| slot.station()).collect();
        for station in &stations {
            station.metrics.available.set(0);
            station.hurry();
        }
        let counter = self.results.counter();
        counter.into_iter().for_each(Counter::stop_gathering);
        let model = self.results.model();
        let stopped = self
            .consumer
            .map_or(Ok(()), |consumer| consumer.stop(deadline));
        let until = Instant::now() + JOIN_DEADLINE;
        if let Some(porters) = self.results.porters() {
            porters.end(until);
        }
        for station in &stations {
            station.close();
        }
        for station in &stations {
            let has_ended = wait(until, || station.has_ended());
            anyhow::ensure!(has_ended, "an engine of model {model} does not end");
        }
        for decoding in stations
            .iter()
            .filter_map(|station| station.decoding.as_ref())
        {
            decoding.end();
            wait(until, || decoding.has_ended());
        }
        self.results.desk().close();
        anyhow::ensure!(
            self.desk.join().is_ok(),
            "the desk of model {model} panicked"
        );
        counter.into_iter().for_each(Counter::close);
        if let Some(thread) = self.transactor {
            // An attempt that is under way ends with the transaction's timeout; the broker may be gone.
            anyhow::ensure!(
                wait(until, || thread.is_finished()),
                "a transaction of model {model} does not end; its results will be computed again"
            );
        }
        stopped.with_context(|| format!("model {model}"))
    }
}

/// Waits for threads. There is no join with a deadline, and one that hangs must not keep the process.
fn wait(until: Instant, has_ended: impl Fn() -> bool) -> bool {
    while !has_ended() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    has_ended()
}

impl Served {
    fn of(model: &LoadedModel) -> Self {
        Self {
            name: model.name.clone(),
            version: model.version,
            sha256: model.sha256.clone(),
            signature: model.signature.clone(),
            max_batch_rows: model.batch.max_rows,
            engine: model.engine,
        }
    }
}

/// The largest value of a record, in it or fetched for it.
fn max_value_bytes(settings: &Settings) -> usize {
    settings.claims.largest(settings.consumer.max_record_bytes)
}

fn group_settings(surroundings: &Surroundings<'_>, model: &str) -> GroupSettings {
    let settings = surroundings.settings;
    GroupSettings {
        cluster: settings.kafka.clone(),
        group: format!("{}.infer.{model}", settings.topics.prefix),
        topics: vec![surroundings.topics.requests.to_string()],
        max_in_flight_bytes: settings.consumer.max_in_flight_bytes,
        max_in_flight_records: settings.consumer.max_in_flight_records,
        commit_interval: settings.consumer.commit_interval,
        drain_deadline: settings.drain_deadline,
        instance_id: settings.consumer.instance_id.clone(),
        committing: match settings.delivery {
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
        transactional_id: match sabotage::is_missing(Guard::Name) {
            true => format!("{group}.{}", uuid::Uuid::new_v4()),
            false => format!("{group}.{}", surroundings.replica),
        },
        timeout: settings.transactions.timeout,
    };
    Ok(Transactor {
        transactions: Transactions::open(&transactions, surroundings.kafka_metrics)?,
        interval: settings.transactions.commit_interval,
        max_bytes: settings.producer.max_queue_bytes / 2,
        drafts,
        metrics: surroundings.metrics.clone(),
        fatal: surroundings.fatal.clone(),
        signals: Arc::default(),
    })
}
