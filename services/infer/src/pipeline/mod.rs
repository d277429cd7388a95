//! One model from its requests topic to its results topic: poll thread → routing → a version's queue → its engine
//! threads → producer. A record's ticket ends when the broker has acknowledged its result, and its dead letter if it
//! has one.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_claims::Store;
use millrace_kafka::{Producer, State};
use millrace_wire::Signature;

use crate::batch::{BatchQueue, Priority};
use crate::fatal::Fatal;
use crate::metrics::ModelMetrics;
use crate::models::LoadedModel;
use crate::repository::ReadingOptions;
use crate::safety::Safety;
use crate::settings::{ImageSettings, Settings};
use crate::topics::ModelTopics;

mod apart;
mod decoding;
mod desk;
mod intake;
mod lane;
mod lanes;
mod limit;
mod load;
mod outcome;
mod porters;
mod reading;
mod reception;
mod request;
mod results;
mod routing;
mod slot;
mod worker;

use apart::Apart;
use desk::Desk;
use lanes::Lanes;
use porters::Porters;
use reading::{Course, Reading};
use reception::Reception;
use request::Part;
use results::{Counter, Results};
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
    pub(crate) options: ReadingOptions,
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
    /// One for each lane, that of interactive records first.
    readings: Vec<Reading>,
    /// What it was made with.
    options: ReadingOptions,
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
        let Lanes {
            readings,
            outlets,
            drafts,
        } = Lanes::open(model, &surroundings)?;
        let (desk, errands) = Desk::new();
        let bulk_weight = surroundings.options.bulk.weight;
        let shared = results::Shared {
            desk,
            porters: surroundings
                .store
                .map(|store| Porters::new(store, bulk_weight)),
            metrics: surroundings.metrics,
            fatal: surroundings.fatal,
        };
        let producer = surroundings.producer.clone();
        let results = Arc::new(Results::new(producer, drafts, outlets, shared));
        if let Some(porters) = results.porters() {
            porters.start(&results, max_value_bytes(surroundings.settings))?;
        }
        Ok(Self {
            switch: Switch::default(),
            max_value_bytes: max_value_bytes(surroundings.settings),
            desk: errands.spawn(Arc::clone(&results))?,
            results,
            readings,
            options: surroundings.options,
            images: surroundings.settings.images.clone(),
            safety: surroundings.safety,
            kafka_metrics: surroundings.kafka_metrics.clone(),
        })
    }

    /// Gives a version its engines and lets in what waited for them. `bell` is called when a record comes while they
    /// are away again.
    pub(crate) fn open(&self, slot: &Slot, model: LoadedModel, bell: Bell) -> anyhow::Result<()> {
        let metrics = self.results.metrics().of_version(model.version);
        let images = (&self.images, self.options.bulk.weight);
        let (station, waiting) = slot.open(Station::new(&model, metrics, bell, images));
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
        let topics: Vec<&str> = self.readings.iter().map(Reading::topic).collect();
        let mut threads = Vec::with_capacity(model.engines.len());
        for (index, engine) in model.engines.into_iter().enumerate() {
            let surroundings = (Arc::clone(station), Arc::clone(&self.results));
            let journal = self.safety.journal(&model.name, model.version);
            let apart = Apart::new(&self.safety, &topics, station);
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
        let (readings, course) = self.course();
        readings.iter_mut().try_for_each(|it| it.begin(&course))
    }

    /// Ends reading where dead letters have become the rule, and begins it again when the pause is over.
    pub(crate) fn look(&mut self) -> anyhow::Result<()> {
        let (readings, course) = self.course();
        readings.iter_mut().try_for_each(|it| it.look(&course))
    }

    fn course(&mut self) -> (&mut [Reading], Course<'_>) {
        let course = Course {
            switch: &self.switch,
            results: &self.results,
            max_value_bytes: self.max_value_bytes,
            metrics: &self.kafka_metrics,
        };
        (&mut self.readings, course)
    }

    /// Something has changed, so that what failed may go well now: reading that has ended is tried again at once.
    pub(crate) fn try_again(&mut self) {
        self.readings.iter_mut().for_each(Reading::try_again);
    }

    /// Why a lane is not read, if dead letters are the reason.
    pub(crate) fn complaint(&self, priority: Priority) -> Option<String> {
        let mut readings = self.readings.iter();
        let reading = readings.find(|it| it.priority == priority)?;
        reading.complaint(&self.results)
    }

    /// What its consumer was made with.
    pub(crate) fn options(&self) -> ReadingOptions {
        self.options
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

    /// Records of this process's partitions that are not answered yet and that somebody waits for.
    pub(crate) fn backlog_records(&self) -> i64 {
        self.readings.first().map_or(0, |reading| {
            let group = &reading.group.group;
            self.kafka_metrics.lag_records(group, reading.topic())
        })
    }

    /// What the consumers are doing, that of interactive records first.
    pub(crate) fn states(&self) -> Vec<State> {
        self.readings.iter().map(Reading::state).collect()
    }

    /// Takes no more records, finishes those it has, commits, leaves the group and ends all threads, also those of
    /// `others`, which are in the table no more.
    ///
    /// # Errors
    /// What could not be finished in time.
    pub(crate) fn stop(mut self, others: &[Arc<Slot>], deadline: Duration) -> anyhow::Result<()> {
        let table = self.switch.table();
        let slots = table.slots.values().chain(others);
        let stations: Vec<_> = slots.filter_map(|slot| slot.station()).collect();
        for station in &stations {
            station.metrics.available.set(0);
            station.hurry();
        }
        self.results.counters().for_each(Counter::stop_gathering);
        let model = self.results.model();
        let stopped = lanes::stop(&mut self.readings, deadline);
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
        self.results.counters().for_each(Counter::close);
        let transactors = self.readings.iter().filter_map(|it| it.transactor.as_ref());
        for thread in transactors {
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
