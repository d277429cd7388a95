//! Folders that live as long as they are used: removed when they are dropped, and by the next process if this one dies.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tracing::warn;
use uuid::Uuid;

use super::ModelError;
use super::local::unreadable;

/// End of the file beside each folder that is locked while somebody uses it.
const LOCK: &str = "lock";
const PREFIX: &str = ".millrace-";

/// A folder that only this user may enter, with a name that nobody guesses.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    lock_file: PathBuf,
    /// Held until the folder is gone.
    _lock: File,
}

impl Scratch {
    /// Makes one in `parent`, and removes those of processes that died.
    pub(super) fn create(parent: &Path) -> Result<Self, ModelError> {
        let failed = unreadable(parent);
        fs::create_dir_all(parent).map_err(&failed)?;
        sweep(parent);
        let name = format!("{PREFIX}{}", Uuid::new_v4().simple());
        let folder = parent.join(&name);
        let lock_file = parent.join(format!("{name}.{LOCK}"));
        let lock = File::create_new(&lock_file).map_err(&failed)?;
        lock.lock().map_err(&failed)?;
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(&failed)?;
        Ok(Self {
            folder,
            lock_file,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Gives the folder another name, under which it stays. What has that name already stays instead.
    pub(super) fn keep_as(self, target: &Path) -> Result<(), ModelError> {
        match fs::rename(&self.folder, target) {
            Err(_) if target.is_dir() => Ok(()),
            renamed => renamed.map_err(unreadable(target)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.folder);
        let _ = fs::remove_file(&self.lock_file);
    }
}

/// Removes the folders whose locks nobody holds.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_lock = path.extension().is_some_and(|end| end == LOCK)
            && entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_lock
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            remove(&path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(folder = %folder.display(), %error, "a folder of passing files cannot be removed");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_folder_is_private_and_gone_when_it_is_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path()).unwrap();
        let mode = fs::metadata(scratch.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(scratch.path().join("x"), "").unwrap();
        drop(scratch);
        assert_eq!(names(parent.path()), 0);
    }

    #[test]
    fn folders_of_processes_that_died_are_removed_and_those_in_use_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::create(parent.path()).unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(parent.path().join(format!("{PREFIX}dead.{LOCK}")), "").unwrap();
        let other = Scratch::create(parent.path()).unwrap();
        assert!(used.path().is_dir() && other.path().is_dir());
        assert!(!dead.exists());
        assert_eq!(names(parent.path()), 4);
    }
}
