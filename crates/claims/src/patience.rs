//! Waiting for a store that is down, and giving up what is not in one that works.

use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::error::ClaimError;
use crate::object::Object;
use crate::store::Store;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a wait looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(50);
/// How often it is said that the store is down.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// Why a value was given up.
#[derive(Debug)]
pub enum Unclaimed {
    /// It will never come: its record is to be refused.
    Refused(ClaimError),
    /// Nobody wants it any more.
    Unwanted,
}

impl Store {
    /// As [`Store::get`], again and again: without limit while the store is down, for `claims.missing_after` while the
    /// object is missing or wrong. `is_wanted` is asked between attempts.
    ///
    /// # Errors
    /// [`Unclaimed`]
    pub fn get_in_time(
        &self,
        object: &Object,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, Unclaimed> {
        self.insist(is_wanted, || self.get(object))
    }

    /// As [`Store::put`], again and again while the store is down.
    ///
    /// # Errors
    /// [`Unclaimed`]
    pub fn put_in_time(
        &self,
        value: &[u8],
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Object, Unclaimed> {
        self.insist(is_wanted, || self.put(value))
    }

    fn insist<T>(
        &self,
        is_wanted: &dyn Fn() -> bool,
        attempt: impl Fn() -> Result<T, ClaimError>,
    ) -> Result<T, Unclaimed> {
        let mut pause = FIRST_PAUSE;
        let mut said: Option<Instant> = None;
        let mut missing_since: Option<Instant> = None;
        loop {
            let error = match attempt() {
                Ok(value) => {
                    if said.is_some() {
                        info!("the store of large values works again");
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            match &error {
                ClaimError::TooLarge { .. } => return Err(Unclaimed::Refused(error)),
                ClaimError::Missing { .. } | ClaimError::Wrong { .. } => {
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.settings().missing_after {
                        return Err(Unclaimed::Refused(error));
                    }
                }
                ClaimError::Down(_) => {
                    // Only a store that works can lack something.
                    missing_since = None;
                    if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                        warn!(%error, "waiting; it is tried again");
                        said = Some(Instant::now());
                    }
                }
            }
            wait(pause, is_wanted)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn wait(pause: Duration, is_wanted: &dyn Fn() -> bool) -> Result<(), Unclaimed> {
    let until = Instant::now() + pause;
    while is_wanted() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(GLANCE));
    }
    Err(Unclaimed::Unwanted)
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
