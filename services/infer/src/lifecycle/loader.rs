//! The thread that loads: it fetches files, waits for topics and builds engines, one version at a time, beside whatever
//! is being served.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use millrace_boot::Shutdown;
use millrace_kafka::Admin;
use tracing::info;

use super::messages::{Fetched, Job, Message, Outcome, Task};
use crate::engine::Libraries;
use crate::fatal::Fatal;
use crate::models;
use crate::repository::Repository;
use crate::safety::Safety;
use crate::settings::TopicSettings;
use crate::topics::{ModelTopics, SharedTopics, Stopping, TopicWait};

/// Belongs to the loader's thread.
pub(super) struct Loader {
    pub(super) repository: Repository,
    pub(super) libraries: Libraries,
    pub(super) admin: Admin,
    pub(super) settings: TopicSettings,
    pub(super) shared: SharedTopics,
    pub(super) shutdown: Shutdown,
    /// Models that were there at the start: for their topics it is worth to wait.
    pub(super) first: BTreeSet<String>,
    pub(super) fatal: Fatal,
    pub(super) safety: Safety,
    pub(super) messages: Sender<Message>,
}

impl Loader {
    /// Works until the other side of `tasks` is gone.
    pub(super) fn spawn(self, tasks: Receiver<Task>) -> anyhow::Result<()> {
        thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || self.run(&tasks))
            .map(drop)
            .context("cannot start the thread that loads models")
    }

    fn run(&self, tasks: &Receiver<Task>) {
        let once = TopicSettings {
            wait: Duration::ZERO,
            ..self.settings.clone()
        };
        let mut topics = Topics {
            first: &self.first,
            wait: TopicWait::new(&self.admin, &self.settings, &self.shutdown),
            once: TopicWait::new(&self.admin, &once, &self.shutdown),
            shared: &self.shared,
            known: HashMap::new(),
        };
        while let Ok(task) = tasks.recv() {
            let (job, outcome) = match task {
                Task::Fetch(job) => (job.clone(), self.fetch(&job)),
                Task::Load(job, fetched) => {
                    let outcome = self.load(*fetched, &mut topics);
                    (job, outcome)
                }
            };
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    if !error.is::<Stopping>() {
                        self.fatal.report(error);
                    }
                    return;
                }
            };
            if self.messages.send(Message::Done(job, outcome)).is_err() {
                return;
            }
        }
    }

    fn fetch(&self, job: &Job) -> anyhow::Result<Outcome> {
        let fetched = match self.repository.fetch(&job.model, &job.version) {
            Ok(source) => Fetched {
                engine: source.options.engine.clone(),
                source,
                topics: None,
            },
            Err(error) => return Ok(failed(error.into())),
        };
        Ok(Outcome::Fetched(Box::new(fetched)))
    }

    /// An error is everybody's, not the model's.
    fn load(&self, mut fetched: Fetched, topics: &mut Topics<'_>) -> anyhow::Result<Outcome> {
        let wanted = (
            fetched.source.name.clone(),
            fetched.source.options.reading.bulk.enabled,
        );
        if let Err(sentence) = topics.look_early(&wanted) {
            return Ok(Outcome::NoTopics(sentence));
        }
        fetched.source.options.engine = fetched.engine.clone();
        let source = &fetched.source;
        info!(
            model = source.name,
            version = source.version,
            size_bytes = source.size_bytes,
            "loading"
        );
        let model = match models::load(source, &self.libraries, &self.safety) {
            Ok(model) => model,
            Err(error) => return Ok(failed(error)),
        };
        fetched.topics = Some(topics.of_model(&wanted)?);
        Ok(Outcome::Loaded(Box::new(model), Box::new(fetched)))
    }
}

/// An error and its causes in one line.
fn failed(error: anyhow::Error) -> Outcome {
    Outcome::Failed(format!("{error:#}"))
}

/// A model, and whether it has a bulk lane.
type Wanted = (String, bool);

/// The topics of models, found once.
struct Topics<'a> {
    first: &'a BTreeSet<String>,
    wait: TopicWait<'a>,
    once: TopicWait<'a>,
    shared: &'a SharedTopics,
    known: HashMap<Wanted, ModelTopics>,
}

impl Topics<'_> {
    /// A model that came later is not loaded before its topics are there.
    fn look_early(&mut self, wanted: &Wanted) -> Result<(), String> {
        if self.first.contains(&wanted.0) {
            return Ok(());
        }
        let topics = self.of_model(wanted);
        topics.map(drop).map_err(|error| error.to_string())
    }

    /// Waits, if the model was there at the start.
    fn of_model(&mut self, wanted: &Wanted) -> anyhow::Result<ModelTopics> {
        let (model, has_bulk) = wanted;
        if let Some(topics) = self.known.get(wanted) {
            return Ok(topics.clone());
        }
        let wait = if self.first.contains(model) {
            &mut self.wait
        } else {
            &mut self.once
        };
        let topics = wait.of_model(self.shared, (model.as_str(), *has_bulk))?;
        self.known.insert(wanted.clone(), topics.clone());
        Ok(topics)
    }
}
