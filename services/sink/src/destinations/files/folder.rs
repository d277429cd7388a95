//! A local folder of files: who owns which partition, where it goes on, and how files become visible.
//!
//! A reader that lists the folder sees whole files only: a file is written under a hidden name,
//! synced, linked to its final name, and the folder is synced. Ownership is a random token in a
//! hidden file per partition, read and written under a lock, so that a process which was paused
//! while another took over its partition cannot publish any more. A batch that falls into
//! several folders is announced by a hidden plan before its first file is linked.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use millrace_kafka::TopicPartition;

use super::names::{self, Meaning};
use super::ownership;
use super::shelf::{Delivery, NewFile, Shelf, Stock};
use crate::destinations::WriteError;
use crate::destinations::identity::Identity;

/// A folder with one folder per topic.
pub(super) struct Folder {
    root: Identity,
    /// Differs from process to process; 32 hexadecimal digits.
    owner: String,
    /// Format and partition folders, as they stand in plans.
    layout: String,
}

impl Folder {
    /// Opens the folder, and creates it if there is none yet.
    pub(super) fn open(path: &Path, owner: String, layout: String) -> anyhow::Result<Self> {
        fs::create_dir_all(path)
            .and_then(|()| sync_folder(path))
            .and_then(|()| Identity::of(path))
            .map(|root| Self {
                root,
                owner,
                layout,
            })
            .with_context(|| format!("cannot use the folder {}", path.display()))
    }

    /// An input or output error, as one that may pass, unless the folder itself has gone.
    fn classify(&self, error: io::Error, path: &Path) -> WriteError {
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

    fn take_over(&self, folder: &Path, partition: &TopicPartition) -> io::Result<Found> {
        create_folders(self.root.path(), folder)?;
        let owner_path = folder.join(names::owner(partition));
        let _locked = ownership::take(&owner_path, &self.owner)?;
        let mut found = Found::default();
        take_stock(folder, partition, &mut found)?;
        found.drop_old_plan()?;
        sync_folder(folder)?;
        Ok(found)
    }

    /// Writes and syncs the hidden files.
    fn fill(&self, folder: &Path, delivery: &Delivery<'_>) -> Result<Vec<PathBuf>, WriteError> {
        let mut filled = Vec::with_capacity(delivery.files.len());
        for (number, file) in delivery.files.iter().enumerate() {
            let (partition, first) = (delivery.partition, delivery.offsets.0);
            let name = names::temporary(partition, first, number, &self.owner);
            let path = folder.join(name);
            filled.push(path.clone());
            // Once a sync has failed, what the file holds is unknown: the next attempt writes
            // another.
            if let Err(error) = fill(&path, &file.bytes) {
                abandon(&filled);
                return Err(self.classify(error, &path));
            }
        }
        Ok(filled)
    }

    /// Gives the files their final names while the lock says that the partition is still ours.
    fn link(
        &self,
        folder: &Path,
        delivery: &Delivery<'_>,
        temporaries: &[PathBuf],
    ) -> Result<(), WriteError> {
        let owner_path = folder.join(names::owner(delivery.partition));
        let owned = ownership::check(&owner_path, &self.owner);
        let _locked = match owned {
            Ok(Some(locked)) => locked,
            Ok(None) => return Err(WriteError::Fenced(delivery.partition.clone())),
            Err(error) => return Err(self.classify(error, &owner_path)),
        };
        let plan = folder.join(names::plan(
            delivery.partition,
            delivery.offsets,
            delivery.layout,
        ));
        let begun_before = plan.exists();
        if delivery.files.len() > 1 && !begun_before {
            File::create_new(&plan)
                .and_then(|file| file.sync_all())
                .and_then(|()| sync_folder(folder))
                .map_err(|error| self.classify(error, &plan))?;
        }
        for (temporary, file) in temporaries.iter().zip(delivery.files) {
            let target = self.target(folder, file)?;
            match fs::hard_link(temporary, &target) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && begun_before => {}
                Err(error) => return Err(self.refused(error, delivery.partition, &target)),
                Ok(()) => {}
            }
            settle(&target)?;
        }
        if delivery.files.len() > 1 {
            fs::remove_file(&plan)
                .with_context(|| format!("cannot remove {}", plan.display()))
                .map_err(WriteError::Fatal)?;
        }
        Ok(())
    }

    fn target(&self, folder: &Path, file: &NewFile) -> Result<PathBuf, WriteError> {
        let inner = folder.join(&file.folder);
        create_folders(folder, &inner).map_err(|error| self.classify(error, &inner))?;
        Ok(inner.join(&file.name))
    }

    fn refused(&self, error: io::Error, partition: &TopicPartition, target: &Path) -> WriteError {
        match error.kind() {
            ErrorKind::AlreadyExists => WriteError::Fatal(anyhow!(
                "{} exists already; move it away if it is not Millrace's, then start the sink again",
                target.display()
            )),
            // The owner of the partition removes unfinished files when it takes over.
            ErrorKind::NotFound => WriteError::Fenced(partition.clone()),
            _ => self.classify(error, target),
        }
    }
}

impl Shelf for Folder {
    /// From here on no other process can publish, and the names of what is there are final.
    fn claim(&mut self, partition: &TopicPartition) -> Result<Stock, WriteError> {
        let folder = self.topic_folder(partition)?;
        let found = self
            .take_over(&folder, partition)
            .map_err(|error| self.classify(error, &folder))?;
        found.stock(&self.layout)
    }

    fn publish(&mut self, delivery: &Delivery<'_>) -> Result<(), WriteError> {
        let folder = self.topic_folder(delivery.partition)?;
        let temporaries = self.fill(&folder, delivery)?;
        self.link(&folder, delivery, &temporaries)
            .inspect_err(|_| abandon(&temporaries))?;
        // The files are visible and durable; what is left under hidden names harms nobody.
        abandon(&temporaries);
        Ok(())
    }
}

/// What the names of a partition's files say.
#[derive(Default)]
struct Found {
    next_offset: i64,
    plan: Option<(PathBuf, i64, String)>,
}

impl Found {
    /// A plan of a batch that is there is done with.
    fn drop_old_plan(&mut self) -> io::Result<()> {
        match self.plan.take() {
            Some((path, last, _)) if last < self.next_offset => fs::remove_file(path),
            plan => {
                self.plan = plan;
                Ok(())
            }
        }
    }

    fn stock(self, own_layout: &str) -> Result<Stock, WriteError> {
        if let Some((path, _, layout)) = &self.plan
            && layout != own_layout
        {
            return Err(WriteError::Fatal(super::other_layout(
                &path.display().to_string(),
                layout,
            )));
        }
        Ok(Stock {
            next_offset: self.next_offset,
            unfinished_to: self.plan.map(|(_, last, _)| last),
        })
    }
}

/// Removes what earlier owners left unfinished, and collects what names say, in partition
/// folders, too.
fn take_stock(folder: &Path, partition: &TopicPartition, found: &mut Found) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        match names::read(name, partition) {
            Some(Meaning::Temporary) => fs::remove_file(entry.path())?,
            Some(Meaning::DoneTo(last)) => {
                found.next_offset = found.next_offset.max(last.saturating_add(1));
            }
            Some(Meaning::Plan { last, layout }) => {
                found.plan = Some((entry.path(), last, layout.to_owned()));
            }
            Some(Meaning::Part) => {}
            None if name.contains('=') && entry.file_type()?.is_dir() => {
                take_stock(&entry.path(), partition, found)?;
            }
            None => {}
        }
    }
    Ok(())
}

fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file is visible, and the next owner would count it: whatever fails now, only a new start
/// from the names can tell whether it will still be there after a power cut.
fn settle(target: &Path) -> Result<(), WriteError> {
    let folder = target.parent().unwrap_or(Path::new("/"));
    sync_folder(folder)
        .with_context(|| format!("cannot sync the folder {}", folder.display()))
        .map_err(WriteError::Fatal)
}

fn abandon(paths: &[PathBuf]) {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "unfinished file stays until the partition is next assigned");
            }
            _ => {}
        }
    }
}

/// Makes the directory entries of a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the folders between `parent` and `path`, and `path`.
fn create_folders(parent: &Path, path: &Path) -> io::Result<()> {
    let missing: BTreeSet<&Path> = path
        .ancestors()
        .take_while(|folder| *folder != parent && !folder.as_os_str().is_empty())
        .collect();
    for folder in missing {
        match fs::create_dir(folder) {
            Ok(()) => folder.parent().map_or(Ok(()), sync_folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
