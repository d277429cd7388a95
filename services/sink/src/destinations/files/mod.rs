//! Files, exactly once: one batch is one file, and its name is the progress.

mod folder;
mod names;
mod parquet;
mod settings;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use millrace_kafka::TopicPartition;
use uuid::Uuid;

use super::{WriteError, Writer, Written};
use crate::batch::Batch;
use folder::Folder;

pub use settings::{FileFormat, FilesSettings};

/// Writes each batch to a file of its own.
pub(crate) struct FilesWriter {
    folder: Folder,
}

impl FilesWriter {
    /// Opens the folder, which is created if there is none.
    pub(crate) fn open(settings: &FilesSettings) -> anyhow::Result<Self> {
        let owner = Uuid::new_v4().simple().to_string();
        let folder = Folder::open(Path::new(&settings.url), owner)?;
        Ok(Self { folder })
    }

    /// Writes and syncs the hidden file.
    fn fill(&self, path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
        let mut file = File::create_new(path).map_err(|error| self.folder.classify(error, path))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.folder.classify(error, path))
    }
}

impl Writer for FilesWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        self.folder.claim(partition)
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let partition = batch.partition();
        let offsets = batch.offsets();
        let bytes = parquet::encode(batch.rows())
            .with_context(|| format!("cannot encode offsets {offsets:?} of {partition} as Parquet"))
            .map_err(WriteError::Fatal)?;
        let temporary = self.folder.temporary(partition, offsets.start)?;
        let name = names::finished(partition, offsets.start, offsets.end - 1);
        // Once a sync has failed, what the file holds is unknown: the next attempt writes another.
        self.fill(&temporary, &bytes)
            .and_then(|()| self.folder.publish(&temporary, partition, &name))
            .map_err(|error| abandon(&temporary, error))?;
        Ok(Written {
            files: 1,
            size_bytes: bytes.len() as u64,
        })
    }

    fn release(&mut self, _partition: &TopicPartition) {
        // Nothing is kept per partition: ownership ends when another process claims it.
    }
}

fn abandon(path: &Path, error: WriteError) -> WriteError {
    match fs::remove_file(path) {
        Ok(()) => error,
        Err(removal) if removal.kind() == io::ErrorKind::NotFound => error,
        Err(removal) => {
            tracing::warn!(path = %path.display(), error = %removal, "unfinished file stays until the partition is next assigned");
            error
        }
    }
}

#[cfg(test)]
mod tests;
