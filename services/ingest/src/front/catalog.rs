//! Which models are served, by whom, with which signature: the models topic, remembered.
//!
//! Infer replicas publish a descriptor per model version and renew its lease
//! every few seconds. A lease that ran out means that its replica is gone; a
//! tombstone says so at once. All times are Unix milliseconds.

mod answer;
mod listing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use millrace_wire::Signature;
use millrace_wire::avro::{ModelDescriptor, ModelState};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::front::Wanted;

pub(crate) use answer::{Names, NotServed, Served, VersionStatus};
pub(crate) use listing::Listed;

/// Descriptors this long past their lease are forgotten, so that replicas
/// with random names do not add up. Until then a model without a replica is
/// "not served at the moment" and not "unknown".
const FORGET_AFTER_MS: i64 = 60 * 60 * 1000;

/// A record of the models topic that is no descriptor.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadDescriptor {
    #[error("key is not of the form model/version/replica")]
    Key,
    #[error("key does not agree with the descriptor of {model}/{version}/{replica}")]
    OtherKey {
        model: String,
        version: i64,
        replica: String,
    },
    #[error("value is not a model descriptor")]
    Value(#[source] millrace_wire::avro::AvroError),
    #[error("signature is not usable")]
    Signature(#[source] millrace_wire::avro::AvroError),
}

/// Everything the models topic says; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// Held for one look-up or one change at a time.
    models: Arc<RwLock<Models>>,
    /// Whether all that was written so far has been read.
    reading: Arc<AtomicBool>,
    /// Told of every change.
    changed: Arc<Notify>,
}

/// By model, then version, then replica.
type Models = BTreeMap<String, BTreeMap<i64, BTreeMap<String, Replica>>>;

/// What one replica said last about one version.
#[derive(Debug)]
struct Replica {
    said: ModelDescriptor,
    signature: Arc<Signature>,
}

impl Replica {
    fn is_live(&self, now_unix_ms: i64) -> bool {
        self.said.lease_until_unix_ms > now_unix_ms
    }

    fn is_available(&self, now_unix_ms: i64) -> bool {
        self.is_live(now_unix_ms) && self.said.state == ModelState::Available
    }
}

impl Catalog {
    /// Takes in one record of the models topic; no value is a tombstone.
    ///
    /// # Errors
    /// [`BadDescriptor`] for a record that changes nothing.
    pub(crate) fn apply(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        now_unix_ms: i64,
    ) -> Result<(), BadDescriptor> {
        let (model, version, replica) = parse_key(key).ok_or(BadDescriptor::Key)?;
        let Some(value) = value else {
            self.change(|models| remove(models, model, version, replica));
            return Ok(());
        };
        let descriptor = ModelDescriptor::decode(value).map_err(BadDescriptor::Value)?;
        let given = (
            descriptor.model.as_str(),
            descriptor.version,
            descriptor.replica.as_str(),
        );
        if given != (model, version, replica) {
            return Err(BadDescriptor::OtherKey {
                model: descriptor.model,
                version: descriptor.version,
                replica: descriptor.replica,
            });
        }
        let signature = descriptor.signature().map_err(BadDescriptor::Signature)?;
        self.change(|models| {
            insert(models, descriptor, signature);
            forget(models, now_unix_ms - FORGET_AFTER_MS);
        });
        Ok(())
    }

    /// Says whether the catalog is complete at the moment. While it is not, who
    /// is known to serve is asked, and nobody is told that a model is unknown.
    pub(crate) fn set_reading(&self, reading: bool) {
        self.reading.store(reading, Ordering::Release);
    }

    /// Who can answer for a model now, and what its inputs are.
    ///
    /// # Errors
    /// [`NotServed`], which says what is served instead.
    pub(crate) fn find(
        &self,
        model: &str,
        wanted: &Wanted,
        now_unix_ms: i64,
    ) -> Result<Served, NotServed> {
        self.ask(|models| answer::find(models, model, wanted, now_unix_ms))
    }

    /// What is said of a model that nobody ever published.
    pub(crate) fn unknown(&self, model: &str, now_unix_ms: i64) -> NotServed {
        let answer: Result<NotServed, NotServed> =
            self.ask(|models| Err(answer::unknown(models, model, now_unix_ms)));
        answer.unwrap_or_else(|error| error)
    }

    /// The model that a request means which names none, of those that the
    /// caller may use.
    ///
    /// # Errors
    /// [`NotServed::NotRead`], [`NotServed::Nothing`], [`NotServed::Ambiguous`].
    pub(crate) fn only_model(
        &self,
        may: impl Fn(&str) -> bool,
        now_unix_ms: i64,
    ) -> Result<String, NotServed> {
        self.ask(|models| answer::only_model(models, may, now_unix_ms))
    }

    /// The versions of a model, newest first, as far as the caller wants them.
    ///
    /// # Errors
    /// [`NotServed`] for a model, version or label that nobody ever published.
    pub(crate) fn versions(
        &self,
        model: &str,
        wanted: &Wanted,
        now_unix_ms: i64,
    ) -> Result<Vec<VersionStatus>, NotServed> {
        self.ask(|models| answer::versions(models, model, wanted, now_unix_ms))
    }

    /// Every version of every model that anybody published.
    ///
    /// # Errors
    /// [`NotServed::NotRead`] while the list is not complete.
    pub(crate) fn list(&self, now_unix_ms: i64) -> Result<Vec<Listed>, NotServed> {
        match self.reading.load(Ordering::Acquire) {
            true => self.ask(|models| Ok(listing::all(models, now_unix_ms))),
            false => Err(NotServed::NotRead),
        }
    }

    /// The versions of a model, newest first, as far as the caller wants them.
    ///
    /// # Errors
    /// As those of [`Self::versions`].
    pub(crate) fn list_of(
        &self,
        model: &str,
        wanted: &Wanted,
        now_unix_ms: i64,
    ) -> Result<Vec<Listed>, NotServed> {
        self.ask(|models| listing::wanted(models, model, wanted, now_unix_ms))
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Models) -> Result<T, NotServed>,
    ) -> Result<T, NotServed> {
        let answer = question(&self.models.read().unwrap_or_else(PoisonError::into_inner));
        match answer {
            Err(NotServed::Ambiguous { .. }) | Ok(_) => answer,
            Err(_) if !self.reading.load(Ordering::Acquire) => Err(NotServed::NotRead),
            Err(_) => answer,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Models)) {
        change(&mut self.models.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    /// What the replicas that live say of a model, by version and replica.
    pub(crate) fn said_of(&self, model: &str, now_unix_ms: i64) -> Vec<ModelDescriptor> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let versions = models.get(model).into_iter().flat_map(BTreeMap::values);
        let live = versions
            .flat_map(BTreeMap::values)
            .filter(|replica| replica.is_live(now_unix_ms));
        live.map(|replica| replica.said.clone()).collect()
    }

    /// Ends with the next change after it is first polled or enabled.
    pub(crate) fn next_change(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

/// `model/version/replica`; only the replica may hold slashes.
fn parse_key(key: Option<&[u8]>) -> Option<(&str, i64, &str)> {
    let mut parts = std::str::from_utf8(key?).ok()?.splitn(3, '/');
    let (model, version, replica) = (parts.next()?, parts.next()?, parts.next()?);
    Some((model, version.parse().ok()?, replica))
}

fn insert(models: &mut Models, descriptor: ModelDescriptor, signature: Signature) {
    let versions = models.entry(descriptor.model.clone()).or_default();
    let replicas = versions.entry(descriptor.version).or_default();
    let renewed = replicas
        .get(&descriptor.replica)
        .filter(|it| *it.signature == signature);
    let signature = match renewed {
        Some(before) => Arc::clone(&before.signature),
        None => Arc::new(signature),
    };
    let name = descriptor.replica.clone();
    let said = descriptor;
    replicas.insert(name, Replica { said, signature });
}

fn remove(models: &mut Models, model: &str, version: i64, replica: &str) {
    if let Some(replicas) = models.get_mut(model).and_then(|it| it.get_mut(&version)) {
        replicas.remove(replica);
    }
    drop_empty(models);
}

fn forget(models: &mut Models, before_unix_ms: i64) {
    for replicas in models.values_mut().flat_map(BTreeMap::values_mut) {
        replicas.retain(|_, replica| replica.said.lease_until_unix_ms > before_unix_ms);
    }
    drop_empty(models);
}

fn drop_empty(models: &mut Models) {
    for versions in models.values_mut() {
        versions.retain(|_, replicas| !replicas.is_empty());
    }
    models.retain(|_, versions| !versions.is_empty());
}
