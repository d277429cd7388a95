//! What a scan finds: models, their versions, and which of these are wanted.

use super::{Fingerprint, ModelError, ModelOptions, Policy};

/// A model that was found, whether or not it can be served.
#[derive(Debug)]
pub(crate) struct ModelEntry {
    /// Its name.
    pub(crate) name: String,
    /// How to serve it, or why that cannot be: a wrong `model.toml`, an impossible name.
    pub(crate) options: Result<ModelOptions, ModelError>,
    /// What is there, the lowest version first.
    pub(crate) versions: Vec<VersionEntry>,
}

/// One version of a model that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionEntry {
    /// Its number.
    pub(crate) version: i64,
    /// Changes when its files change.
    pub(crate) fingerprint: Fingerprint,
}

impl ModelEntry {
    /// The versions to serve by the policy of `model.toml`, the lowest first and never none.
    ///
    /// # Errors
    /// What is wrong with `model.toml`, or that there is no such version.
    pub(crate) fn wanted(&self) -> Result<Vec<&VersionEntry>, ModelError> {
        let options = self.options.as_ref().map_err(ModelError::clone)?;
        if self.versions.is_empty() {
            return Err(ModelError::NoVersion {
                model: self.name.clone(),
            });
        }
        match &options.versions.policy {
            Policy::All => Ok(self.versions.iter().collect()),
            Policy::Latest(count) => {
                let first = self.versions.len().saturating_sub(*count);
                Ok(self.versions.iter().skip(first).collect())
            }
            Policy::Only(asked) => {
                if let Some(missing) = asked.iter().find(|version| self.find(**version).is_none()) {
                    return Err(self.no_such_version(*missing));
                }
                let is_asked = |entry: &&VersionEntry| asked.contains(&entry.version);
                Ok(self.versions.iter().filter(is_asked).collect())
            }
        }
    }

    /// One version, if it is there.
    pub(crate) fn find(&self, version: i64) -> Option<&VersionEntry> {
        self.versions.iter().find(|entry| entry.version == version)
    }

    fn no_such_version(&self, version: i64) -> ModelError {
        let present: Vec<String> = self
            .versions
            .iter()
            .map(|entry| entry.version.to_string())
            .collect();
        ModelError::NoSuchVersion {
            model: self.name.clone(),
            version,
            present: present.join(", "),
        }
    }
}
