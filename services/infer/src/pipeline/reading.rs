//! One lane of a model: the consumer of its topic, which ends when dead letters become the rule and is tried again
//! later, and under `exactly_once` the thread that commits its results.

use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_kafka::{Error, GroupConsumer, GroupSettings, State};
use tracing::{debug, info, warn};

use super::intake::RequestIntake;
use super::reception::Reception;
use super::results::Results;
use super::routing::Switch;
use super::wait;
use crate::batch::Priority;

/// Records that are not answered when reading ends get no longer than this; they are read again.
const END_DEADLINE: Duration = Duration::from_secs(5);

/// One lane of a model.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) priority: Priority,
    pub(super) group: GroupSettings,
    phase: Phase,
    /// Under `exactly_once`.
    pub(super) transactor: Option<JoinHandle<()>>,
}

/// What a consumer is fed into.
pub(super) struct Course<'a> {
    pub(super) switch: &'a Switch,
    pub(super) results: &'a Arc<Results>,
    /// The largest value, in a record or fetched for it.
    pub(super) max_value_bytes: usize,
    pub(super) metrics: &'a millrace_kafka::Metrics,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was read yet.
    Before,
    Running(GroupConsumer),
    /// The consumer leaves its group on a thread of its own, which waits.
    Ending(JoinHandle<()>),
    /// There is no consumer until then.
    Resting(Instant),
}

impl Reading {
    pub(super) fn new(
        priority: Priority,
        group: GroupSettings,
        transactor: Option<JoinHandle<()>>,
    ) -> Self {
        Self {
            priority,
            group,
            phase: Phase::Before,
            transactor,
        }
    }

    /// The topic of its records.
    pub(super) fn topic(&self) -> &str {
        self.group.topics.first().map_or("", String::as_str)
    }

    /// Begins to read, unless it has begun.
    ///
    /// # Errors
    /// The consumer cannot start.
    pub(super) fn begin(&mut self, course: &Course<'_>) -> anyhow::Result<()> {
        if !matches!(self.phase, Phase::Before) {
            return Ok(());
        }
        let results = Arc::clone(course.results);
        let reception = Reception::new(course.max_value_bytes, results);
        let intake = RequestIntake::new(self.priority, course.switch.reader(), reception);
        let consumer = GroupConsumer::start(self.group.clone(), intake, course.metrics)
            .context("the consumer cannot start")?;
        self.phase = Phase::Running(consumer);
        Ok(())
    }

    /// What the consumer is doing.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Running(consumer) => consumer.state().borrow().clone(),
            Phase::Before | Phase::Ending(_) | Phase::Resting(_) => State::Starting,
        }
    }

    /// Why nothing is read, if dead letters are the reason.
    pub(super) fn complaint(&self, results: &Results) -> Option<String> {
        results.outlet(self.priority).limit.complaint()
    }

    /// Ends reading when its limit of dead letters is reached, and begins again when the pause is over.
    ///
    /// # Errors
    /// The consumer cannot start.
    pub(super) fn look(&mut self, course: &Course<'_>) -> anyhow::Result<()> {
        let limit = &course.results.outlet(self.priority).limit;
        match &self.phase {
            Phase::Running(_) if limit.is_reached() => self.end(course.results)?,
            Phase::Ending(thread) if thread.is_finished() => {
                self.phase = Phase::Resting(Instant::now() + limit.pause());
            }
            Phase::Resting(until) if Instant::now() >= *until => {
                let model = course.results.model();
                info!(model, lane = self.priority.name(), "reading is tried again");
                limit.try_again();
                self.phase = Phase::Before;
                self.begin(course)?;
            }
            Phase::Before | Phase::Running(_) | Phase::Ending(_) | Phase::Resting(_) => {}
        }
        let metrics = course.results.metrics();
        metrics.set_stopped(self.priority.name(), limit.is_reached());
        Ok(())
    }

    /// Ends the pause: something has changed, so that it may go well now.
    pub(super) fn try_again(&mut self) {
        if let Phase::Resting(until) = &mut self.phase {
            *until = Instant::now();
        }
    }

    fn end(&mut self, results: &Results) -> anyhow::Result<()> {
        let Phase::Running(consumer) = mem::replace(&mut self.phase, Phase::Before) else {
            return Ok(());
        };
        let (model, lane) = (results.model(), self.priority.name());
        let complaint = results.outlet(self.priority).limit.complaint();
        warn!(model, lane, "{}", complaint.unwrap_or_default());
        let deadline = self.group.drain_deadline.min(END_DEADLINE);
        let leave = move || {
            if let Err(error) = consumer.stop(deadline) {
                debug!(%error, "records are left for later");
            }
        };
        self.phase = Phase::Ending(results.fatal().spawn("reading ends", leave)?);
        Ok(())
    }

    /// Takes no more records, finishes those it has, commits and leaves the group.
    ///
    /// # Errors
    /// What could not be finished in time.
    pub(super) fn stop(&mut self, deadline: Duration) -> Result<(), Error> {
        match mem::replace(&mut self.phase, Phase::Before) {
            Phase::Running(consumer) => consumer.stop(deadline),
            Phase::Ending(thread) => {
                wait(Instant::now() + deadline, || thread.is_finished());
                Ok(())
            }
            Phase::Before | Phase::Resting(_) => Ok(()),
        }
    }
}
