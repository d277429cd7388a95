//! The section `claims`, the same for all services and the operator's tool.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::open::Place;

/// The section `claims`: where values go that are too large for their records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimSettings {
    /// A folder that all machines of the line share, or a prefix of a bucket (`s3://`, `gs://`, `az://`). Empty: there
    /// is no store, and what is too large for its topic is refused.
    pub url: String,
    /// Values of more bytes go into the store. A value that its topic would not take goes there, too.
    pub threshold: usize,
    /// The largest value that is put into the store or taken from it.
    pub max_bytes: usize,
    /// Values that are read, and values that are written, at once.
    pub parallel: usize,
    /// How long an object that is missing or wrong is looked for again, before its record is refused. A store that
    /// cannot be reached at all is waited for without limit.
    #[serde(with = "humantime_serde")]
    pub missing_after: Duration,
    /// Options of the store, such as `aws_region` or `aws_endpoint`.
    pub options: BTreeMap<String, String>,
    /// The same, with files that hold the values, for those that are secret.
    pub secrets: BTreeMap<String, PathBuf>,
}

impl Default for ClaimSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            threshold: 768 << 10,
            max_bytes: 64 << 20,
            parallel: 4,
            missing_after: Duration::from_secs(5),
            options: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }
}

impl ClaimSettings {
    /// The first setting that cannot be, by its key, and what is wrong with it.
    ///
    /// # Errors
    /// As above.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !self.url.is_empty() && Place::parse(&self.url).is_none() {
            let problem = format!(
                "is {:?}; give a folder, or a URL with s3, gs, az, abfs, abfss or file",
                self.url
            );
            return Err(("claims.url", problem));
        }
        for (key, value) in [
            ("claims.threshold", self.threshold),
            ("claims.max_bytes", self.max_bytes),
            ("claims.parallel", self.parallel),
        ] {
            if value == 0 {
                return Err((key, "is 0; it must be at least 1".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether there is a store.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// The largest value that a record can stand for, whose topic takes `record_bytes`.
    #[must_use]
    pub fn largest(&self, record_bytes: usize) -> usize {
        match self.is_on() {
            true => record_bytes.max(self.max_bytes),
            false => record_bytes,
        }
    }
}
