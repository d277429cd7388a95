//! A store in a folder that machines share. No path and no link leads out of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use uuid::Uuid;

use crate::error::ClaimError;
use crate::object::{FOLDER, Object};
use crate::shelf::{MARKER, MARKER_TEXT, Purge, Shelf};
use crate::store::Purged;

/// A folder.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn down(&self, error: impl Into<io::Error>) -> ClaimError {
        ClaimError::Down(format!("{}: {}", self.root.display(), error.into()))
    }

    /// An error unless this is the store.
    fn check_mark(&self) -> Result<(), ClaimError> {
        match fs::symlink_metadata(self.root.join(MARKER)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let root = self.root.display();
                Err(ClaimError::Down(format!(
                    "{root} holds no {MARKER}: nothing has been written to it yet, or it is not mounted"
                )))
            }
            Err(error) => Err(self.down(error)),
        }
    }

    /// Opens an object from folder to folder, and follows no link below the root.
    fn open(&self, object: &Object) -> Result<File, ClaimError> {
        let names = object
            .names()
            .ok_or_else(|| object.wrong("is no path within the store"))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let through = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut at: OwnedFd =
            open(&self.root, through, Mode::empty()).map_err(|it| self.down(it))?;
        for (index, name) in names.iter().enumerate() {
            let flags = match index + 1 < names.len() {
                true => through | OFlags::NOFOLLOW,
                false => flags,
            };
            at = match openat(&at, *name, flags, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    self.check_mark()?;
                    return Err(object.missing());
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(object.wrong("is a link or leads through one"));
                }
                Err(error) => return Err(self.down(error)),
            };
        }
        Ok(File::from(at))
    }

    /// Creates the folders of an object, and brings them to the disk.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        sync(&self.root)?;
        sync(&self.root.join(FOLDER))
    }

    fn write(&self, target: &Path, value: &[u8]) -> io::Result<()> {
        let folder = target.parent().unwrap_or(&self.root);
        self.make_folder(folder)?;
        let draft = folder.join(format!(".{}", Uuid::new_v4().simple()));
        let written = File::create_new(&draft)
            .and_then(|mut file| {
                file.write_all(value)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, target));
        if written.is_err() {
            // What is left of it goes with its day.
            let _ = fs::remove_file(&draft);
        }
        written?;
        sync(folder)
    }

    fn purge_day(&self, folder: &Path, dry: bool) -> io::Result<Purged> {
        let mut purged = Purged::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            purged.objects += 1;
            purged.bytes += entry.metadata()?.len();
            if !dry {
                fs::remove_file(entry.path())?;
            }
        }
        if !dry {
            fs::remove_dir(folder)?;
        }
        Ok(purged)
    }
}

impl Shelf for Folder {
    fn mark(&self) -> Result<(), ClaimError> {
        let marker = self.root.join(MARKER);
        let made = match marker.exists() {
            true => Ok(()),
            false => fs::create_dir_all(&self.root)
                .and_then(|()| fs::write(&marker, MARKER_TEXT))
                .and_then(|()| sync(&self.root)),
        };
        made.map_err(|error| self.down(error))
    }

    fn put(&self, object: &Object, value: &[u8]) -> Result<(), ClaimError> {
        self.check_mark()?;
        self.write(&self.root.join(&object.path), value)
            .map_err(|error| self.down(error))
    }

    fn get(&self, object: &Object) -> Result<Vec<u8>, ClaimError> {
        let file = self.open(object)?;
        let found = file.metadata().map_err(|error| self.down(error))?;
        if !found.is_file() {
            return Err(object.wrong("is no file"));
        }
        object.check_length(found.len())?;
        let mut value = Vec::with_capacity(usize::try_from(object.length).unwrap_or(0));
        file.take(object.length)
            .read_to_end(&mut value)
            .map_err(|error| self.down(error))?;
        Ok(value)
    }

    fn purge(&self, purge: &Purge<'_>) -> Result<Purged, ClaimError> {
        self.check_mark()?;
        let days = match fs::read_dir(self.root.join(FOLDER)) {
            Ok(days) => days,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Purged::default()),
            Err(error) => return Err(self.down(error)),
        };
        let mut purged = Purged::default();
        for day in days {
            let day = day.map_err(|error| self.down(error))?;
            let name = day.file_name();
            let name = name.to_str().and_then(|name| name.parse().ok());
            if name.is_some_and(purge.is_doomed) {
                let more = self.purge_day(&day.path(), purge.dry);
                purged += more.map_err(|error| self.down(error))?;
            }
        }
        Ok(purged)
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
