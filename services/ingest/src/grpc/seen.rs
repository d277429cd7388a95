//! What is known of a call from its head on.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::codegen::http::request::Parts;

use crate::access::{AUTHORIZATION, Caller, Presented, X_API_KEY};
use crate::front::admission::Reservation;
use crate::front::pending::RequestId;
use crate::front::trace_context::TraceContext;
use crate::front::{Error, Front, Head};
use crate::later::wish::Wish;

use super::error::{GrpcError, status_of};
use super::timeout;

/// What load balancers ask without credentials.
const OPEN: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
];

/// A call: what its head says, and what is held on its behalf. Clones are of the same call.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) front: Front,
    /// Under which the only request of the call travels.
    pub(super) id: RequestId,
    at: Instant,
    trace: TraceContext,
    /// How long the caller waits, if he says so.
    pub(super) timeout: Option<Duration>,
    caller: Caller,
    /// From where the caller calls.
    pub(super) address: Option<IpAddr>,
    wish: Wish,
    /// Of the message on its way in, then of the answer on its way out.
    held: Arc<Mutex<Reservation>>,
    /// Why the call was refused, for the metrics.
    reason: Arc<OnceLock<&'static str>>,
}

impl Seen {
    /// Reads the head of a call.
    ///
    /// # Errors
    /// Credentials or a time-out that cannot be accepted.
    pub(super) fn of(
        front: &Front,
        head: &Parts,
        id: RequestId,
        at: Instant,
    ) -> Result<Self, Error> {
        let headers = &head.headers;
        let parents = headers
            .get_all("traceparent")
            .iter()
            .map(|it| it.as_bytes());
        let state = headers.get("tracestate").map(|it| it.as_bytes());
        let timeout = match headers.get("grpc-timeout") {
            Some(text) => Some(timeout::parse(text.as_bytes()).map_err(GrpcError::from)?),
            None => None,
        };
        let values = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
        let mut wish = Wish::default();
        wish.idempotency_key(
            headers
                .get_all("idempotency-key")
                .iter()
                .map(|it| it.as_bytes()),
        )?;
        let presented = Presented::of(values(AUTHORIZATION), values(X_API_KEY));
        let caller = match OPEN.contains(&head.uri.path()) {
            true => Caller::nobody(),
            false => front.access.authenticate(presented)?,
        };
        Ok(Self {
            front: front.clone(),
            id: id.of_caller(caller.name()),
            at,
            trace: TraceContext::of(parents, state),
            timeout,
            caller,
            address: None,
            wish,
            held: Arc::new(Mutex::new(front.admission.reserve())),
            reason: Arc::default(),
        })
    }

    /// The head of the only request of the call.
    pub(super) fn head(&self) -> Head {
        Head {
            id: self.id,
            at: self.at,
            trace: self.trace.clone(),
            timeout: self.timeout,
            caller: self.caller.clone(),
            address: self.address,
            wish: self.wish.clone(),
        }
    }

    /// The head of one request of a stream that began with this call.
    pub(super) fn head_of_next(&self) -> Head {
        let at = Instant::now();
        let left = |deadline: Instant| deadline.saturating_duration_since(at);
        Head {
            id: self.front.pending.new_id().of_caller(self.caller.name()),
            at,
            timeout: self.deadline().map(left),
            // A key names one request, and these are many.
            wish: Wish::default(),
            ..self.head()
        }
    }

    /// When the caller stops waiting, if he says so.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at.checked_add(self.timeout?)
    }

    /// When a call of one request is over in any case.
    pub(super) fn last_moment(&self) -> Instant {
        let limit = self.front.limits.timeout;
        self.at + self.timeout.map_or(limit, |asked| asked.min(limit))
    }

    /// When the head had been read.
    pub(super) fn began(&self) -> Instant {
        self.at
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Gives back what was held for a message that has been taken.
    pub(super) fn release(&self) {
        self.held().release();
    }

    /// Takes over what an exchange holds of its answer, until that has been sent.
    pub(super) fn hold_on(&self, of_exchange: &mut Reservation) {
        std::mem::swap(&mut *self.held(), of_exchange);
    }

    /// The bytes held for this call.
    pub(super) fn held(&self) -> MutexGuard<'_, Reservation> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses the call; its metric will have the error's reason.
    pub(super) fn refuse(&self, error: impl Into<Error>) -> Status {
        let error = error.into();
        // Whoever refused first has refused.
        let _ = self.reason.set(error.reason());
        status_of(&error)
    }

    /// Why the call was refused, if it was by us.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }
}
