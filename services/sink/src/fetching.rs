//! Results whose values are in the store of large values, because their topic would not take them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use millrace_claims::{Object, Store, Unclaimed};
use millrace_kafka::RecordRef;
use millrace_wire::Status;
use millrace_wire::headers::{Claim, STATUS};

use crate::row::Rejection;

/// Fetches values for the building thread, which waits for them: the batches after it wait, too.
#[derive(Clone)]
pub(crate) struct Fetching {
    store: Option<Arc<Store>>,
    max_outage: Duration,
}

/// Why there is no value.
pub(crate) enum NoValue {
    /// There never will be: the record becomes a dead letter.
    Rejected(Rejection),
    /// Nobody wants it any more.
    Unwanted,
    /// The store was down for longer than `max_outage`.
    Failed(anyhow::Error),
}

impl Fetching {
    pub(crate) fn new(store: Option<Arc<Store>>, max_outage: Duration) -> Self {
        Self { store, max_outage }
    }

    /// Where the value of a record lies that has none itself.
    ///
    /// # Errors
    /// Headers that cannot be used, no store, a value that is too large.
    pub(crate) fn claim_of(&self, record: RecordRef<'_>) -> Result<Option<Object>, Rejection> {
        let is_ok = |(name, value): (&str, Option<&[u8]>)| {
            name == STATUS && value == Some(Status::Ok.name().as_bytes())
        };
        if !record.value().unwrap_or_default().is_empty() || !record.headers().any(is_ok) {
            return Ok(None);
        }
        let Some(claim) = Claim::parse(record.headers())? else {
            return Ok(None);
        };
        let store = self.store.as_ref().ok_or(Rejection::NoStore)?;
        store.check_length(claim.length)?;
        Ok(Some(Object {
            path: claim.path,
            length: claim.length,
            sha256: claim.sha256,
        }))
    }

    /// The value, however long the store takes, up to `max_outage`.
    ///
    /// # Errors
    /// [`NoValue`]
    pub(crate) fn fetch(
        &self,
        object: &Object,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, NoValue> {
        let store = self.store.as_ref();
        let store = store.ok_or(NoValue::Rejected(Rejection::NoStore))?;
        let began = Instant::now();
        let in_time = || began.elapsed() < self.max_outage;
        match store.get_in_time(object, &|| is_wanted() && in_time()) {
            Ok(value) => Ok(value),
            Err(Unclaimed::Refused(error)) => Err(NoValue::Rejected(error.into())),
            Err(Unclaimed::Unwanted) if is_wanted() => {
                let seconds = began.elapsed().as_secs();
                let path = &object.path;
                Err(NoValue::Failed(anyhow!(
                    "the store of large values gave no object {path} for {seconds} s (max_outage)"
                )))
            }
            Err(Unclaimed::Unwanted) => Err(NoValue::Unwanted),
        }
    }
}
