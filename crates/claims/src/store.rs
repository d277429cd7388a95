//! The store as services use it.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::error::ClaimError;
use crate::metrics::Metrics;
use crate::object::Object;
use crate::open;
use crate::settings::ClaimSettings;
use crate::shelf::{Purge, Shelf};

/// What of a topic's limit is left to a record's key and headers.
const ROOM_BYTES: usize = 16 << 10;

/// The store of one line.
#[derive(Debug)]
pub struct Store {
    shelf: Box<dyn Shelf>,
    settings: ClaimSettings,
    metrics: Metrics,
    /// The place was made a store by this process, or was one.
    is_marked: AtomicBool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl AddAssign for Purged {
    fn add_assign(&mut self, more: Self) {
        self.objects += more.objects;
        self.bytes += more.bytes;
    }
}

impl Store {
    /// The store that the settings name; `None` if they name none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`ClaimError::Down`] for options that cannot be used.
    pub fn open(settings: &ClaimSettings, metrics: Metrics) -> Result<Option<Self>, ClaimError> {
        if !settings.is_on() {
            return Ok(None);
        }
        Ok(Some(Self {
            shelf: open::shelf(settings)?,
            settings: settings.clone(),
            metrics,
            is_marked: AtomicBool::new(false),
        }))
    }

    /// What it was opened with.
    #[must_use]
    pub fn settings(&self) -> &ClaimSettings {
        &self.settings
    }

    /// Whether a value of this length belongs here, and not into a record of a topic that takes `topic_bytes`.
    #[must_use]
    pub fn takes(&self, length: usize, topic_bytes: usize) -> bool {
        length
            > self
                .settings
                .threshold
                .min(topic_bytes.saturating_sub(ROOM_BYTES))
    }

    /// Whether a value of this length may be here at all.
    ///
    /// # Errors
    /// [`ClaimError::TooLarge`]
    pub fn check_length(&self, length: u64) -> Result<(), ClaimError> {
        let limit = self.settings.max_bytes;
        match usize::try_from(length).is_ok_and(|length| length <= limit) {
            true => Ok(()),
            false => Err(ClaimError::TooLarge { length, limit }),
        }
    }

    /// Makes a value durable; the same value becomes the same object all day. Blocks.
    ///
    /// # Errors
    /// [`ClaimError::Down`], [`ClaimError::TooLarge`]
    pub fn put(&self, value: &[u8]) -> Result<Object, ClaimError> {
        let length = value.len();
        let put = self.try_put(value);
        let outcome = put.as_ref().map(|_| length).map_err(|error| error.label());
        self.metrics.count("put", outcome);
        put
    }

    fn try_put(&self, value: &[u8]) -> Result<Object, ClaimError> {
        let object = Object::of(value, SystemTime::now());
        self.check_length(object.length)?;
        if !self.is_marked.load(Ordering::Acquire) {
            self.shelf.mark()?;
            self.is_marked.store(true, Ordering::Release);
        }
        self.shelf.put(&object, value)?;
        Ok(object)
    }

    /// The value that is meant, and no other. Blocks.
    ///
    /// # Errors
    /// [`ClaimError`]
    pub fn get(&self, object: &Object) -> Result<Vec<u8>, ClaimError> {
        let got = self.try_get(object);
        let outcome = got.as_ref().map(Vec::len).map_err(|error| error.label());
        self.metrics.count("get", outcome);
        got
    }

    fn try_get(&self, object: &Object) -> Result<Vec<u8>, ClaimError> {
        self.check_length(object.length)?;
        let value = self.shelf.get(object)?;
        object.check(&value)?;
        Ok(value)
    }

    /// Removes the objects of days that ended at least so long ago, or only counts them. Blocks.
    ///
    /// # Errors
    /// [`ClaimError::Down`]
    pub fn purge(&self, older_than: Duration, dry: bool) -> Result<Purged, ClaimError> {
        let is_doomed = Purge::older_than(older_than, SystemTime::now());
        self.shelf.purge(&Purge {
            is_doomed: &is_doomed,
            dry,
        })
    }
}
