//! Claims idempotency keys in a topic that every replica follows whole.
//!
//! A claim is written and then waited for: the order of the topic decides who
//! was first, so two replicas never both send a request of the same key. The
//! same topic says where the request went, so every replica finds its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_kafka::{Headers, OutRecord, Producer, Record};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::front::clock::unix_ms;
use crate::front::pending::RequestId;

use super::books::{Books, Event, digest_of, text_of};
pub(crate) use super::books::{Digest, Sent};

/// Why a key cannot be claimed at the moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("idempotency keys are not known yet: {reason}")]
    NotRead { reason: String },
    #[error("too many idempotency keys are remembered: the limit is {limit}")]
    Full { limit: usize },
    #[error(
        "the idempotency key could not be claimed in time: the broker is slow or cannot be reached"
    )]
    Slow,
}

/// Who holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    /// A request with another content.
    Other,
    /// The same request, which has not reached the broker yet.
    Claimed,
    /// The same request, and where it is.
    Sent {
        id: RequestId,
        sent: Sent,
    },
}

/// A key and the content that it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    pub(crate) key: Digest,
    pub(crate) content: Digest,
}

/// How long claims hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Within this time a request reaches the broker or never does.
    pub(crate) lease: Duration,
    /// How long a key stands for its request.
    pub(crate) retention: Duration,
    /// Keys remembered at most.
    pub(crate) max_keys: usize,
}

/// All idempotency keys; cheap to clone.
#[derive(Clone)]
pub(crate) struct Claims {
    shared: Arc<Shared>,
}

struct Shared {
    producer: Producer,
    topic: Arc<str>,
    terms: Terms,
    state: Mutex<State>,
}

struct State {
    books: Books,
    /// Claims of this process whose record has not come back yet.
    waiting: HashMap<RequestId, oneshot::Sender<bool>>,
    /// What stands in the way of knowing all keys.
    complaint: Option<String>,
}

impl Claims {
    pub(crate) fn new(producer: Producer, topic: String, terms: Terms) -> Self {
        let state = State {
            books: Books::new(terms.max_keys),
            waiting: HashMap::new(),
            complaint: Some("starting".to_owned()),
        };
        Self {
            shared: Arc::new(Shared {
                producer,
                topic: topic.into(),
                terms,
                state: Mutex::new(state),
            }),
        }
    }

    /// Says what stands in the way of knowing all keys; nothing, if they are known.
    pub(crate) fn set_reading(&self, complaint: Option<String>) {
        self.shared.state().complaint = complaint;
    }

    /// Takes in the next record of the topic; whether it was one of ours.
    pub(crate) fn apply(&self, record: &Record) -> bool {
        let key = record
            .key
            .as_deref()
            .and_then(|it| std::str::from_utf8(it).ok());
        let Some(key) = key.and_then(digest_of) else {
            return false;
        };
        let value = record.value.as_deref().unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<Event>(value) else {
            return false;
        };
        let id = match &event {
            Event::Claimed { id, .. } => id.parse().ok(),
            Event::Sent { .. } | Event::Released { .. } => None,
        };
        let mut state = self.shared.state();
        let won = state.books.apply(key, event);
        let waiter = id.and_then(|id: RequestId| state.waiting.remove(&id));
        if let (Some(waiter), Some(won)) = (waiter, won) {
            // Whoever has left meanwhile has taken the claim back.
            let _ = waiter.send(won);
        }
        true
    }

    /// Who holds the key now, as far as the topic has been read.
    ///
    /// # Errors
    /// [`ClaimError::NotRead`]
    pub(crate) fn holder(&self, keyed: &Keyed) -> Result<Holder, ClaimError> {
        let state = self.shared.state();
        if let Some(reason) = &state.complaint {
            let reason = reason.clone();
            return Err(ClaimError::NotRead { reason });
        }
        let Some(claim) = state.books.holder(&keyed.key, unix_ms()) else {
            return Ok(Holder::Nobody);
        };
        if claim.content != keyed.content {
            return Ok(Holder::Other);
        }
        Ok(match (claim.sent, claim.id.parse()) {
            (Some(sent), Ok(id)) => Holder::Sent { id, sent },
            _ => Holder::Claimed,
        })
    }

    /// Claims a key for the request `id`; `None` if somebody else was faster.
    ///
    /// # Errors
    /// [`ClaimError`]
    pub(crate) async fn claim(
        &self,
        keyed: &Keyed,
        id: RequestId,
        until: Instant,
    ) -> Result<Option<Held>, ClaimError> {
        let (sender, answer) = oneshot::channel();
        self.expect_answer(id, sender)?;
        // From here on the claim is taken back unless the request is sent.
        let mut held = Held {
            claims: self.clone(),
            key: keyed.key,
            id,
            is_over: false,
        };
        let now = unix_ms();
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.write(
            &keyed.key,
            &Event::Claimed {
                id: id.to_string(),
                content: text_of(&keyed.content),
                at_unix_ms: now,
                lease_until_unix_ms: now.saturating_add(ms(self.shared.terms.lease)),
                expires_unix_ms: now.saturating_add(ms(self.shared.terms.retention)),
            },
        )?;
        match timeout_at(until, answer).await {
            Ok(Ok(true)) => Ok(Some(held)),
            Ok(Ok(false)) => {
                held.is_over = true;
                Ok(None)
            }
            Ok(Err(_)) | Err(_) => Err(ClaimError::Slow),
        }
    }

    /// Notes who is told whether the claim for a request has won.
    fn expect_answer(&self, id: RequestId, to: oneshot::Sender<bool>) -> Result<(), ClaimError> {
        let mut state = self.shared.state();
        if state.books.is_full() {
            let limit = self.shared.terms.max_keys;
            return Err(ClaimError::Full { limit });
        }
        state.waiting.insert(id, to);
        Ok(())
    }

    /// Frees a key whose request has come to nothing.
    ///
    /// # Errors
    /// [`ClaimError::Slow`]
    pub(crate) fn release(&self, key: &Digest, id: RequestId) -> Result<(), ClaimError> {
        let id = id.to_string();
        self.write(key, &Event::Released { id })
    }

    fn write(&self, key: &Digest, event: &Event) -> Result<(), ClaimError> {
        let record = OutRecord {
            topic: Arc::clone(&self.shared.topic),
            partition: None,
            key: Some(text_of(key).into_bytes()),
            value: serde_json::to_vec(event).ok(),
            headers: Headers::new(),
        };
        let on_delivery = |outcome: Result<_, _>| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a record about an idempotency key was lost");
            }
        };
        self.shared
            .producer
            .send(record, on_delivery)
            .map_err(|not_sent| {
                let error = not_sent.reason;
                tracing::warn!(%error, "a record about an idempotency key was not sent");
                ClaimError::Slow
            })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim. Dropping it frees the key, unless the request was sent.
pub(crate) struct Held {
    claims: Claims,
    key: Digest,
    id: RequestId,
    is_over: bool,
}

impl Held {
    /// The broker has the request there.
    pub(crate) fn sent(mut self, sent: Sent) {
        self.is_over = true;
        let event = Event::Sent {
            id: self.id.to_string(),
            partition: sent.partition,
            offset: sent.offset,
            at_unix_ms: sent.at_unix_ms,
        };
        // If this is lost, the claim is void at the end of its lease.
        let _ = self.claims.write(&self.key, &event);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.claims.shared.state().waiting.remove(&self.id);
        // If this is lost, the claim is void at the end of its lease.
        let _ = self.claims.release(&self.key, self.id);
    }
}

/// The digest of texts that nobody can rearrange into the same bytes.
pub(crate) fn digest(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let mut digest = Digest::default();
    let hash = hasher.finalize();
    digest.copy_from_slice(&hash[..16]);
    digest
}
