//! Reads the input on a thread of its own, so that the next rows are ready when there is room for them.

use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use millrace_wire::Encoder;

use crate::rows::{Chunk, Source};

/// Chunks that are ready and not sent yet.
const READY: usize = 2;

/// A chunk and the record of its rows.
pub(super) struct Prepared {
    pub(super) chunk: Chunk,
    /// `None` where no row fits.
    pub(super) payload: Option<Vec<u8>>,
}

pub(super) struct Reader {
    ready: Receiver<anyhow::Result<Prepared>>,
    thread: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(mut source: Box<dyn Source>) -> anyhow::Result<Self> {
        let (sender, ready) = mpsc::sync_channel(READY);
        let read = move || {
            let mut encoder = Encoder::default();
            loop {
                let prepared = match source.next() {
                    Ok(Some(chunk)) => prepared(chunk, &mut encoder),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let ends = prepared.is_err();
                // Nobody takes it when the run has failed.
                if sender.send(prepared).is_err() || ends {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("read".to_owned()).spawn(read)?;
        Ok(Self { ready, thread })
    }

    /// The next chunk if it is ready; waits for it if `wait` says so.
    ///
    /// # Errors
    /// The input cannot be read on.
    pub(super) fn next(&self, wait: Wait) -> anyhow::Result<Next> {
        let received = match wait {
            Wait::No => self
                .ready
                .try_recv()
                .map_err(|error| error == mpsc::TryRecvError::Disconnected),
            Wait::Yes => self.ready.recv().map_err(|_| true),
        };
        match received {
            Ok(prepared) => prepared.map(|prepared| Next::Chunk(Box::new(prepared))),
            Err(false) => Ok(Next::NotYet),
            Err(true) => Ok(Next::End),
        }
    }

    /// Ends the thread; what it has read is thrown away.
    ///
    /// # Errors
    /// It panicked.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        drop(self.ready);
        let joined = self.thread.join();
        joined.map_err(|_| anyhow::anyhow!("the thread that reads the input panicked"))
    }
}

/// Whether to wait for the next chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    No,
    Yes,
}

/// What there is to do next.
pub(super) enum Next {
    Chunk(Box<Prepared>),
    NotYet,
    End,
}

fn prepared(chunk: Chunk, encoder: &mut Encoder) -> anyhow::Result<Prepared> {
    let rows = chunk.inputs.rows();
    let payload = match rows {
        0 => None,
        _ => Some(chunk.inputs.encode(0..rows, encoder)?),
    };
    Ok(Prepared { chunk, payload })
}
