//! The way out for errors after which no thread of this process can go on.

use std::sync::{Arc, Mutex, PoisonError};

use millrace_boot::Shutdown;
use tracing::error;

/// Takes the first fatal error and begins the shutdown. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Fatal {
    first: Arc<Mutex<Option<anyhow::Error>>>,
    shutdown: Shutdown,
}

impl Fatal {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            first: Arc::default(),
            shutdown,
        }
    }

    /// Stops the process with this error, unless another one came first; then it is only logged.
    pub(crate) fn report(&self, error: anyhow::Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_some() {
            error!("another fatal error: {error:#}");
        } else {
            error!("stopping: {error:#}");
            *first = Some(error);
        }
        drop(first);
        self.shutdown.trigger();
    }

    /// The error to exit with.
    pub(crate) fn take(&self) -> Option<anyhow::Error> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
