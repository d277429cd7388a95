//! The desk of a model: a thread that sends what needs no engine. Neither the poll thread nor the producer's thread may
//! wait for room in the producer, and at times no version has an engine.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use super::outcome::Settled;
use super::results::Results;

/// Takes work for the desk. What is in it holds tickets of the consumer, which bounds it.
#[derive(Debug)]
pub(crate) struct Desk(Sender<Errand>);

#[derive(Debug)]
enum Errand {
    Settle(Settled),
    Close,
}

/// What the desk's thread takes.
#[derive(Debug)]
pub(crate) struct Errands(Receiver<Errand>);

impl Desk {
    pub(crate) fn new() -> (Self, Errands) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), Errands(receiver))
    }

    /// Leaves work; never waits. Once the desk is closed, the work is dropped with its ticket, so that the offset stays.
    pub(crate) fn hand_in(&self, settled: Settled) {
        let _ = self.0.send(Errand::Settle(settled));
    }

    /// Lets the thread end after what was handed in by now.
    pub(crate) fn close(&self) {
        let _ = self.0.send(Errand::Close);
    }
}

impl Errands {
    /// Works until the desk is closed. A panic stops the process.
    pub(crate) fn spawn(self, results: Arc<Results>) -> anyhow::Result<JoinHandle<()>> {
        let fatal = results.fatal().clone();
        let name = format!("desk {}", results.model());
        fatal.spawn(&name, move || self.run(&results))
    }

    fn run(&self, results: &Arc<Results>) {
        while let Ok(Errand::Settle(settled)) = self.0.recv() {
            results.settle(settled);
        }
    }
}
