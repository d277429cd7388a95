//! The way out for errors after which no thread of this process can go on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context;
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

    /// Works on a thread of its own; a panic there stops the process.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<JoinHandle<()>> {
        let (fatal, thread_name) = (self.clone(), name.to_owned());
        let run = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                let message = panic_message(&*panic);
                fatal.report(anyhow::anyhow!("thread {thread_name} panicked: {message}"));
            }
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .with_context(|| format!("cannot start thread {name}"))
    }

    /// The error to exit with.
    pub(crate) fn take(&self) -> Option<anyhow::Error> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        return (*message).to_owned();
    }
    panic
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| "no message".to_owned())
}
