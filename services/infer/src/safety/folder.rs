//! The state folder: what runs in each living process, and what is remembered of those that died.
//!
//! ```text
//! lock              held for the moments in which the folder is looked through or changed
//! deaths.json       see `deaths`
//! run-<id>/alive    locked as long as the process lives
//! run-<id>/<n>      the journal of one of its threads
//! ```
//!
//! Any number of processes may share the folder: whoever comes next counts the deaths of those that are gone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tracing::warn;

use super::deaths::Deaths;
use super::journal::{self, Entry};

/// The part of the folder that belongs to this process.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    run: PathBuf,
    /// Unlocked by the kernel, however the process ends.
    _alive: File,
    journals: AtomicU32,
}

impl Folder {
    /// Makes the folder if it is not there, counts the deaths of processes that have ended without taking their journals
    /// with them, and makes this process's own part.
    ///
    /// # Errors
    /// When the folder cannot be written, or belongs to somebody else.
    pub(super) fn open(root: &Path) -> anyhow::Result<(Self, Deaths)> {
        let problem = || {
            let root = root.display();
            format!("the state folder {root} cannot be used; set `state.path` to one that can")
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .with_context(problem)?;
        let _lock = lock(root).with_context(problem)?;
        let deaths = adopt(root).with_context(problem)?;
        let run = root.join(format!("run-{}", uuid::Uuid::new_v4().simple()));
        DirBuilder::new()
            .mode(0o700)
            .create(&run)
            .with_context(problem)?;
        let alive = File::create(run.join("alive")).with_context(problem)?;
        alive.lock().with_context(problem)?;
        let folder = Self {
            root: root.to_owned(),
            run,
            _alive: alive,
            journals: AtomicU32::new(0),
        };
        Ok((folder, deaths))
    }

    /// A file for one more thread.
    pub(super) fn journal_file(&self) -> Option<(File, PathBuf)> {
        let number = self.journals.fetch_add(1, Ordering::Relaxed);
        let path = self.run.join(number.to_string());
        match File::create(&path) {
            Ok(file) => Some((file, path)),
            Err(error) => {
                warn!(file = %path.display(), %error, "what runs cannot be noted: a crash will not be traced to its record");
                None
            }
        }
    }

    /// Changes what is remembered.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(super) fn change(&self, change: impl FnOnce(&mut Deaths)) -> io::Result<Deaths> {
        let _lock = lock(&self.root)?;
        let mut deaths = read_deaths(&self.root)?;
        change(&mut deaths);
        write_deaths(&self.root, &deaths)?;
        Ok(deaths)
    }

    /// The process ends as it should: nothing is left of it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.run);
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn lock(root: &Path) -> io::Result<File> {
    let file = open_lock(&root.join("lock"))?;
    file.lock()?;
    Ok(file)
}

/// Counts the deaths of processes that are gone and removes what they left.
fn adopt(root: &Path) -> io::Result<Deaths> {
    let mut deaths = read_deaths(root)?;
    let now_unix_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut is_changed = false;
    for found in fs::read_dir(root)? {
        let run = found?.path();
        let is_run = run
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("run-"));
        if !is_run || is_alive(&run)? {
            continue;
        }
        let entries = entries_of(&run)?;
        report(&entries);
        deaths.count(&entries, now_unix_s);
        is_changed |= !entries.is_empty();
        fs::remove_dir_all(&run)?;
    }
    if is_changed {
        write_deaths(root, &deaths)?;
    }
    Ok(deaths)
}

/// Processes make their part under the lock that we hold, so one without an owner is nobody's.
fn is_alive(run: &Path) -> io::Result<bool> {
    match File::open(run.join("alive")) {
        Ok(alive) => match alive.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn entries_of(run: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in fs::read_dir(run)? {
        let path = found?.path();
        match journal::read(&fs::read(&path)?) {
            Ok(entry) => entries.extend(entry),
            Err(error) => {
                warn!(file = %path.display(), %error, "the journal of a process that died cannot be read");
            }
        }
    }
    Ok(entries)
}

fn report(entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Running {
                model,
                version,
                topic,
                spans,
            } => {
                let records: u64 = spans.iter().map(|span| u64::from(span.records)).sum();
                warn!(model, version, %topic, records, "a process died while a batch was running");
            }
            Entry::Loading { model, version, .. } => {
                warn!(
                    model,
                    version, "a process died while a model was being loaded"
                );
            }
        }
    }
}

fn read_deaths(root: &Path) -> io::Result<Deaths> {
    let path = root.join("deaths.json");
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            warn!(file = %path.display(), %error, "what was remembered of processes that died cannot be read");
            Deaths::default()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Deaths::default()),
        Err(error) => Err(error),
    }
}

/// In one step, so that a process that dies in between leaves the old or the new.
fn write_deaths(root: &Path, deaths: &Deaths) -> io::Result<()> {
    let bytes = serde_json::to_vec(deaths).map_err(io::Error::other)?;
    let fresh = root.join("deaths.json.new");
    fs::write(&fresh, bytes)?;
    fs::rename(fresh, root.join("deaths.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that is gone: its folder without anybody who holds the lock.
    fn left_behind(root: &Path, journals: &[&[u8]]) {
        let run = root.join(format!("run-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&run).unwrap();
        File::create(run.join("alive")).unwrap();
        for (number, bytes) in journals.iter().enumerate() {
            fs::write(run.join(number.to_string()), bytes).unwrap();
        }
    }

    fn runs(root: &Path) -> usize {
        let names = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("run-"))
            .count()
    }

    #[test]
    fn the_journals_of_the_dead_are_counted_once_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        // RUNNING, model "m", version 1, topic "t", one span: partition 0, offset 5, one record.
        let mut entry = vec![1, 1, 0, 0, 0, b'm'];
        entry.extend(1_i64.to_le_bytes());
        entry.extend([1, 0, 0, 0, b't', 1, 0, 0, 0, 0, 0, 0, 0]);
        entry.extend(5_i64.to_le_bytes());
        entry.extend(1_u32.to_le_bytes());
        for expected in [0, 1, 1] {
            left_behind(dir.path(), &[&entry, b"", &[0], b"nonsense"]);
            let (folder, deaths) = Folder::open(dir.path()).unwrap();
            assert_eq!(deaths.suspects().len(), expected);
            assert_eq!(runs(dir.path()), 1, "only this process's own");
            folder.remove();
        }
        assert_eq!(runs(dir.path()), 0);
    }

    #[test]
    fn the_journals_of_the_living_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = Folder::open(dir.path()).unwrap();
        let (_file, path) = first.journal_file().unwrap();
        let (_second, _) = Folder::open(dir.path()).unwrap();
        assert!(path.exists());
        assert_eq!(runs(dir.path()), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named_with_the_setting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", Folder::open(&file.join("state")).unwrap_err());
        assert!(
            error.contains("state.path") && error.contains("file"),
            "{error}"
        );
    }

    #[test]
    fn what_is_changed_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let loading = Entry::Loading {
            model: "m".to_owned(),
            version: 1,
            fingerprint: "a".to_owned(),
        };
        let now_unix_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let changed = folder
            .change(|deaths| deaths.count(&[loading], now_unix_s))
            .unwrap();
        let (_, read) = Folder::open(dir.path()).unwrap();
        assert_eq!(read, changed);
        assert_ne!(read, Deaths::default());
    }
}
