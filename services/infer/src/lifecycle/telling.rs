//! What the models topic is told of one model.

use std::collections::BTreeMap;

use millrace_kafka::State;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use tracing::info;

use super::live::{Live, Stage};
use super::memory::Tenant;
use super::messages::Job;
use super::model::Model;
use super::office::Office;
use crate::batch::Priority;
use crate::descriptors::{announcement, available};
use crate::fatal::Fatal;
use crate::repository::ReadingOptions;

/// Said of a version whose engines have left to make room.
const ASLEEP: &str = "unloaded for memory; the next request loads it";

impl Model {
    /// Takes note of engines that have ended and of records that wait for engines.
    pub(super) fn look(&mut self, office: &mut Office) {
        let mut called = Vec::new();
        for (version, live) in &mut self.live {
            self.has_news |= live.look();
            if live.is_called() {
                called.push(*version);
            }
        }
        for version in called {
            self.wake(version, office);
        }
        self.look_at_retired();
    }

    /// A version leaves for good once the intake has seen a table without it and its queue is empty.
    fn look_at_retired(&mut self) {
        let Some(pipeline) = &self.pipeline else {
            return;
        };
        let live = &self.live;
        let before = self.retired.len();
        self.retired.retain_mut(|retired| {
            if !retired.is_closed && pipeline.switch().has_seen(retired.generation) {
                retired.is_closed = true;
                if let Some(station) = retired.slot.station() {
                    station.close();
                }
            }
            let station = retired.slot.station();
            let has_ended = retired.is_closed && station.is_none_or(|station| station.is_left());
            if has_ended {
                let reason = retired.reason.as_deref();
                pipeline.refuse(&retired.slot, reason.unwrap_or("it has been unloaded"));
                if let Some(station) =
                    station.filter(|_| !live.contains_key(&retired.version.version))
                {
                    station.metrics.forget();
                }
            }
            !has_ended
        });
        self.has_news |= self.retired.len() != before;
    }

    /// Brings the engines of a version back.
    pub(super) fn wake(&mut self, version: i64, office: &mut Office) {
        let Some(live) = self.live.get_mut(&version) else {
            return;
        };
        if live.stage == Stage::Asleep {
            let job = office.job(&self.name, &live.version);
            live.serial = job.serial;
            live.stage = Stage::Waking;
            office.queue_wake(job);
        }
    }

    /// The model's topics are not there; the next look at the repository tries again.
    pub(super) fn postpone(&mut self, job: &Job, reason: String) {
        let name = self.name.clone();
        if let Some(live) = self.live_of(job) {
            if live.note.as_ref() != Some(&reason) {
                info!(model = name, "{reason}");
            }
            live.note = Some(reason);
            live.is_postponed = true;
        }
        self.has_news = true;
    }

    pub(super) fn tenants(&self) -> Vec<Tenant> {
        let tenant = |version, bytes, last_run_ms, may_leave| Tenant {
            model: self.name.clone(),
            version,
            bytes,
            last_run_ms,
            may_leave,
        };
        let live = self.live.iter().map(|(version, live)| {
            let may_leave = live.stage == Stage::Awake;
            tenant(
                *version,
                live.bytes_in_memory(),
                live.last_run_ms(),
                may_leave,
            )
        });
        let retired = self.retired.iter();
        live.chain(retired.map(|retired| tenant(retired.version.version, retired.bytes, 0, false)))
            .filter(|tenant| tenant.bytes > 0)
            .collect()
    }

    /// Why its records are not answered; `None` if they are.
    pub(super) fn complaint(&mut self, fatal: &Fatal) -> Option<String> {
        let Some(pipeline) = &mut self.pipeline else {
            return Some(self.why_not_served());
        };
        if let Err(error) = pipeline.look() {
            fatal.report(error);
        }
        let states = pipeline.states();
        for state in &states {
            if let State::Failed(error) = state {
                let context = format!("the consumer of model {} failed", self.name);
                fatal.report(anyhow::Error::new(error.clone()).context(context));
            }
        }
        let halted = pipeline.complaint(Priority::Interactive);
        self.has_news |= halted != self.halted;
        self.has_joined &= halted.is_none();
        self.halted = halted;
        let state = states.into_iter().next().unwrap_or(State::Starting);
        let is_read = state.is_running() && self.halted.is_none();
        if is_read && !self.has_joined {
            info!(model = self.name, "serving");
            self.has_joined = true;
            self.has_news = true;
        }
        for live in self.live.values() {
            if let Some(station) = live.slot.station() {
                station.metrics.available.set(i64::from(is_read));
            }
        }
        let complaint = || Some(state.complaint()?.to_string());
        self.halted.clone().or_else(complaint)
    }

    fn why_not_served(&self) -> String {
        if let Some(live) = self.live.values().next_back() {
            let note = live.note.clone().filter(|_| live.is_postponed);
            return note.unwrap_or_else(|| "models are being loaded".to_owned());
        }
        let failure = self
            .failed
            .values()
            .next_back()
            .map(|failure| failure.reason.clone());
        failure
            .or_else(|| self.fault.clone())
            .unwrap_or_else(|| self.why_not_wanted().to_owned())
    }

    fn why_not_wanted(&self) -> &'static str {
        if self.plan.unloaded {
            "unloaded on request"
        } else {
            "not asked for by the version policy"
        }
    }

    pub(super) fn backlog_records(&self) -> i64 {
        self.pipeline
            .as_ref()
            .map_or(0, |pipeline| pipeline.backlog_records())
    }

    /// One descriptor for each version that is there.
    pub(super) fn descriptors(&self, replica: &str) -> Vec<ModelDescriptor> {
        let simple = |version, state, reason: &str| ModelDescriptor {
            reason: reason.to_owned(),
            ..announcement(replica, &self.name, version, state)
        };
        let mut all = BTreeMap::new();
        for version in self.present.keys() {
            all.insert(
                *version,
                simple(*version, ModelState::End, self.why_not_wanted()),
            );
        }
        if let Some(fault) = &self.fault {
            let faulty = self.plan.missing.iter().copied();
            let nameless = self.present.is_empty().then_some(0);
            for version in faulty.chain(nameless) {
                all.insert(version, simple(version, ModelState::Failed, fault));
            }
        }
        let retired = self.retired.iter().map(|retired| retired.version.version);
        for version in retired.chain(self.ending.iter().copied()) {
            all.insert(version, simple(version, ModelState::Unloading, ""));
        }
        for (version, failure) in &self.failed {
            all.insert(
                *version,
                simple(*version, ModelState::Failed, &failure.reason),
            );
        }
        for (version, live) in &self.live {
            all.insert(*version, self.describe(live, replica));
        }
        let versions = all
            .into_iter()
            .map(|(version, descriptor)| ModelDescriptor {
                labels: self.labels_of(version),
                control_offset: self.control_offset,
                ..descriptor
            });
        versions.collect()
    }

    fn labels_of(&self, version: i64) -> Vec<String> {
        let labels = self
            .labels
            .iter()
            .filter(|(_, labelled)| **labelled == version);
        labels.map(|(label, _)| label.clone()).collect()
    }

    fn bulk_note(&self) -> Option<String> {
        let complaint = self.pipeline.as_ref()?.complaint(Priority::Bulk)?;
        Some(format!("bulk lane: {complaint}"))
    }

    fn describe(&self, live: &Live, replica: &str) -> ModelDescriptor {
        let version = live.version.version;
        let station = live
            .slot
            .station()
            .filter(|_| live.is_usable() && self.has_joined);
        let note = live.note.clone().or_else(|| self.reading_note());
        let note = note.or_else(|| self.bulk_note()).unwrap_or_default();
        let Some(station) = station else {
            let halted = self.halted.clone().filter(|_| live.is_usable());
            let state = halted
                .as_ref()
                .map_or(ModelState::Loading, |_| ModelState::Failed);
            return ModelDescriptor {
                reason: halted.unwrap_or(note),
                ..announcement(replica, &self.name, version, state)
            };
        };
        let is_away = matches!(live.stage, Stage::Asleep | Stage::Waking);
        let reading = self.pipeline.as_ref().map(|pipeline| pipeline.options());
        let share = self.canary.filter(|(canary, _)| *canary == version);
        ModelDescriptor {
            reason: if is_away { ASLEEP.to_owned() } else { note },
            delivery: reading.map_or("", |it| it.delivery.name()).to_owned(),
            lanes: reading.map(ReadingOptions::lanes).unwrap_or_default(),
            canary_percent: share.map_or(0, |(_, percent)| whole_percent(percent)),
            ..available(replica, &station.served)
        }
    }
}

/// Rounded, but a canary that gets anything shows at least 1.
fn whole_percent(percent: f64) -> i32 {
    (1..=100)
        .rev()
        .find(|whole| f64::from(*whole) <= percent.round())
        .unwrap_or(1)
}
