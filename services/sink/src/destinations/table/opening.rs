//! The start of a pipeline with a table: patience with a database that does not answer yet, and
//! what `check` says of one that does.

use std::thread;
use std::time::{Duration, Instant};

use super::plan::Plan;
use crate::destinations::WriteError;

/// How long a start waits for a database that may be there soon.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which errors a start waits for, and how it does.
pub(crate) struct Patience {
    pub(crate) pause: Duration,
    pub(crate) may_pass: fn(&anyhow::Error) -> bool,
}

impl Patience {
    /// With a server that is being started.
    pub(crate) const WITH_A_SERVER: Self = Self {
        pause: Duration::from_millis(250),
        may_pass: |_| true,
    };

    /// Repeats `attempt` while its error may pass, at most for half a minute.
    pub(crate) fn wait_for<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, WriteError>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            match attempt() {
                Err(WriteError::Transient(error))
                    if (self.may_pass)(&error) && begun.elapsed() < DEADLINE =>
                {
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "the database cannot be used yet"
                    );
                    thread::sleep(self.pause);
                }
                other => return other.map_err(WriteError::into_cause),
            }
        }
    }
}

/// What `check` says of a database that can be used; `at` names it.
pub(crate) fn finding(at: &str, plan: &Plan, table_is_there: bool) -> String {
    let table = &plan.table;
    match table_is_there {
        true => format!("{at}: table {table} fits"),
        false => format!("{at}: table {table} will be made at the start"),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const SHORT: Patience = Patience {
        pause: Duration::from_millis(1),
        may_pass: |error| error.to_string() == "busy",
    };

    fn attempts_until_it_ends(sentences: &[&'static str]) -> (usize, anyhow::Result<()>) {
        let mut attempts = 0;
        let ended = SHORT.wait_for(|| {
            attempts += 1;
            match sentences.get(attempts - 1) {
                Some(sentence) => Err(WriteError::Transient(anyhow!(*sentence))),
                None => Ok(()),
            }
        });
        (attempts, ended)
    }

    #[test]
    fn start_waits_for_what_may_pass_and_for_nothing_else() {
        let (attempts, ended) = attempts_until_it_ends(&["busy", "busy"]);
        assert_eq!((attempts, ended.is_ok()), (3, true));
        let (attempts, ended) = attempts_until_it_ends(&["busy", "gone", "busy"]);
        assert_eq!(
            (attempts, ended.unwrap_err().to_string()),
            (2, "gone".into())
        );
    }
}
