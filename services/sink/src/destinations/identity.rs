//! Notices when the file or folder behind a path was replaced: moved, deleted or unmounted while the sink runs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path and what it led to when the sink opened it.
pub(crate) struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the same thing; an error when it leads nowhere.
    pub(crate) fn still_holds(&self) -> io::Result<bool> {
        let metadata = fs::metadata(&self.path)?;
        Ok(metadata.dev() == self.device && metadata.ino() == self.inode)
    }
}
