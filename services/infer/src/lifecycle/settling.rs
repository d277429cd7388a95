//! How one model comes from what is served to what should be: versions are loaded, switched to, retired.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::thread;

use tracing::{error, info, warn};

use super::live::{Failure, Live, Retired, Stage};
use super::messages::{Fetched, Job, Message};
use super::model::Model;
use super::office::Office;
use super::plan;
use crate::models::LoadedModel;
use crate::pipeline::{Canary, Table};

impl Model {
    /// Brings what is served in line with what is wanted: begins to load, switches, retires.
    pub(super) fn settle(&mut self, office: &mut Office) {
        self.has_news = true;
        self.forget_failures();
        let present = self.present.keys().copied().collect();
        let failed = self.failed.keys().copied().collect();
        let options = self.options.clone().unwrap_or_default();
        self.plan = plan::plan(&present, &failed, &options, self.control.as_ref());
        if !self.is_stopping {
            self.begin_to_load(office);
        }
        let (usable, coming) = (self.usable(), self.coming());
        let routes = plan::routes(&self.plan, &self.labels, &usable, &coming);
        let retiring = plan::to_retire(&self.plan, &routes, &usable, &coming);
        if usable.is_subset(&retiring) {
            self.labels = BTreeMap::new();
            self.canary = None;
            return self.close(&retiring, office);
        }
        let remain = |versions: &BTreeSet<i64>| versions.difference(&retiring).copied().collect();
        let routes = plan::routes(&self.plan, &self.labels, &remain(&usable), &remain(&coming));
        self.labels = routes.labels;
        self.canary = routes.canary;
        let gone: Vec<Live> = retiring
            .iter()
            .filter_map(|version| self.live.remove(version))
            .collect();
        let generation = self.switch(routes.default);
        for live in gone {
            info!(
                model = self.name,
                version = live.version.version,
                "letting go of the version"
            );
            self.retire(live, generation, None);
        }
    }

    fn forget_failures(&mut self) {
        let present = &self.present;
        let is_same = |version: &i64, failure: &mut Failure| {
            present
                .get(version)
                .is_some_and(|entry| entry.fingerprint == failure.fingerprint)
        };
        self.failed.retain(is_same);
    }

    fn begin_to_load(&mut self, office: &mut Office) {
        // The newest first: it is the one that most records wait for.
        for version in self.plan.wanted.iter().rev() {
            let live = self.live.get_mut(version);
            let is_settled = live.as_ref().is_some_and(|live| !live.is_postponed)
                || self.failed.contains_key(version);
            if let Some(entry) = self.present.get(version).filter(|_| !is_settled) {
                let job = office.job(&self.name, entry);
                match live {
                    Some(live) => {
                        live.serial = job.serial;
                        live.is_postponed = false;
                    }
                    None => {
                        self.live.insert(*version, Live::new(entry, job.serial));
                    }
                }
                office.queue_load(job);
            }
        }
    }

    fn usable(&self) -> BTreeSet<i64> {
        let usable = self.live.iter().filter(|(_, live)| live.is_usable());
        usable.map(|(version, _)| *version).collect()
    }

    fn coming(&self) -> BTreeSet<i64> {
        let coming = self.live.iter().filter(|(_, live)| !live.is_usable());
        coming.map(|(version, _)| *version).collect()
    }

    /// From the next record on, what is live is routed to.
    fn switch(&self, default: Option<i64>) -> u64 {
        let Some(pipeline) = &self.pipeline else {
            return 0;
        };
        let failed = self.failed.iter();
        let canary = self
            .canary
            .map(|(version, percent)| Canary { version, percent });
        pipeline.switch().set(Table {
            model: self.name.clone(),
            generation: 0,
            slots: self
                .live
                .iter()
                .map(|(version, live)| (*version, live.slot.clone()))
                .collect(),
            failed: failed
                .map(|(version, failure)| (*version, failure.reason.clone()))
                .collect(),
            labels: self.labels.clone(),
            default,
            canary,
        })
    }

    fn retire(&mut self, live: Live, generation: u64, reason: Option<String>) {
        self.retired.push(Retired {
            bytes: live.bytes_in_memory(),
            slot: live.slot,
            version: live.version,
            generation,
            reason,
            is_closed: false,
        });
    }

    /// Nothing is left that can answer: reading ends first, so that records wait in their topic. Versions that are being
    /// loaded go on, but for those in `retiring`.
    fn close(&mut self, retiring: &BTreeSet<i64>, office: &Office) {
        let gone: Vec<Live> = retiring
            .iter()
            .filter_map(|version| self.live.remove(version))
            .collect();
        let Some(pipeline) = self.pipeline.take() else {
            return;
        };
        self.is_stopping = true;
        self.ending = gone.iter().map(|live| live.version.version).collect();
        self.has_joined = false;
        let mut slots: Vec<_> = gone.into_iter().map(|live| live.slot).collect();
        slots.extend(
            mem::take(&mut self.retired)
                .into_iter()
                .map(|retired| retired.slot),
        );
        let (model, deadline, messages) = (
            self.name.clone(),
            office.settings.drain_deadline,
            office.messages.clone(),
        );
        info!(model, "no version is left to serve: reading ends");
        thread::spawn(move || {
            if let Err(error) = pipeline.stop(&slots, deadline) {
                warn!("{error:#}");
            }
            let _ = messages.send(Message::Stopped { model });
        });
    }

    /// The pipeline of before has ended: what came meanwhile has its turn.
    ///
    /// # Errors
    /// As [`loaded`](Self::loaded).
    pub(super) fn stopped(&mut self, office: &mut Office) -> anyhow::Result<()> {
        self.is_stopping = false;
        self.ending.clear();
        for (job, loaded, fetched) in mem::take(&mut self.held) {
            self.loaded(&job, (loaded, fetched), office)?;
        }
        self.settle(office);
        Ok(())
    }

    /// A version has its engines.
    ///
    /// # Errors
    /// Threads or the consumer cannot be started.
    pub(super) fn loaded(
        &mut self,
        job: &Job,
        (loaded, fetched): (LoadedModel, Fetched),
        office: &mut Office,
    ) -> anyhow::Result<()> {
        if self.is_stopping {
            // Two consumers of one process must not share the name of a member.
            self.held.push((job.clone(), loaded, fetched));
            return Ok(());
        }
        let reading = fetched.source.options.reading;
        let topics = fetched.topics.clone();
        let Some(live) = self.live_of(job) else {
            return Ok(());
        };
        live.fetched = Some(fetched);
        live.stage = Stage::Awake;
        let slot = Arc::clone(&live.slot);
        info!(model = self.name, version = slot.version(), "loaded");
        if let (None, Some(topics)) = (&self.pipeline, topics) {
            self.pipeline = Some(office.pipeline(&self.name, (topics, reading))?);
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.open(&slot, loaded, office.bell(&self.name, slot.version()))?;
        }
        self.settle(office);
        match &mut self.pipeline {
            Some(pipeline) => {
                pipeline.try_again();
                pipeline.consume()
            }
            None => Ok(()),
        }
    }

    /// A version cannot be served; what waits for it hears why.
    pub(super) fn failed(&mut self, job: &Job, reason: String, office: &mut Office) {
        let version = job.version.version;
        error!(
            model = self.name,
            version, reason, "the version is not served"
        );
        self.failed.insert(
            version,
            Failure {
                fingerprint: job.version.fingerprint.clone(),
                reason: reason.clone(),
            },
        );
        let live = self.live.remove(&version);
        if let (Some(live), Some(pipeline)) = (&live, &self.pipeline) {
            pipeline.refuse(&live.slot, &reason);
        }
        self.settle(office);
        if let (Some(live), Some(pipeline)) = (live, &self.pipeline) {
            let generation = pipeline.switch().table().generation;
            self.retire(live, generation, Some(reason));
        }
    }
}
