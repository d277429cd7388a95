//! Values read from files, which follow the files as they change. A new file
//! that cannot be used changes nothing: the last good value stays, and the log
//! and a metric say so.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};

use super::jwks::JwksError;
use super::keys::KeyFileError;
use super::tls::TlsFileError;

/// Times a changed file was taken over or refused, by setting and outcome. Counter.
const FILE_RELOADS: &str = "millrace_ingest_file_reloads";
/// 1 while a file cannot be used and its last good content is used instead. Gauge.
const FILE_STALE: &str = "millrace_ingest_file_stale";

const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file cannot be used. Neither this nor what it wraps quotes the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: PathBuf },
    #[error("the file of keys {0}")]
    Keys(#[from] KeyFileError),
    #[error("the key set {0}")]
    Jwks(#[from] JwksError),
    #[error("{0}")]
    Tls(#[from] TlsFileError),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Setting {
    setting: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reload {
    setting: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Default)]
struct FileMetrics {
    reloads: Family<Reload, Counter>,
    stale: Family<Setting, Gauge>,
}

/// The latest good value of some files; cheap to clone.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    current: Arc<RwLock<Arc<T>>>,
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
        }
    }
}

impl<T> Watched<T> {
    /// The value as it is now.
    pub(crate) fn get(&self) -> Arc<T> {
        // Each change is one assignment, so no panic can leave it half done.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// Collects what to watch, until [`Watcher::start`].
pub(crate) struct Watcher {
    looks: Vec<Box<dyn FnMut() + Send>>,
    metrics: FileMetrics,
}

impl Watcher {
    /// Registers the metrics; call it once per process.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = FileMetrics::default();
        registry.register(
            FILE_RELOADS,
            "Changed files taken over or refused",
            metrics.reloads.clone(),
        );
        registry.register(
            FILE_STALE,
            "Whether a file's last good content is used in place of the file",
            metrics.stale.clone(),
        );
        Self {
            looks: Vec::new(),
            metrics,
        }
    }

    /// Reads files now, and again whenever they change once the watch has
    /// started. `setting` names them in logs and metrics.
    ///
    /// # Errors
    /// When the files cannot be used now.
    pub(crate) fn follow<T, const N: usize>(
        &mut self,
        setting: &'static str,
        paths: [PathBuf; N],
        parse: impl Fn(&[Vec<u8>; N]) -> Result<T, FileError> + Send + 'static,
    ) -> Result<Watched<T>, FileError>
    where
        T: Send + Sync + 'static,
    {
        let contents = read(&paths)?;
        let watched = Watched {
            current: Arc::new(RwLock::new(Arc::new(parse(&contents)?))),
        };
        let mut seen = Seen::Content(digest(&contents));
        let (metrics, value) = (self.metrics.clone(), watched.clone());
        metrics.stale.get_or_create(&Setting { setting }).set(0);
        let look = move || {
            let found = read(&paths);
            let now = Seen::of(&found);
            if now == seen {
                return;
            }
            seen = now;
            metrics.tell(
                setting,
                found
                    .and_then(|contents| parse(&contents))
                    .map(|new| value.set(new)),
            );
        };
        self.looks.push(Box::new(look));
        Ok(watched)
    }

    /// Looks at all files again and again, on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot start.
    pub(crate) fn start(mut self, every: Duration) -> io::Result<Watch> {
        if self.looks.is_empty() {
            return Ok(Watch::default());
        }
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                self.looks.iter_mut().for_each(|look| look());
            }
        };
        let thread = std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(run)?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl FileMetrics {
    fn tell(&self, setting: &'static str, outcome: Result<(), FileError>) {
        let name = match &outcome {
            Ok(()) => {
                tracing::info!(setting, "a changed file is in use");
                "loaded"
            }
            Err(error) => {
                tracing::error!(setting, %error, "a changed file cannot be used; its last good content stays");
                "refused"
            }
        };
        let reload = Reload {
            setting,
            outcome: name,
        };
        self.reloads.get_or_create(&reload).inc();
        let stale = self.stale.get_or_create(&Setting { setting });
        stale.set(i64::from(outcome.is_err()));
    }
}

/// The running thread; it ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches files panicked");
        }
    }
}

/// What a look found. Contents are compared, not times: a file may be replaced
/// twice within one tick of the clock, or by a link to an older one.
#[derive(PartialEq, Eq)]
enum Seen {
    Content([u8; 32]),
    Trouble(String),
}

impl Seen {
    fn of<const N: usize>(found: &Result<[Vec<u8>; N], FileError>) -> Self {
        match found {
            Ok(contents) => Self::Content(digest(contents)),
            Err(error) => Self::Trouble(error.to_string()),
        }
    }
}

fn digest(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for content in contents {
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

fn read<const N: usize>(paths: &[PathBuf; N]) -> Result<[Vec<u8>; N], FileError> {
    let mut contents = [const { Vec::new() }; N];
    for (content, path) in contents.iter_mut().zip(paths) {
        let unreadable = |source| FileError::Unreadable {
            path: path.clone(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut limited = file.take(MAX_FILE_BYTES + 1);
        let length = limited.read_to_end(content).map_err(unreadable)?;
        if length as u64 > MAX_FILE_BYTES {
            return Err(FileError::TooLarge { path: path.clone() });
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests;
