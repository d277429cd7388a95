//! Threads and clients that must end in time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use tracing::warn;

use crate::error::Error;

/// Runs `body` on a named thread. A panic in it becomes an error; the result
/// arrives once, in the returned channel.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Receiver<Result<T, Error>>, Error> {
    let (sender, receiver) = bounded(1);
    let thread_name = name.to_owned();
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
            Err(Error::Panicked {
                thread: thread_name,
                message: message_of(&*panic),
            })
        });
        // Nobody waits any more when the owner has given up: nothing to tell.
        drop(sender.send(result));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| Error::Thread {
            name: name.to_owned(),
            source: Arc::new(source),
        })?;
    Ok(receiver)
}

/// Drops a librdkafka client, but waits no longer than `within`: its
/// destructor has no deadline of its own and has been seen to hang
/// (<https://github.com/confluentinc/librdkafka/issues/4674>). Past the
/// deadline the client is left behind for the process to end with.
pub(crate) fn drop_within<T: Send + 'static>(client: T, name: &'static str, within: Duration) {
    let dropped = spawn(name, move || {
        drop(client);
        Ok(())
    });
    match dropped {
        Ok(done) if done.recv_timeout(within).is_ok() => {}
        Ok(_) => warn!(
            client = name,
            "client did not close in time, leaving it behind"
        ),
        Err(error) => warn!(client = name, %error, "cannot close the client"),
    }
}

pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
