//! Versions of an object store on this machine: one folder each, complete or not there. Processes may share a cache: a
//! version in use is locked, and only others are removed for room.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::{info, warn};

use super::local::{self, unreadable};
use super::scratch::Scratch;
use super::{ModelError, sums};

/// End of the file beside a folder that is locked while the folder is used, and whose time says when it was last.
const USED: &str = "used";
/// End of the file beside a folder that says what is in it.
const SUMS: &str = "sums";

/// The folder of the cache.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    limit_bytes: u64,
}

/// A version in the cache that stays there while this lives.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) folder: PathBuf,
    /// Digests from when it was downloaded.
    pub(super) sums: sums::Sums,
    _lock: File,
}

impl Cache {
    pub(super) fn new(folder: &Path, limit_bytes: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            limit_bytes,
        }
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// The version of this key, if it is there.
    pub(super) fn get(&self, key: &str) -> Result<Option<Cached>, ModelError> {
        let folder = self.folder.join(key);
        if !folder.is_dir() {
            return Ok(None);
        }
        let used = self.folder.join(format!("{key}.{USED}"));
        let failed = unreadable(&used);
        let lock = File::create(&used).map_err(&failed)?;
        lock.lock_shared().map_err(&failed)?;
        lock.set_modified(SystemTime::now()).map_err(&failed)?;
        let text = local::text(&self.folder.join(format!("{key}.{SUMS}")))?;
        let sums = text.and_then(|text| sums::parse(&text).ok());
        match sums {
            // It may have been removed before it was locked.
            Some(sums) if folder.is_dir() => Ok(Some(Cached {
                folder,
                sums,
                _lock: lock,
            })),
            Some(_) | None => Ok(None),
        }
    }

    /// Adds a version of about so many bytes. `fill` writes its files into an empty folder and answers their digests.
    pub(super) fn add(
        &self,
        key: &str,
        size_bytes: u64,
        fill: impl FnOnce(&Path) -> Result<sums::Sums, ModelError>,
    ) -> Result<Cached, ModelError> {
        let scratch = Scratch::create(&self.folder)?;
        self.make_room(key, size_bytes)?;
        let sums = fill(scratch.path())?;
        let size_bytes = local::size_bytes(scratch.path())?;
        self.make_room(key, size_bytes)?;
        let listed = self.folder.join(format!("{key}.{SUMS}"));
        let passing = scratch.path().with_extension(SUMS);
        fs::write(&passing, sums::write(&sums)).map_err(unreadable(&passing))?;
        fs::rename(&passing, &listed).map_err(unreadable(&listed))?;
        scratch.keep_as(&self.folder.join(key))?;
        self.get(key)?.ok_or_else(|| ModelError::Changed {
            place: self.folder.join(key).display().to_string(),
        })
    }

    /// Removes a version, unless somebody uses it.
    pub(super) fn remove(&self, key: &str) -> Result<bool, ModelError> {
        let used = self.folder.join(format!("{key}.{USED}"));
        let lock = File::create(&used).map_err(unreadable(&used))?;
        if lock.try_lock().is_err() {
            return Ok(false);
        }
        let folder = self.folder.join(key);
        fs::remove_dir_all(&folder).map_err(unreadable(&folder))?;
        let _ = fs::remove_file(self.folder.join(format!("{key}.{SUMS}")));
        Ok(true)
    }

    /// Removes what was not used for the longest time, until there is room for so many bytes.
    fn make_room(&self, place: &str, size_bytes: u64) -> Result<(), ModelError> {
        let too_large = || ModelError::TooLarge {
            place: place.to_owned(),
            size_bytes,
            limit_bytes: self.limit_bytes,
        };
        if size_bytes > self.limit_bytes {
            return Err(too_large());
        }
        let mut versions = self.versions()?;
        versions.sort_unstable();
        let mut held: u64 = versions.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, key, bytes) in versions {
            if held + size_bytes <= self.limit_bytes {
                return Ok(());
            }
            match self.remove(&key) {
                Ok(true) => {
                    info!(%key, bytes, "removed from the cache of models");
                    held -= bytes;
                }
                Ok(false) => {}
                Err(error) => warn!(%key, %error, "cannot be removed from the cache of models"),
            }
        }
        if held + size_bytes <= self.limit_bytes {
            Ok(())
        } else {
            Err(ModelError::CacheFull {
                place: place.to_owned(),
                size_bytes,
                held_bytes: held,
            })
        }
    }

    /// When each version was used last, its key, and its bytes.
    fn versions(&self) -> Result<Vec<(SystemTime, String, u64)>, ModelError> {
        let mut versions = Vec::new();
        for key in local::names_in(&self.folder)? {
            let folder = self.folder.join(&key);
            if key.starts_with('.') || !folder.is_dir() {
                continue;
            }
            let used = fs::metadata(self.folder.join(format!("{key}.{USED}")));
            let used = used.and_then(|used| used.modified());
            let bytes = local::size_bytes(&folder)?;
            versions.push((used.unwrap_or(SystemTime::UNIX_EPOCH), key, bytes));
        }
        Ok(versions)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn add(cache: &Cache, key: &str, bytes: usize) -> Result<Cached, ModelError> {
        cache.add(key, bytes as u64, |folder| {
            fs::write(folder.join("model.onnx"), vec![0; bytes]).unwrap();
            Ok(sums::Sums::from([("model.onnx".to_owned(), [7; 32])]))
        })
    }

    fn is_there(cache: &Cache, key: &str) -> bool {
        cache.get(key).unwrap().is_some()
    }

    #[test]
    fn what_was_added_is_there_with_its_digests() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 100);
        assert!(!is_there(&cache, "a"));
        add(&cache, "a", 10).unwrap();
        let cached = cache.get("a").unwrap().unwrap();
        assert_eq!(cached.sums["model.onnx"], [7; 32]);
        assert_eq!(
            fs::read(cached.folder.join("model.onnx")).unwrap().len(),
            10
        );
    }

    #[test]
    fn nothing_of_a_download_that_failed_is_ever_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 100);
        let failed = cache.add("a", 10, |folder| {
            fs::write(folder.join("model.onnx"), "half").unwrap();
            Err(ModelError::Changed {
                place: "a".to_owned(),
            })
        });
        assert!(failed.is_err() && !is_there(&cache, "a"));
        assert_eq!(
            local::names_in(folder.path()).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_longest_unused_goes_first_and_nothing_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 30);
        for (age_s, key) in [(3, "a"), (2, "b"), (1, "c")] {
            add(&cache, key, 10).unwrap();
            let used = File::open(folder.path().join(format!("{key}.{USED}"))).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age_s);
            used.set_modified(time).unwrap();
        }
        let in_use = cache.get("b").unwrap();
        add(&cache, "d", 15).unwrap();
        assert!(in_use.is_some());
        let there = ["a", "b", "c", "d"].map(|key| is_there(&cache, key));
        assert_eq!(there, [false, true, false, true]);
        let _both = (in_use, cache.get("d").unwrap());
        let error = add(&cache, "e", 10).unwrap_err().to_string();
        assert!(error.contains("models.cache_bytes"), "{error}");
        let error = add(&cache, "e", 31).unwrap_err().to_string();
        assert!(error.contains("31") && error.contains("30"), "{error}");
    }
}
