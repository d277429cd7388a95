//! The folder of Parquet files: who owns which partition, where it goes on, and how a file becomes visible.
//!
//! A reader that lists the folder sees whole files only: a file is written under a hidden name,
//! synced, linked to its final name, and the folder is synced. Ownership is a random token in a
//! hidden file per partition, read and written under a lock, so that a process which was paused
//! while another took over its partition cannot publish any more.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use millrace_kafka::TopicPartition;

use super::names;
use crate::destinations::WriteError;
use crate::destinations::identity::Identity;

/// Locks are held for a listing or a link, hence for milliseconds. Only a process that is
/// suspended right then holds one longer, and keeps others out until it goes on or dies.
const LOCK_DEADLINE: Duration = Duration::from_secs(5);

/// A folder with one folder per topic.
pub(super) struct Folder {
    root: Identity,
    /// Differs from process to process; 32 hexadecimal digits.
    owner: String,
}

impl Folder {
    /// Opens the folder, and creates it if there is none yet.
    pub(super) fn open(path: &Path, owner: String) -> anyhow::Result<Self> {
        fs::create_dir_all(path)
            .and_then(|()| sync_folder(path))
            .and_then(|()| Identity::of(path))
            .map(|root| Self { root, owner })
            .with_context(|| format!("cannot use the folder {}", path.display()))
    }

    /// Takes the partition over: from here on no other process can publish, and the names of what
    /// is there, which is answered as the next offset wanted, are final.
    pub(super) fn claim(&self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let folder = self.topic_folder(partition)?;
        let result = create_topic_folder(&folder).and_then(|()| {
            let mut owner_file = lock(&folder.join(names::owner(partition)), Missing::Create)?;
            owner_file.set_len(0)?;
            owner_file.write_all(self.owner.as_bytes())?;
            let next = take_stock(&folder, partition)?;
            sync_folder(&folder)?;
            Ok(next)
        });
        result.map_err(|error| self.classify(error, &folder))
    }

    /// The path of a new file for records from `first` on, hidden from readers.
    pub(super) fn temporary(
        &self,
        partition: &TopicPartition,
        first: i64,
    ) -> Result<PathBuf, WriteError> {
        let name = names::temporary(partition, first, &self.owner);
        Ok(self.topic_folder(partition)?.join(name))
    }

    /// Makes a complete and synced file visible under its final name, unless the partition is
    /// owned by another process now or something stands under that name.
    pub(super) fn publish(
        &self,
        temporary: &Path,
        partition: &TopicPartition,
        name: &str,
    ) -> Result<(), WriteError> {
        let folder = self.topic_folder(partition)?;
        self.link(temporary, partition, &folder.join(name))?;
        // The file is visible, and the next owner would count it: whatever fails now, only a new
        // start from the names can tell whether it will still be there after a power cut.
        fs::remove_file(temporary)
            .and_then(|()| sync_folder(&folder))
            .with_context(|| format!("cannot sync the folder {}", folder.display()))
            .map_err(WriteError::Fatal)
    }

    /// Gives the file its final name while the lock says that the partition is still ours.
    fn link(
        &self,
        temporary: &Path,
        partition: &TopicPartition,
        target: &Path,
    ) -> Result<(), WriteError> {
        let owner_path = target.with_file_name(names::owner(partition));
        let owner_file = lock(&owner_path, Missing::Refuse);
        let owner =
            owner_file.and_then(|mut file| read_owner(&mut file).map(|owner| (file, owner)));
        let _locked = match owner {
            Ok((file, owner)) if owner == self.owner => file,
            Ok(_) => return Err(WriteError::Fenced(partition.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(WriteError::Fenced(partition.clone()));
            }
            Err(error) => return Err(self.classify(error, &owner_path)),
        };
        fs::hard_link(temporary, target).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => WriteError::Fatal(anyhow!(
                "{} exists already; move it away if it is not Millrace's, then start the sink again",
                target.display()
            )),
            // The owner of the partition removes unfinished files when it takes over.
            ErrorKind::NotFound => WriteError::Fenced(partition.clone()),
            _ => self.classify(error, target),
        })
    }

    /// An input or output error, as one that may pass, unless the folder itself has gone.
    pub(super) fn classify(&self, error: io::Error, path: &Path) -> WriteError {
        if let Err(moved) = self.check_root() {
            return moved;
        }
        let error = anyhow::Error::new(error).context(format!("cannot write {}", path.display()));
        WriteError::Transient(error)
    }

    fn topic_folder(&self, partition: &TopicPartition) -> Result<PathBuf, WriteError> {
        self.check_root()?;
        Ok(self.root.path().join(names::folder_name(&partition.topic)))
    }

    /// A folder that was moved, deleted or unmounted must not be made anew in the wrong place.
    fn check_root(&self) -> Result<(), WriteError> {
        match self.root.still_holds() {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::Fatal(anyhow!(
                "the folder {} was replaced while the sink ran; put it back, or start the sink again",
                self.root.path().display()
            ))),
            Err(error) => Err(WriteError::Fatal(anyhow::Error::new(error).context(
                format!(
                    "the folder {} has gone; put it back, then start the sink again",
                    self.root.path().display()
                ),
            ))),
        }
    }
}

/// Makes the directory entries of a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn create_topic_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

/// Opens and locks an owner file; the lock ends with the file handle, also when the process dies.
fn lock(path: &Path, missing: Missing) -> io::Result<File> {
    let create = missing == Missing::Create;
    let file = File::options()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_DEADLINE => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    "another process holds the lock of the partition",
                ));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn read_owner(file: &mut File) -> io::Result<String> {
    let mut owner = String::new();
    file.rewind()?;
    file.read_to_string(&mut owner)?;
    Ok(owner)
}

/// Removes what earlier owners left unfinished, and answers the offset after the last finished file.
fn take_stock(folder: &Path, partition: &TopicPartition) -> io::Result<i64> {
    let mut next = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        if names::is_temporary(name, partition) {
            fs::remove_file(entry.path())?;
        } else if let Some(last) = names::last_offset(name, partition) {
            next = next.max(last.saturating_add(1));
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
