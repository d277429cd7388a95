//! Changing what a compacted topic says under a key, as if nobody else wrote.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::Error;
use crate::headers::Headers;
use crate::metrics::Metrics;
use crate::producer::ProducerSettings;
use crate::reader::{Reader, Span};
use crate::record::{OutRecord, Record};
use crate::transactions::{TransactionError, TransactionSettings, Transactions};

/// After how long the broker ends what a writer left open that is gone.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_RECORD_BYTES: usize = 1 << 20;

/// Why a value was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError<E> {
    /// Whoever makes the new value refused to.
    #[error(transparent)]
    Refused(E),
    /// The topic cannot be read.
    #[error(transparent)]
    Reading(#[from] Error),
    /// The record cannot be written.
    #[error(transparent)]
    Writing(#[from] TransactionError),
}

/// Changes values in a topic of one partition that is read whole: each new value is made from the
/// newest one, and a writer that comes between the two is never overwritten. Every call blocks.
///
/// A transaction of the topic's and the key's name is what holds this: whoever begins one ends all
/// that were begun before it, so what is read after that beginning is the newest when the new value
/// is committed, or it is not committed.
#[derive(Debug, Clone)]
pub struct Rewriter {
    /// The cluster.
    pub cluster: Cluster,
    /// The topic.
    pub topic: String,
}

/// A value that was written, or may have been, at this offset or behind it.
struct Written {
    value: Vec<u8>,
    from: i64,
}

/// What the topic says of a key.
struct Found {
    newest: Option<Vec<u8>>,
    /// Where the value that was written stands.
    written: Option<i64>,
    /// After the last record.
    end: i64,
}

impl Rewriter {
    /// Makes a new value of the newest one (`None` without one, or after a tombstone), and writes
    /// it; answers its offset. `change` is called again if somebody else was faster.
    ///
    /// # Errors
    /// [`RewriteError`]; `TimedOut` when `until` has passed. Only then, and when the writing ends
    /// without an answer, the value may be in the topic all the same.
    pub fn change<E>(
        &self,
        key: &[u8],
        until: Instant,
        mut change: impl FnMut(Option<&[u8]>) -> Result<Vec<u8>, E>,
    ) -> Result<i64, RewriteError<E>> {
        let metrics = Metrics::default();
        let began = Instant::now();
        let reader = Reader::open(&self.cluster, MAX_RECORD_BYTES, &metrics)?;
        // Says that the topic is missing before anything is begun.
        reader.bounds(&self.topic, 0, until)?;
        let mut transactions = Transactions::open(&self.settings(key), &metrics)?;
        let mut written: Option<Written> = None;
        loop {
            if let Err(error) = transactions.renew() {
                self.check(error, began, until)?;
                continue;
            }
            let found = self.find(&reader, (key, written.as_ref()), until)?;
            if let Some(offset) = found.written {
                return Ok(offset);
            }
            let value = change(found.newest.as_deref()).map_err(RewriteError::Refused)?;
            let outcome = transactions.write(&[self.record(key, &value)]);
            let from = found.end;
            let ours = written.insert(Written { value, from });
            if let Err(error) = outcome {
                self.check(error, began, until)?;
                continue;
            }
            // Readers may see it a little later; the next beginning waits for that.
            if let Some(offset) = self.find(&reader, (key, Some(ours)), until)?.written {
                return Ok(offset);
            }
        }
    }

    /// Whether it is worth beginning again.
    fn check<E>(
        &self,
        error: TransactionError,
        began: Instant,
        until: Instant,
    ) -> Result<(), RewriteError<E>> {
        match error {
            TransactionError::Refused { .. } | TransactionError::Fatal(_) => Err(error.into()),
            _ if Instant::now() >= until => Err(RewriteError::Reading(Error::TimedOut {
                what: format!("writing to topic {} ({error})", self.topic),
                waited: began.elapsed(),
            })),
            _ => Ok(()),
        }
    }

    fn find(
        &self,
        reader: &Reader,
        (key, written): (&[u8], Option<&Written>),
        until: Instant,
    ) -> Result<Found, Error> {
        let span = Span {
            topic: self.topic.as_str().into(),
            partition: 0,
            offsets: reader.bounds(&self.topic, 0, until)?,
        };
        let mut found = Found {
            newest: None,
            written: None,
            end: span.offsets.end,
        };
        let is_ours = |record: &Record| {
            written.is_some_and(|it| {
                record.offset >= it.from && record.value.as_deref() == Some(&it.value)
            })
        };
        reader.read(&span, until, |record| {
            if record.key.as_deref() == Some(key) {
                if is_ours(&record) {
                    found.written = Some(record.offset);
                }
                found.newest = record.value;
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn record(&self, key: &[u8], value: &[u8]) -> OutRecord {
        OutRecord {
            topic: Arc::from(self.topic.as_str()),
            partition: Some(0),
            key: Some(key.to_vec()),
            value: Some(value.to_vec()),
            headers: Headers::new(),
        }
    }

    fn settings(&self, key: &[u8]) -> TransactionSettings {
        TransactionSettings {
            producer: ProducerSettings {
                cluster: self.cluster.clone(),
                max_queue_bytes: 2 * MAX_RECORD_BYTES,
                max_record_bytes: MAX_RECORD_BYTES,
                ..ProducerSettings::default()
            },
            transactional_id: format!("{}/{}", self.topic, String::from_utf8_lossy(key)),
            timeout: TRANSACTION_TIMEOUT,
        }
    }
}
