//! What a folder and a bucket do alike.

use std::fmt;
use std::time::SystemTime;

use crate::day::Day;
use crate::error::ClaimError;
use crate::object::Object;
use crate::store::Purged;

/// Says that this is the store and not an empty place, such as a folder on which nothing is mounted at the moment: only
/// beside it an object that is not there is missing. It lies outside of the folder whose objects are removed.
pub(crate) const MARKER: &str = "millrace-claims";
/// What it says.
pub(crate) const MARKER_TEXT: &str =
    "Values of Millrace records. Without this file, no object counts as missing.\n";

/// A folder or a bucket.
pub(crate) trait Shelf: Send + Sync + fmt::Debug {
    /// Makes the place a store, unless it is one.
    fn mark(&self) -> Result<(), ClaimError>;

    /// Makes a value durable under the object's name, whole or not at all.
    fn put(&self, object: &Object, value: &[u8]) -> Result<(), ClaimError>;

    /// The object's bytes, as many as it should have.
    fn get(&self, object: &Object) -> Result<Vec<u8>, ClaimError>;

    /// Removes the objects of days that are chosen, or only counts them.
    fn purge(&self, purge: &Purge<'_>) -> Result<Purged, ClaimError>;
}

/// Which objects are removed.
pub(crate) struct Purge<'a> {
    pub(crate) is_doomed: &'a dyn Fn(Day) -> bool,
    /// They are only counted.
    pub(crate) dry: bool,
}

impl Purge<'_> {
    /// Those of days that ended at least so long ago.
    pub(crate) fn older_than(age: std::time::Duration, now: SystemTime) -> impl Fn(Day) -> bool {
        move |day| day.ended_before(now).is_some_and(|it| it >= age)
    }
}
