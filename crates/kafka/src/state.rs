//! The state of a client, for readiness checks and for whoever must stop the
//! process when a client fails.

use tokio::sync::watch;

use crate::error::Error;

/// What a client is doing.
#[derive(Clone, Debug)]
pub enum State {
    /// Not yet connected, or waiting for its first partitions.
    Starting,
    /// Working; with how many partitions (0 is normal for a spare member).
    Running {
        /// Partitions that this client reads.
        partitions: usize,
    },
    /// No broker can be reached; the client keeps trying.
    BrokerDown,
    /// Giving up its partitions and finishing its work.
    Stopping,
    /// Stopped on request.
    Stopped,
    /// Stopped because it could not go on.
    Failed(Error),
}

impl State {
    /// Whether the client can do its work now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, State::Running { .. })
    }

    /// The sentence for a readiness report, `None` when running.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        match self {
            State::Running { .. } => None,
            State::Starting => Some("waiting for the broker to assign partitions".to_owned()),
            State::BrokerDown => Some("no broker can be reached".to_owned()),
            State::Stopping => Some("stopping".to_owned()),
            State::Stopped => Some("stopped".to_owned()),
            State::Failed(error) => Some(error.to_string()),
        }
    }
}

/// Waits until the client has failed; never returns for one that stops well.
pub(crate) async fn failed(mut states: watch::Receiver<State>) -> Error {
    loop {
        if let State::Failed(error) = &*states.borrow_and_update() {
            return error.clone();
        }
        if states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Replaces the state if it is a different one; `Failed` is final.
pub(crate) fn announce(states: &watch::Sender<State>, next: State) {
    states.send_if_modified(|current| {
        let same = match (&*current, &next) {
            (State::Failed(_), _) => true,
            (State::Running { partitions: a }, State::Running { partitions: b }) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        if !same {
            *current = next;
        }
        !same
    });
}
