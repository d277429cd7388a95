//! The thread that looks at the repository, again and again.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::messages::Message;
use crate::repository::Repository;

/// Asks the watcher to look at once.
#[derive(Debug)]
pub(super) struct Watcher(Sender<()>);

impl Watcher {
    /// Looks every `interval`, until this is dropped or nobody wants to hear of it.
    pub(super) fn spawn(
        repository: Repository,
        interval: Duration,
        messages: Sender<Message>,
    ) -> anyhow::Result<Self> {
        let (nudge, nudges) = mpsc::channel();
        thread::Builder::new()
            .name("repository".to_owned())
            .spawn(move || watch(&repository, interval, (&nudges, &messages)))
            .context("cannot start the thread that watches the models")?;
        Ok(Self(nudge))
    }

    /// Looks soon.
    pub(super) fn nudge(&self) {
        let _ = self.0.send(());
    }
}

fn watch(
    repository: &Repository,
    interval: Duration,
    (nudges, messages): (&Receiver<()>, &Sender<Message>),
) {
    loop {
        if let Err(RecvTimeoutError::Disconnected) = nudges.recv_timeout(interval) {
            return;
        }
        while nudges.try_recv().is_ok() {}
        if messages.send(Message::Scanned(repository.scan())).is_err() {
            return;
        }
    }
}
