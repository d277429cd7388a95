//! Which version a record goes to. The table is replaced as a whole, between two records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::{ArcSwap, Cache};
use millrace_kafka::Record;
use millrace_wire::Status;
use millrace_wire::headers::RequestHeaders;

use super::outcome::{Refusal, Stage};
use super::slot::Slot;

/// The only signature that a model has.
const DEFAULT_SIGNATURE: &str = "serving_default";
/// Shares of traffic are counted in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// The versions of one model that records can be sent to.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) model: String,
    /// Rises with every table of a pipeline.
    pub(crate) generation: u64,
    pub(crate) slots: BTreeMap<i64, Arc<Slot>>,
    /// Versions that are there and cannot be served, and why.
    pub(crate) failed: BTreeMap<i64, String>,
    pub(crate) labels: BTreeMap<String, i64>,
    /// For records that name neither version nor label.
    pub(crate) default: Option<i64>,
    pub(crate) canary: Option<Canary>,
}

/// A share of the records that name neither version nor label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Canary {
    pub(crate) version: i64,
    /// 0 to 100.
    pub(crate) percent: f64,
}

/// What a record says about where it wants to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) headers: &'a RequestHeaders,
    pub(crate) record: &'a Record,
}

impl Table {
    /// Where a record goes.
    ///
    /// # Errors
    /// `NOT_FOUND` for a version, label or signature that is not there, `UNAVAILABLE` for a version that cannot be
    /// loaded.
    pub(crate) fn route(&self, wish: &Wish<'_>) -> Result<&Arc<Slot>, Refusal> {
        let headers = wish.headers;
        if let Some(other) = headers
            .signature
            .as_deref()
            .filter(|name| *name != DEFAULT_SIGNATURE)
        {
            let only = format!("has no signature {other:?}, only {DEFAULT_SIGNATURE:?}");
            return Err(self.not_found(&only));
        }
        if let Some(version) = headers.version {
            return self.slot(version);
        }
        if let Some(label) = &headers.label {
            let version = self.labels.get(label);
            return self.slot(*version.ok_or_else(|| self.no_label(label))?);
        }
        if let Some(canary) = self.canary
            && percentile(wish) < canary.percent
            && let Some(slot) = self.slots.get(&canary.version)
        {
            return Ok(slot);
        }
        let default = self.default;
        self.slot(default.ok_or_else(|| self.not_found("serves no version"))?)
    }

    fn slot(&self, version: i64) -> Result<&Arc<Slot>, Refusal> {
        if let Some(slot) = self.slots.get(&version) {
            return Ok(slot);
        }
        if let Some(reason) = self.failed.get(&version) {
            return Err(unavailable(&self.model, version, reason));
        }
        let versions: Vec<String> = self.slots.keys().map(i64::to_string).collect();
        let noun = if versions.len() == 1 {
            "version"
        } else {
            "versions"
        };
        Err(self.not_found(&format!(
            "serves {noun} {}, not version {version}",
            versions.join(", ")
        )))
    }

    fn no_label(&self, label: &str) -> Refusal {
        if self.labels.is_empty() {
            return self.not_found(&format!("has no label {label:?}; no labels are set"));
        }
        let labels: Vec<&str> = self.labels.keys().map(String::as_str).collect();
        self.not_found(&format!(
            "has no label {label:?}; there are: {}",
            labels.join(", ")
        ))
    }

    fn not_found(&self, what: &str) -> Refusal {
        let sentence = format!("model {} {what}", self.model);
        Refusal::new(Status::NotFound, Stage::Headers, sentence)
    }
}

/// What is said to a record of a version that cannot be loaded.
pub(crate) fn unavailable(model: &str, version: i64, reason: &str) -> Refusal {
    let sentence = format!("version {version} of model {model} is not available: {reason}");
    Refusal::new(Status::Unavailable, Stage::Load, sentence)
}

/// Where a record stands between 0 and 99.99: the same for every record of one key on every replica. Without a key
/// its id decides, without an id its place.
fn percentile(wish: &Wish<'_>) -> f64 {
    let record = wish.record;
    let hash = match (&record.key, &wish.headers.id) {
        (Some(key), _) => fnv1a(key),
        (None, Some(id)) => fnv1a(id.as_bytes()),
        (None, None) => fnv1a(
            &[
                record.offset.to_le_bytes(),
                i64::from(record.partition).to_le_bytes(),
            ]
            .concat(),
        ),
    };
    u32::try_from(spread(hash) % WHOLE).map_or(0.0, f64::from) / 100.0
}

/// FNV-1a of 64 bits, which is the same everywhere and for ever.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// MurmurHash3's last step: keys that differ in one digit land far from each other.
fn spread(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The table of one pipeline.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switch {
    table: Arc<ArcSwap<Table>>,
    /// The newest generation that each reader has seen.
    seen: Arc<Mutex<Vec<Weak<AtomicU64>>>>,
}

impl Switch {
    /// From now on records go where `table` says; its generation is set here. Answers the generation.
    pub(crate) fn set(&self, mut table: Table) -> u64 {
        table.generation = self.table.load().generation + 1;
        let generation = table.generation;
        self.table.store(Arc::new(table));
        generation
    }

    /// The table in use.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Whether every intake has looked at this table or a later one: then nothing is sent any more to a slot that only
    /// earlier ones had.
    pub(crate) fn has_seen(&self, generation: u64) -> bool {
        let mut readers = self.readers();
        readers.retain(|seen| seen.strong_count() > 0);
        let mut seen = readers.iter().filter_map(Weak::upgrade);
        seen.all(|seen| seen.load(Ordering::Acquire) >= generation)
    }

    /// For a thread that routes.
    pub(crate) fn reader(&self) -> Reader {
        let seen = Arc::default();
        self.readers().push(Arc::downgrade(&seen));
        Reader {
            cache: Cache::new(Arc::clone(&self.table)),
            seen,
            generation: 0,
        }
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Weak<AtomicU64>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the table, at the cost of one comparison while it stays the same.
#[derive(Debug)]
pub(crate) struct Reader {
    cache: Cache<Arc<ArcSwap<Table>>, Arc<Table>>,
    seen: Arc<AtomicU64>,
    generation: u64,
}

impl Reader {
    /// The table of now; what went by earlier ones has been sent.
    pub(crate) fn table(&mut self) -> &Table {
        let table = self.cache.load();
        if table.generation != self.generation {
            self.generation = table.generation;
            self.seen.store(table.generation, Ordering::Release);
        }
        table
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
