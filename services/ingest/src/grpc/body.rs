//! Message bytes as they come and go: counted against the process's budget and given a time limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::error::GrpcError;
use super::seen::Seen;

/// Bytes around a message: its length and whether it is compressed.
const PREFIX_BYTES: usize = 5;

/// How many requests one call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    One,
    /// It may also be silent for as long as it likes between two messages.
    Stream,
}

/// A request's body on its way in.
pub(super) struct Metered {
    inner: Body,
    seen: Seen,
    carries: Carries,
    received_bytes: usize,
    max_silence: Duration,
    silence: Pin<Box<Sleep>>,
}

impl Metered {
    pub(super) fn new(inner: Body, seen: Seen, carries: Carries) -> Self {
        let max_silence = seen.front.limits.silence;
        Self {
            inner,
            seen,
            carries,
            received_bytes: 0,
            max_silence,
            silence: Box::pin(sleep(max_silence)),
        }
    }

    /// Takes in a piece, or says why it is too much.
    fn receive(&mut self, size_bytes: usize) -> Result<(), Status> {
        self.received_bytes = self.received_bytes.saturating_add(size_bytes);
        self.silence
            .as_mut()
            .reset(Instant::now() + self.max_silence);
        let limit_bytes = self.seen.front.limits.body_bytes;
        if self.carries == Carries::One && self.received_bytes > limit_bytes + PREFIX_BYTES {
            return Err(self.seen.refuse(GrpcError::TooLarge { limit_bytes }));
        }
        let grown = self.seen.held().grow(size_bytes);
        grown.map_err(|full| self.seen.refuse(full))
    }

    /// Whether the caller owes us something: all of the only message, or the rest of one.
    fn is_owed(&self) -> bool {
        self.carries == Carries::One || !self.seen.held().is_empty()
    }

    fn poll_silence(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.silence.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if self.is_owed() {
            let received_bytes = self.received_bytes;
            return Poll::Ready(Some(Err(self
                .seen
                .refuse(GrpcError::Stalled { received_bytes }))));
        }
        self.silence
            .as_mut()
            .reset(Instant::now() + self.max_silence);
        self.poll_silence(context)
    }
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let size_bytes = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(self.receive(size_bytes).map(|()| frame)))
            }
            Poll::Pending => self.poll_silence(context),
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way out: what the call holds is held until it has
/// been sent, or a caller who never reads could fill the memory.
pub(super) struct Held {
    pub(super) inner: Body,
    pub(super) _seen: Seen,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
