//! `ModelStreamInfer`: many requests on one call, worked on at once and answered in their order.
//!
//! A request that fails gets an `error_message` with its id, and the stream lives on. Only what is
//! no message at all ends it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use millrace_wire::protobuf;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::infer;
use crate::front::admission::Reservation;
use crate::front::line::LineError;
use crate::front::{Error, Head};
use crate::grpc::codec::{Unread, Written};
use crate::grpc::error::GrpcError;
use crate::grpc::seen::Seen;

/// Requests of one stream that are worked on at once; the next is read when
/// the first of them has been taken by its caller.
const AT_ONCE: usize = 16;

/// The answers of one stream, in the order of its requests. Dropping it, as
/// when the caller hangs up, ends all work on them.
pub(in crate::grpc) struct Answers {
    /// In order; each arrives in its own time.
    next: mpsc::Receiver<Awaited>,
    current: VecDeque<Awaited>,
    _work: JoinSet<()>,
}

/// An answer to come: a message of the stream, or the status that ends it.
type Awaited = oneshot::Receiver<Result<Sent, Status>>;

struct Sent {
    message: Written,
    /// Held until the message is taken.
    _held: Option<Reservation>,
}

impl Answers {
    /// Starts to read requests.
    pub(super) fn start(
        seen: Seen,
        requests: Streaming<Unread>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        // Together with the one that is waited for.
        let (sender, next) = mpsc::channel(AT_ONCE - 1);
        let mut work = JoinSet::new();
        work.spawn(read(seen, requests, stop, sender));
        Self {
            next,
            current: VecDeque::with_capacity(1),
            _work: work,
        }
    }
}

impl Stream for Answers {
    type Item = Result<Written, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Written, Status>>> {
        if self.current.is_empty() {
            match self.next.poll_recv(context) {
                Poll::Ready(Some(awaited)) => self.current.push_back(awaited),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(awaited) = self.current.front_mut() else {
            return Poll::Ready(None);
        };
        let answer = match Pin::new(awaited).poll(context) {
            Poll::Ready(Ok(answer)) => answer,
            Poll::Ready(Err(_)) => Err(Status::internal("a worker of the stream was lost")),
            Poll::Pending => return Poll::Pending,
        };
        self.current.clear();
        Poll::Ready(Some(answer.map(|sent| sent.message)))
    }
}

/// Reads requests and starts to work on each, until the caller has no more,
/// his time is over, or the process stops.
async fn read(
    seen: Seen,
    mut requests: Streaming<Unread>,
    mut stop: watch::Receiver<bool>,
    answers: mpsc::Sender<Awaited>,
) {
    let mut working = JoinSet::new();
    loop {
        // A place first: who does not read answers is not read from either.
        let Ok(place) = answers.reserve().await else {
            return;
        };
        while working.try_join_next().is_some() {}
        let (sender, awaited) = oneshot::channel();
        let next = tokio::select! {
            next = requests.message() => next,
            () = over(&seen) => Err(seen.refuse(expired(&seen))),
            _ = stop.wait_for(|stopping| *stopping) => Err(seen.refuse(LineError::Stopping)),
        };
        match next {
            Ok(Some(message)) => {
                seen.release();
                place.send(awaited);
                let (seen, head) = (seen.clone(), seen.head_of_next());
                working.spawn(async move {
                    // Nobody listens when the caller has hung up.
                    let _ = sender.send(Ok(answer(&seen, head, message.0).await));
                });
            }
            Ok(None) => break,
            Err(status) => {
                let reason = seen.reason().unwrap_or("grpc");
                seen.front.metrics.rejected(reason);
                let _ = sender.send(Err(status));
                place.send(awaited);
                break;
            }
        }
    }
    // The answers on their way are still wanted.
    while working.join_next().await.is_some() {}
}

/// Waits for the end of the time that the caller gave.
async fn over(seen: &Seen) {
    match seen.deadline() {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn expired(seen: &Seen) -> Error {
    let timeout = seen.timeout.unwrap_or_default();
    GrpcError::Expired { timeout }.into()
}

/// One message of the stream, whatever becomes of its request.
async fn answer(seen: &Seen, head: Head, message: Bytes) -> Sent {
    let asked = protobuf::infer_head(&message).unwrap_or_default();
    match infer::one(seen, head, message, || {}).await {
        Ok((answer, held)) => Sent {
            message: Written(protobuf::write_stream_response(&answer)),
            _held: Some(held),
        },
        Err(error) => {
            seen.front.metrics.rejected(error.reason());
            let message = protobuf::write_stream_error(&error.to_string(), &asked.id);
            Sent {
                message: Written(message),
                _held: None,
            }
        }
    }
}
