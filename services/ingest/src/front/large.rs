//! Values that are too large for their records: put into the store before the request is sent, taken from it with the
//! reply. Waits for the store as long as the caller waits, and no longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_claims::{ClaimError, Object, Store, Unclaimed};
use millrace_kafka::Record;
use millrace_wire::Status;
use millrace_wire::headers::{Claim, HeaderError, STATUS};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::admission::Reservation;
use super::error::{Error, Kind};

/// Why a large value cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LargeError {
    #[error(
        "request needs a value of {length} bytes, larger than the limit of {limit} bytes (claims.max_bytes)"
    )]
    TooLarge { length: u64, limit: usize },
    #[error("the store of large values could not be used within {} ms; try again", .waited.as_millis())]
    Down { waited: Duration },
    #[error("reply of infer is in a store of large values, and ingest has none: set claims.url")]
    NoStore,
    #[error("reply of infer is malformed: {0}")]
    Headers(#[from] HeaderError),
    #[error("reply of infer cannot be read: {0}")]
    Unreadable(#[source] ClaimError),
}

impl LargeError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::invalid("record_too_large").over_http(413),
            Self::Down { .. } => Kind::busy("claims", 5),
            Self::NoStore | Self::Headers(_) | Self::Unreadable(_) => {
                Kind::new(Status::Internal, "bad_reply").over_http(502)
            }
        }
    }
}

/// A value for a record: in it, or in the store.
pub(crate) struct Packed {
    /// Empty if it is in the store.
    pub(crate) value: Vec<u8>,
    pub(crate) claim: Option<Claim>,
}

/// The store of large values, if there is one; cheap to clone.
#[derive(Clone)]
pub(crate) struct Large {
    store: Option<Arc<Store>>,
    /// What may use it at once.
    room: Arc<Semaphore>,
    /// The largest record of a request.
    record_bytes: usize,
}

impl Large {
    pub(super) fn new(store: Option<Arc<Store>>, record_bytes: usize) -> Self {
        let parallel = store.as_ref().map_or(1, |store| store.settings().parallel);
        Self {
            store,
            room: Arc::new(Semaphore::new(2 * parallel)),
            record_bytes,
        }
    }

    /// Puts a value into the store if it is too large for its record.
    ///
    /// # Errors
    /// [`LargeError::TooLarge`], [`LargeError::Down`]
    pub(super) async fn pack(&self, value: Vec<u8>, deadline: Instant) -> Result<Packed, Error> {
        let store = match &self.store {
            Some(store) if store.takes(value.len(), self.record_bytes) => Arc::clone(store),
            _ => return Ok(Packed { value, claim: None }),
        };
        let object = self.work(deadline, move |is_wanted| {
            store.put_in_time(&value, is_wanted)
        });
        let object = object.await?;
        Ok(Packed {
            value: Vec::new(),
            claim: Some(Claim {
                path: object.path,
                length: object.length,
                sha256: object.sha256,
            }),
        })
    }

    /// A reply or result with its value, wherever that is; counted in `held` before it is fetched.
    ///
    /// # Errors
    /// Too many bytes are held, or the value cannot be had.
    pub(crate) async fn unpack(
        &self,
        mut reply: Record,
        held: &mut Reservation,
        deadline: Instant,
    ) -> Result<Record, Error> {
        let is_empty = reply.value.as_ref().is_none_or(Vec::is_empty);
        if !is_empty || reply.headers.get_first(STATUS) != Some(Status::Ok.name().as_bytes()) {
            return Ok(reply);
        }
        let Some(claim) = Claim::parse(reply.headers.iter()).map_err(LargeError::Headers)? else {
            return Ok(reply);
        };
        let store = self.store.clone().ok_or(LargeError::NoStore)?;
        store
            .check_length(claim.length)
            .map_err(LargeError::Unreadable)?;
        let length = usize::try_from(claim.length).unwrap_or(usize::MAX);
        held.set(reply.size_bytes().saturating_add(length))?;
        let object = Object {
            path: claim.path,
            length: claim.length,
            sha256: claim.sha256,
        };
        let fetched = self.work(deadline, move |is_wanted| {
            store.get_in_time(&object, is_wanted)
        });
        reply.value = Some(fetched.await?);
        Ok(reply)
    }

    /// Does what may wait for the store, beside the worker, until the deadline has passed or the caller has left.
    async fn work<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Unclaimed> + Send + 'static,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let down = || LargeError::Down {
            waited: began.elapsed(),
        };
        let room = timeout_at(deadline, Arc::clone(&self.room).acquire_owned());
        let room = room.await.map_err(|_| down())?;
        let caller = Caller::default();
        let is_here = Arc::clone(&caller.is_here);
        let done = tokio::task::spawn_blocking(move || {
            let _room = room;
            work(&|| is_here.load(Ordering::Relaxed) && Instant::now() < deadline)
        });
        done.await
            .map_err(|_| Error::Worker)?
            .map_err(|why| match why {
                Unclaimed::Unwanted => down().into(),
                Unclaimed::Refused(ClaimError::TooLarge { length, limit }) => {
                    LargeError::TooLarge { length, limit }.into()
                }
                Unclaimed::Refused(error) => LargeError::Unreadable(error).into(),
            })
    }
}

/// Whoever waits; when this is dropped, the store is waited for no longer.
struct Caller {
    is_here: Arc<AtomicBool>,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            is_here: Arc::new(AtomicBool::new(true)),
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.is_here.store(false, Ordering::Relaxed);
    }
}
