//! What every model version has done for the callers of this process, since it started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::unix_ms;

/// Counts of all models; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    /// By model and version, which are as few as the catalog has served. Held for one sum at a time.
    versions: Arc<Mutex<Versions>>,
}

type Versions = BTreeMap<String, BTreeMap<i64, Counts>>;

/// What one model version has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Requests that were answered, from their head to the answer.
    pub(crate) success: Measured,
    /// Requests that were not, once infer was asked.
    pub(crate) fail: Measured,
    /// Of those answered: reading and encoding.
    pub(crate) input: Measured,
    /// Of those answered: from the record's way out to the reply's way in, waiting in Kafka included.
    pub(crate) infer: Measured,
    /// Rows of those answered.
    pub(crate) rows: u64,
    /// When the last was answered, Unix milliseconds; 0 is never.
    pub(crate) last_unix_ms: i64,
}

/// How often, and how long together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) count: u64,
    pub(crate) total: Duration,
}

/// One request that asks infer now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    /// When its head was read.
    pub(crate) began: Instant,
    /// When infer was asked.
    pub(crate) asked: Instant,
}

impl Measured {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total = self.total.saturating_add(took);
    }
}

impl Statistics {
    /// Counts one request to a version of a model that infer was asked for; no
    /// rows is a failure.
    pub(crate) fn count(&self, whom: (&str, i64), asking: Asking, rows: Option<usize>) {
        let (model, version) = whom;
        let now = Instant::now();
        let took = now.saturating_duration_since(asking.began);
        self.with(|versions| {
            if !versions.contains_key(model) {
                versions.insert(model.to_owned(), BTreeMap::new());
            }
            let versions = versions.get_mut(model).expect("it was put there just now");
            let counts = versions.entry(version).or_default();
            let Some(rows) = rows else {
                return counts.fail.add(took);
            };
            counts.success.add(took);
            let read = asking.asked.saturating_duration_since(asking.began);
            counts.input.add(read);
            let inferred = now.saturating_duration_since(asking.asked);
            counts.infer.add(inferred);
            counts.rows = counts
                .rows
                .saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
            counts.last_unix_ms = unix_ms();
        });
    }

    /// What a version has done; nothing, if nobody asked for it yet.
    pub(crate) fn of(&self, model: &str, version: i64) -> Counts {
        let counts = |versions: &mut Versions| versions.get(model)?.get(&version).copied();
        self.with(counts).unwrap_or_default()
    }

    fn with<R>(&self, work: impl FnOnce(&mut Versions) -> R) -> R {
        work(&mut self.versions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_and_failures_are_counted_apart() {
        let statistics = Statistics::default();
        let asked = Instant::now();
        let asking = Asking {
            began: asked - Duration::from_millis(5),
            asked,
        };
        statistics.count(("m", 1), asking, Some(3));
        statistics.count(("m", 1), asking, Some(2));
        statistics.count(("m", 1), asking, None);
        statistics.count(("m", 2), asking, None);
        let counts = statistics.of("m", 1);
        assert_eq!((counts.success.count, counts.fail.count), (2, 1));
        assert_eq!(counts.rows, 5);
        assert_eq!(counts.input.total, Duration::from_millis(10));
        assert!(counts.success.total >= Duration::from_millis(10));
        assert!(counts.last_unix_ms > 0);
        assert_eq!(statistics.of("m", 2).success, Measured::default());
        assert_eq!(statistics.of("other", 1).fail, Measured::default());
    }
}
