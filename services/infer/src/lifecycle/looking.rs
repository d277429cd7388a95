//! What is done again and again: states are looked at, memory is made, and readiness is kept true.

use tracing::{error, info};

use super::memory::{self, Room, Tenant};
use super::messages::Task;
use super::{Lifecycle, State};

impl Lifecycle {
    /// Brings readiness and descriptors in line with what runs; a client that failed is fatal.
    pub(super) fn look(&mut self) {
        self.control.look();
        if let State::Failed(error) = self.office.producer.state().borrow().clone() {
            let failed = anyhow::Error::new(error).context("the producer failed");
            self.office.fatal.report(failed);
        }
        let (mut serving, mut complaints) = (0, Vec::new());
        for model in self.models.values_mut() {
            model.look(&mut self.office);
            match model.complaint(&self.office.fatal) {
                None => serving += 1,
                Some(complaint) => complaints.push(format!("model {}: {complaint}", model.name)),
            }
            self.publisher
                .set_backlog(&model.name, model.backlog_records());
            if std::mem::take(&mut model.has_news) {
                let descriptors = model.descriptors(&self.office.replica);
                let states = descriptors.iter().map(|it| (it.version, it.state));
                let states: Vec<_> = states.collect();
                self.office.metrics.tell_states(&model.name, &states);
                self.publisher.publish(&model.name, descriptors);
            }
        }
        self.models.retain(|name, model| {
            let stays = !model.is_gone() || model.control_offset >= 0;
            if !stays {
                info!(model = name, "the model is gone");
                self.office.metrics.tell_states(name, &[]);
            }
            stays
        });
        if serving > 0 {
            self.gate.open();
        } else {
            self.gate.close(complaints.join("; "));
        }
    }

    /// Gives the loader its next task, once there is memory for it.
    pub(super) fn go_on(&mut self) {
        while !self.is_loading && (self.next.is_some() || self.take_job()) {
            if !self.load_next() {
                return;
            }
        }
    }

    /// Whether a job is ready to be loaded; others are sent to be fetched.
    fn take_job(&mut self) -> bool {
        while let Some(job) = self.office.next_job() {
            let model = self.models.get_mut(&job.model);
            let Some(live) = model.and_then(|model| model.live_of(&job)) else {
                continue;
            };
            if let Some(fetched) = live.fetched.clone() {
                self.next = Some((job, fetched));
                return true;
            }
            self.is_loading = self.tasks.send(Task::Fetch(job)).is_ok();
            return false;
        }
        false
    }

    /// Loads what waits for memory, if there is room. Whether there is nothing to wait for.
    fn load_next(&mut self) -> bool {
        let Some((job, fetched)) = self.next.take() else {
            return true;
        };
        let is_wanted = |model: &mut super::Model| model.live_of(&job).is_some();
        if !self.models.get_mut(&job.model).is_some_and(is_wanted) {
            return true;
        }
        let budget = self.office.settings.models.memory_budget;
        match memory::room(fetched.bytes(), budget, &self.tenants()) {
            Room::There => {
                let task = Task::Load(job, Box::new(fetched));
                self.is_loading = self.tasks.send(task).is_ok();
                true
            }
            Room::After(leaving) => {
                for (model, version) in leaving {
                    self.send_away(&model, version);
                }
                self.next = Some((job, fetched));
                false
            }
            Room::Never => {
                let reason = format!(
                    "it needs {} bytes, more than models.memory_budget of {}: raise that, or say what it really needs \
                     as versions.memory in its model.toml",
                    fetched.bytes(),
                    budget.unwrap_or_default()
                );
                if let Some(model) = self.models.get_mut(&job.model) {
                    model.failed(&job, reason, &mut self.office);
                }
                true
            }
        }
    }

    /// Whose engines are in memory.
    fn tenants(&self) -> Vec<Tenant> {
        self.models
            .values()
            .flat_map(super::Model::tenants)
            .collect()
    }

    fn send_away(&mut self, model: &str, version: i64) {
        let model = self.models.get_mut(model);
        if let Some(live) = model.and_then(|model| model.live.get_mut(&version)) {
            info!(version, "the engines leave, to make room in memory");
            live.send_away();
        } else {
            error!(version, "there are no engines to be sent away");
        }
    }
}
