//! One version that is, was or will be in memory.

use std::sync::Arc;

use super::messages::Fetched;
use crate::pipeline::Slot;
use crate::repository::{Fingerprint, VersionEntry};

/// A version that records can be routed to.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) slot: Arc<Slot>,
    pub(super) stage: Stage,
    /// The job that loads it, or loaded it last.
    pub(super) serial: u64,
    pub(super) version: VersionEntry,
    /// What it was loaded from; `None` before that.
    pub(super) fetched: Option<Fetched>,
    /// What there is to say about it.
    pub(super) note: Option<String>,
    /// Its model's topics were not there; it is tried again.
    pub(super) is_postponed: bool,
}

/// How far a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its engines are awaited for the first time, or it waits for its turn.
    Loading,
    /// Its engines run.
    Awake,
    /// Its engines finish what is queued, to make room for others.
    Leaving,
    /// Its engines are gone; the next record brings them back.
    Asleep,
    /// Its engines are awaited again.
    Waking,
}

/// A version that is not in the table any more.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) slot: Arc<Slot>,
    pub(super) version: VersionEntry,
    pub(super) bytes: u64,
    /// Of the first table without it.
    pub(super) generation: u64,
    /// What is said to records that still wait for it: why it could not be loaded.
    pub(super) reason: Option<String>,
    pub(super) is_closed: bool,
}

/// Why a version is not served.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Of the files that could not be loaded.
    pub(super) fingerprint: Fingerprint,
    pub(super) reason: String,
}

impl Live {
    pub(super) fn new(version: &VersionEntry, serial: u64) -> Self {
        Self {
            slot: Arc::new(Slot::new(version.version)),
            stage: Stage::Loading,
            serial,
            version: version.clone(),
            fetched: None,
            note: None,
            is_postponed: false,
        }
    }

    /// Whether it answers records, be it after its engines have come back.
    pub(super) fn is_usable(&self) -> bool {
        self.stage != Stage::Loading
    }

    /// What its engines take, or will take when they are loaded.
    pub(super) fn bytes(&self) -> u64 {
        self.fetched.as_ref().map_or(0, Fetched::bytes)
    }

    /// What its engines take now.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        match self.stage {
            Stage::Awake | Stage::Leaving => self.bytes(),
            Stage::Loading | Stage::Asleep | Stage::Waking => 0,
        }
    }

    /// Lets its engines end once they have finished what is queued.
    pub(super) fn send_away(&mut self) {
        if let Some(station) = self.slot.station() {
            station.close();
            self.stage = Stage::Leaving;
        }
    }

    /// Takes note of engines that have ended. Whether they just did.
    pub(super) fn look(&mut self) -> bool {
        let has_ended = self
            .slot
            .station()
            .is_some_and(|station| station.has_ended());
        let falls_asleep = self.stage == Stage::Leaving && has_ended;
        if falls_asleep {
            self.stage = Stage::Asleep;
        }
        falls_asleep
    }

    /// Whether records wait for engines that are gone.
    pub(super) fn is_called(&self) -> bool {
        let waiting = self
            .slot
            .station()
            .map_or(0, |station| station.depth().rows);
        self.stage == Stage::Asleep && waiting > 0
    }

    pub(super) fn last_run_ms(&self) -> u64 {
        self.slot
            .station()
            .map_or(0, |station| station.last_run_ms())
    }
}

impl Fetched {
    /// Bytes that the engines will take: what `model.toml` says, or else that of the files for each instance.
    pub(super) fn bytes(&self) -> u64 {
        let instances = u64::try_from(self.engine.instances).unwrap_or(u64::MAX);
        let files = self.source.size_bytes.saturating_mul(instances);
        self.source.options.versions.memory.unwrap_or(files)
    }
}
