//! Ctrl-C and SIGTERM for commands that have something to keep first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;

/// Whether somebody wants the command to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first signal only sets a mark; the second one ends the process at once.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let mark = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot listen for signals")?;
        // It waits as long as the process lives.
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(signal());
                mark.0.store(true, Ordering::Release);
                runtime.block_on(signal());
                std::process::exit(130);
            })?;
        Ok(interrupt)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Returns at Ctrl-C or SIGTERM; never if neither can be heard, which leaves them to the kernel.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match signals {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
