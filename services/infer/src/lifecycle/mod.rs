//! What should be served, and what is: a thread that hears of the repository, of operators and of the loader, decides,
//! and switches. It never waits itself; what waits has threads of its own.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use millrace_boot::{Gate, Shutdown};
use millrace_kafka::{Admin, State};
use tracing::warn;

use crate::descriptors::Publisher;
use crate::engine::Libraries;
use crate::repository::{ModelEntry, ModelError, Repository};
use crate::topics::SharedTopics;

mod control;
mod cores;
mod live;
mod loader;
mod looking;
mod memory;
mod messages;
mod model;
mod office;
mod plan;
mod settling;
mod telling;
mod watcher;

use control::ControlTopic;
use cores::Machine;
use loader::Loader;
use messages::{Fetched, Job, Message, Outcome, Task};
use model::Model;
pub(crate) use office::Furniture;
use office::Office;
use watcher::Watcher;

/// How often states are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The same while engines are awaited that make room.
const SHORT_LOOK: Duration = Duration::from_millis(5);
/// How long models wait at start for what operators asked for.
const CONTROL_DEADLINE: Duration = Duration::from_secs(10);

/// What the lifecycle works with, beside the office.
pub(crate) struct Means {
    pub(crate) repository: Repository,
    pub(crate) libraries: Libraries,
    pub(crate) admin: Admin,
    pub(crate) shared: SharedTopics,
    pub(crate) shutdown: Shutdown,
    pub(crate) publisher: Publisher,
    pub(crate) gate: Gate,
}

/// Everything that is served, on one thread.
pub(crate) struct Lifecycle {
    office: Office,
    models: BTreeMap<String, Model>,
    inbox: Receiver<Message>,
    tasks: Sender<Task>,
    /// The loader has a task.
    is_loading: bool,
    /// Waits for room in memory.
    next: Option<(Job, Fetched)>,
    watcher: Watcher,
    control: ControlTopic,
    publisher: Publisher,
    gate: Gate,
    shutdown: Shutdown,
    /// Why the repository could not be looked at, for the log.
    complaint: Option<String>,
}

impl Lifecycle {
    /// Starts the threads that wait.
    pub(crate) fn new(
        furniture: Furniture,
        means: Means,
        found: &[ModelEntry],
    ) -> anyhow::Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let (tasks, queue) = mpsc::channel();
        let settings = &furniture.settings;
        let loader = Loader {
            repository: means.repository.clone(),
            libraries: means.libraries,
            admin: means.admin,
            settings: settings.topics.clone(),
            shared: means.shared,
            shutdown: means.shutdown.clone(),
            first: found.iter().map(|entry| entry.name.clone()).collect(),
            fatal: furniture.fatal.clone(),
            safety: furniture.safety.clone(),
            messages: messages.clone(),
        };
        loader.spawn(queue)?;
        let interval = settings.models.poll_interval;
        let metrics = (&furniture.kafka_metrics, messages.clone());
        Ok(Self {
            watcher: Watcher::spawn(means.repository, interval, messages.clone())?,
            control: ControlTopic::new(&settings.kafka, &settings.topics.prefix, metrics),
            office: Office::new(furniture, messages),
            models: BTreeMap::new(),
            inbox,
            tasks,
            is_loading: false,
            next: None,
            publisher: means.publisher,
            gate: means.gate,
            shutdown: means.shutdown,
            complaint: None,
        })
    }

    /// Serves until the shutdown begins.
    ///
    /// # Errors
    /// Threads or consumers cannot be started.
    pub(crate) fn run(&mut self, found: Vec<ModelEntry>) -> anyhow::Result<()> {
        self.await_control();
        self.scanned(Ok(found));
        while !self.shutdown.is_begun() {
            let patience = if self.next.is_some() {
                SHORT_LOOK
            } else {
                LOOK
            };
            match self.inbox.recv_timeout(patience) {
                Ok(message) => self.take(message)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message)?;
            }
            self.look();
            self.go_on();
        }
        Ok(())
    }

    /// Labels are known before the first version is served, unless the broker does not say.
    fn await_control(&mut self) {
        let until = Instant::now() + CONTROL_DEADLINE;
        while !self.control.is_known() && Instant::now() < until && !self.shutdown.is_begun() {
            self.control.look();
            if let Ok(message) = self.inbox.recv_timeout(SHORT_LOOK)
                && let Err(error) = self.take(message)
            {
                warn!("{error:#}");
            }
        }
    }

    fn take(&mut self, message: Message) -> anyhow::Result<()> {
        match message {
            Message::Scanned(found) => self.scanned(found),
            Message::Asked {
                model,
                offset,
                control,
            } => {
                let known = self.models.entry(model);
                let model = known.or_insert_with_key(|name| Model::new(name));
                model.asked(offset, control);
                model.settle(&mut self.office);
                self.watcher.nudge();
            }
            Message::Called { model, version } => self.called(&model, version),
            Message::Stopped { model } => {
                if let Some(model) = self.models.get_mut(&model) {
                    model.stopped(&mut self.office)?;
                }
            }
            Message::Done(job, outcome) => {
                self.is_loading = false;
                self.done(job, outcome)?;
            }
        }
        Ok(())
    }

    fn scanned(&mut self, found: Result<Vec<ModelEntry>, ModelError>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let complaint = format!("{:#}", anyhow::Error::from(error));
                if self.complaint.as_ref() != Some(&complaint) {
                    warn!("the models cannot be listed, what is served stays: {complaint}");
                }
                self.complaint = Some(complaint);
                return;
            }
        };
        self.complaint = None;
        for model in self.models.values_mut() {
            if !found.iter().any(|entry| entry.name == model.name) {
                model.vanished();
            }
        }
        for entry in &found {
            let known = self.models.entry(entry.name.clone());
            known
                .or_insert_with_key(|name| Model::new(name))
                .found(entry);
        }
        for model in self.models.values_mut() {
            model.settle(&mut self.office);
        }
    }

    fn called(&mut self, model: &str, version: i64) {
        if let Some(model) = self.models.get_mut(model) {
            model.wake(version, &mut self.office);
        }
    }

    fn done(&mut self, job: Job, outcome: Outcome) -> anyhow::Result<()> {
        let general = &self.office.settings.engine;
        let machine = Machine {
            cores: cores(),
            versions: self.models.values().map(|it| it.plan.wanted.len()).sum(),
        };
        let Some(model) = self.models.get_mut(&job.model) else {
            return Ok(());
        };
        let Some(live) = model.live_of(&job) else {
            return Ok(());
        };
        match outcome {
            Outcome::Loaded(loaded, fetched) => {
                model.loaded(&job, (*loaded, *fetched), &mut self.office)?;
            }
            Outcome::Failed(reason) => model.failed(&job, reason, &mut self.office),
            Outcome::NoTopics(reason) => model.postpone(&job, reason),
            Outcome::Fetched(mut fetched) => match cores::fit(&fetched.engine, general, machine) {
                Ok((engine, note)) => {
                    if let Some(note) = &note {
                        warn!(model = job.model, version = job.version.version, "{note}");
                    }
                    fetched.engine = engine;
                    live.note = note;
                    self.next = Some((job, *fetched));
                }
                Err(reason) => model.failed(&job, reason, &mut self.office),
            },
        }
        Ok(())
    }

    /// Takes everything back in order: every pipeline drains at the same time, then the descriptors go.
    ///
    /// # Errors
    /// The first thing that could not be finished in time.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.publisher.unload();
        let deadline = self.office.settings.drain_deadline;
        let pipelines = self.models.into_values().filter_map(Model::into_pipeline);
        let stops: Vec<_> = pipelines
            .map(|(pipeline, slots)| thread::spawn(move || pipeline.stop(&slots, deadline)))
            .collect();
        let mut first = Ok(());
        for stop in stops {
            let stopped = stop.join();
            let panicked = |_| Err(anyhow::anyhow!("a pipeline panicked at its stop"));
            if let Err(error) = stopped.unwrap_or_else(panicked) {
                warn!("{error:#}");
                first = first.and(Err(error));
            }
        }
        self.publisher.stop();
        first
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
