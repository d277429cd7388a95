//! The one switch that ends a process: the first SIGTERM or SIGINT begins a clean stop, the second one ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What a shell reports for a process that Ctrl-C ended.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// Tells every part of a process that it should stop. Clones share the switch, which never goes back.
#[derive(Debug, Clone)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
}

impl Shutdown {
    /// Begins on the first SIGTERM or SIGINT; the second exits the process at once with code 130.
    ///
    /// Signals are watched by a thread of their own, which lives as long as the process: the second signal works even
    /// when every other thread hangs.
    ///
    /// # Errors
    /// When the system refuses the signal handlers or the thread.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::by_hand();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (mut terminate, mut interrupt) = {
            let _context = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        let thread_shutdown = shutdown.clone();
        let watch_signals = async move {
            for count in 1.. {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if count > 1 {
                    tracing::warn!(signal = name, "second signal: exiting at once");
                    std::process::exit(EXIT_CODE_INTERRUPTED);
                }
                tracing::info!(signal = name, "stopping; a second signal exits at once");
                thread_shutdown.trigger();
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(watch_signals))?;
        Ok(shutdown)
    }

    /// Begins only when [`trigger`](Self::trigger) is called: for tests, and for apps inside another process.
    pub fn by_hand() -> Self {
        Self {
            begun: watch::Sender::new(false),
        }
    }

    /// Begins the stop, from any thread: a fatal error, or the end of the work.
    pub fn trigger(&self) {
        self.begun.send_replace(true);
    }

    /// Whether the stop has begun.
    pub fn is_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits, on any async runtime, until the stop begins.
    pub async fn begun(&self) {
        // It cannot fail: we hold a sender ourselves.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Blocks this thread until the stop begins. Not for async code.
    pub fn wait(&self) {
        // Without timers or I/O a runtime is a parked thread.
        match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => runtime.block_on(self.begun()),
            Err(error) => tracing::error!(%error, "no runtime to wait for the stop with"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_reaches_every_clone_before_and_after() {
        let shutdown = Shutdown::by_hand();
        let waiting = shutdown.clone();
        let waiter = std::thread::spawn(move || waiting.wait());
        assert!(!shutdown.is_begun());
        shutdown.trigger();
        waiter.join().unwrap();
        shutdown.wait();
        assert!(shutdown.is_begun());
    }
}
