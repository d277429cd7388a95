//! Spans on their way to the collector: a bounded queue that nobody waits for, and a thread that empties it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::{Address, Collector, scope, totals};

/// Spans that may wait; more are dropped and counted.
const MOST_WAITING: usize = 8192;
/// Spans of one message.
const MOST_AT_ONCE: usize = 512;
/// How long spans gather before they are sent.
const GATHERING: Duration = Duration::from_secs(1);
/// Between two complaints about a collector.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Where finished spans go; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue(SyncSender<Message>);

enum Message {
    Span(Box<Span>),
    /// Everything before this is sent, then the thread ends.
    End,
}

impl Queue {
    /// Never waits: if there is no room the span is dropped and counted.
    pub(crate) fn push(&self, span: Box<Span>) {
        if self.0.try_send(Message::Span(span)).is_err() {
            totals().dropped.inc();
        }
    }
}

/// The thread that sends spans.
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: Queue,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot start.
    pub(crate) fn start(address: Address) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let thread = thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || {
                if let Some(collector) = address.connect() {
                    run(&receiver, &collector);
                }
            })?;
        Ok(Self {
            queue: Queue(sender),
            thread,
        })
    }

    pub(crate) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Sends what waits; whether that was done in time.
    pub(crate) fn stop(self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut end = Message::End;
        while let Err(TrySendError::Full(message)) = self.queue.0.try_send(end) {
            if Instant::now() >= until {
                return false;
            }
            end = message;
            thread::sleep(Duration::from_millis(5));
        }
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        self.thread.is_finished()
    }
}

fn run(queue: &Receiver<Message>, collector: &Collector) {
    let mut complained: Option<Instant> = None;
    loop {
        let (spans, goes_on) = gather(queue);
        let count = spans.len() as u64;
        if count > 0 {
            match collector.send("v1/traces", &request(spans, collector)) {
                Ok(()) => totals().exported.inc_by(count),
                Err(error) => {
                    if complained.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                        tracing::warn!(%error, "the collector does not take traces");
                        complained = Some(Instant::now());
                    }
                    totals().failed.inc_by(count)
                }
            };
        }
        if !goes_on {
            return;
        }
    }
}

/// What comes within a moment, and whether more may come.
fn gather(queue: &Receiver<Message>) -> (Vec<Span>, bool) {
    let mut spans = Vec::new();
    let mut until: Option<Instant> = None;
    while spans.len() < MOST_AT_ONCE {
        let message = match until {
            None => queue.recv().map_err(RecvTimeoutError::from),
            Some(until) => queue.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match message {
            Ok(Message::Span(span)) => {
                until.get_or_insert_with(|| Instant::now() + GATHERING);
                spans.push(*span);
            }
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return (spans, false),
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    (spans, true)
}

fn request(spans: Vec<Span>, collector: &Collector) -> ExportTraceServiceRequest {
    let spans = ScopeSpans {
        scope: Some(scope()),
        spans,
        ..ScopeSpans::default()
    };
    let spans = ResourceSpans {
        resource: Some(collector.resource()),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![spans],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_and_nobody_waits() {
        let (sender, receiver) = sync_channel(2);
        let queue = Queue(sender);
        let before = totals().dropped.get();
        for _ in 0..5 {
            queue.push(Box::default());
        }
        assert_eq!(totals().dropped.get() - before, 3);
        drop(queue);
        let (spans, goes_on) = gather(&receiver);
        assert_eq!((spans.len(), goes_on), (2, false));
    }
}
