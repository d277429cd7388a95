//! A value in the store: its name, and whether bytes are it.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::day::Day;
use crate::error::ClaimError;

/// The folder of all objects, for which a bucket's lifecycle rule can be made.
pub(crate) const FOLDER: &str = "values";

/// A value in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Within the store, such as `values/2026-11-23/<SHA-256>`.
    pub path: String,
    /// Bytes of the value.
    pub length: u64,
    /// What the value hashes to.
    pub sha256: [u8; 32],
}

impl Object {
    /// The object that a value becomes on this day.
    pub(crate) fn of(value: &[u8], now: SystemTime) -> Self {
        let sha256 = digest(value);
        let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            path: format!("{FOLDER}/{}/{digits}", Day::of(now)),
            length: u64::try_from(value.len()).unwrap_or(u64::MAX),
            sha256,
        }
    }

    /// Whether these are the bytes that are meant.
    pub(crate) fn check(&self, value: &[u8]) -> Result<(), ClaimError> {
        self.check_length(u64::try_from(value.len()).unwrap_or(u64::MAX))?;
        match digest(value) == self.sha256 {
            true => Ok(()),
            false => Err(self.wrong("does not hash to what the record says")),
        }
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), ClaimError> {
        match length == self.length {
            true => Ok(()),
            false => {
                let wanted = self.length;
                Err(self.wrong(format!("has {length} bytes, and the record says {wanted}")))
            }
        }
    }

    pub(crate) fn wrong(&self, problem: impl Into<String>) -> ClaimError {
        ClaimError::Wrong {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    pub(crate) fn missing(&self) -> ClaimError {
        ClaimError::Missing {
            path: self.path.clone(),
        }
    }

    /// The names on its way; `None` if it could lead out of the store.
    pub(crate) fn names(&self) -> Option<Vec<&str>> {
        let names: Vec<&str> = self.path.split('/').collect();
        let is_name = |name: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed)
        };
        names.iter().all(is_name).then_some(names)
    }
}

fn digest(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}

/// The day in an object's path, if it is one of ours.
pub(crate) fn day_of(path: &str) -> Option<Day> {
    let rest = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    rest.split_once('/')?.0.parse().ok()
}
