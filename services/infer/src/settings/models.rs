//! Which models are served, where they are, and how their files are had.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use crate::repository::Place;

/// Which models to serve.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Folder of `<name>/<version>/…`, or the URL of one: `s3://bucket/prefix`, `gs://…`, `az://container/…`,
    /// `https://…`.
    pub path: PathBuf,
    /// Models to serve; every one in the folder when empty.
    pub names: Vec<String>,
    /// How often the place is looked at for models and versions that appear or vanish.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Bytes that the engines of all models may take together; the version that has not run for the longest time is
    /// then unloaded until its next record. Without it all stay loaded.
    pub memory_budget: Option<u64>,
    /// A descriptor in the models topic is believed for this long, and renewed three times as often.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Options of the object store, such as `region` and `endpoint`, by the names of the `object_store` crate.
    pub options: BTreeMap<String, String>,
    /// Options whose values stand in files, such as `secret_access_key`.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Where files of an object store are kept on this machine. Several processes may share it.
    pub cache: PathBuf,
    /// Versions that are not in use are removed from the cache, the longest unused first, when it holds more bytes.
    pub cache_bytes: u64,
    /// File of the key of encrypted models.
    pub key_file: Option<PathBuf>,
    /// The key itself, for the environment; `key_file` goes before it.
    pub key: String,
    /// Where decrypted files lie while a model loads: `/dev/shm` if that is in memory, else the cache folder.
    pub decrypted: Option<PathBuf>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("models"),
            names: Vec::new(),
            poll_interval: Duration::from_secs(5),
            memory_budget: None,
            lease: Duration::from_secs(9),
            options: BTreeMap::new(),
            secrets: BTreeMap::new(),
            cache: PathBuf::from("model-cache"),
            cache_bytes: 20 << 30,
            key_file: None,
            key: String::new(),
            decrypted: None,
        }
    }
}

impl ModelSettings {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        if self.poll_interval < Duration::from_millis(50) {
            let problem = "must be at least 50ms";
            return Err(InvalidSetting::new("models.poll_interval", problem));
        }
        if self.lease < Duration::from_secs(1) {
            return Err(InvalidSetting::new("models.lease", "must be at least 1s"));
        }
        if let Err(problem) = Place::parse(&self.path) {
            return Err(InvalidSetting::new("models.path", problem));
        }
        if self.key_file.as_ref().is_some_and(|file| is_url(file)) {
            let problem = "is a URL; a key is read from a file of this machine or from the environment, never over a \
                           network";
            return Err(InvalidSetting::new("models.key_file", problem));
        }
        if self.cache_bytes == 0 {
            return Err(InvalidSetting::new("models.cache_bytes", "is 0"));
        }
        Ok(())
    }
}

fn is_url(path: &std::path::Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://"))
}

/// Without what must not be in a log.
impl fmt::Debug for ModelSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ModelSettings")
            .field("path", &self.path)
            .field("names", &self.names)
            .field("poll_interval", &self.poll_interval)
            .field("memory_budget", &self.memory_budget)
            .field("lease", &self.lease)
            .field("options", &self.options.keys())
            .field("cache", &self.cache)
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut ModelSettings)) -> String {
        let mut settings = ModelSettings::default();
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    }

    #[test]
    fn impossible_places_of_models_and_keys_are_named() {
        assert!(problem(|s| s.path = "ftp://host/models".into()).contains("ftp://host/models"));
        assert!(problem(|s| s.key_file = Some("http://host/key".into())).contains("key_file"));
        assert!(problem(|s| s.cache_bytes = 0).contains("cache_bytes"));
    }

    #[test]
    fn no_key_is_in_a_log() {
        let settings = ModelSettings {
            key: "hidden one".to_owned(),
            options: BTreeMap::from([("secret_access_key".to_owned(), "hidden two".to_owned())]),
            ..ModelSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
