//! Files, exactly once: a batch is one file, or one per partition folder, and the names are the progress.

mod bucket;
mod folder;
mod format;
mod names;
mod open;
mod ownership;
mod settings;
mod shelf;
mod split;

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use millrace_kafka::TopicPartition;

use super::{WriteError, Writer, Written};
use crate::batch::Batch;
use names::Order;
use shelf::{Delivery, NewFile, Shelf};

pub use settings::{FileFormat, FilesSettings, ParquetSettings, PartitionKey};

/// Writes each batch to files of its own.
pub(crate) struct FilesWriter {
    settings: FilesSettings,
    layout: String,
    shelf: Box<dyn Shelf>,
    unfinished_to: HashMap<TopicPartition, i64>,
}

impl FilesWriter {
    /// Opens the folder, which is created if there is none, or the bucket.
    pub(crate) fn open(settings: &FilesSettings) -> anyhow::Result<Self> {
        Ok(Self::on(open::shelf(settings)?, settings))
    }

    fn on(shelf: Box<dyn Shelf>, settings: &FilesSettings) -> Self {
        Self {
            settings: settings.clone(),
            layout: settings.layout(),
            shelf,
            unfinished_to: HashMap::new(),
        }
    }

    /// The files of a batch; the last one is the last to become visible.
    fn files(&self, batch: &Batch) -> anyhow::Result<Vec<NewFile>> {
        let (partition, offsets) = (batch.partition(), covered(batch));
        if batch.rows().num_rows() == 0 {
            return Ok(vec![NewFile {
                folder: String::new(),
                name: names::without_rows(partition, offsets),
                bytes: Vec::new(),
            }]);
        }
        let folders = split::by_folder(batch.rows(), &self.settings.partition_by)?;
        let mut files = Vec::with_capacity(folders.len());
        let last = folders.len() - 1;
        for (index, (folder, rows)) in folders.into_iter().enumerate() {
            let order = if index == last {
                Order::Last
            } else {
                Order::Before
            };
            let extension = self.settings.format.extension();
            files.push(NewFile {
                folder,
                name: names::finished(partition, offsets, order, extension),
                bytes: format::encode(&rows, &self.settings)?,
            });
        }
        Ok(files)
    }
}

impl Writer for FilesWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let stock = self.shelf.claim(partition)?;
        match stock.unfinished_to {
            Some(last) => self.unfinished_to.insert(partition.clone(), last),
            None => self.unfinished_to.remove(partition),
        };
        Ok(stock.next_offset)
    }

    fn unfinished_to(&self, partition: &TopicPartition) -> Option<i64> {
        self.unfinished_to.get(partition).copied()
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let (partition, offsets) = (batch.partition(), covered(batch));
        let files = self
            .files(batch)
            .with_context(|| {
                let format = self.settings.format;
                format!("cannot encode offsets {offsets:?} of {partition} as {format:?}")
            })
            .map_err(WriteError::Fatal)?;
        self.shelf.publish(&Delivery {
            partition,
            offsets,
            layout: &self.layout,
            files: &files,
        })?;
        self.unfinished_to.remove(partition);
        let visible = files.iter().filter(|file| !file.name.starts_with('.'));
        Ok(Written {
            files: visible.count() as u64,
            size_bytes: files.iter().map(|file| file.bytes.len() as u64).sum(),
        })
    }

    fn release(&mut self, partition: &TopicPartition) {
        // Ownership ends when another process claims the partition.
        self.unfinished_to.remove(partition);
    }
}

/// The first and the last offset of a batch.
fn covered(batch: &Batch) -> (i64, i64) {
    let offsets = batch.offsets();
    (offsets.start, offsets.end - 1)
}

/// A batch that was begun in another layout cannot be recognised file by file.
fn other_layout(place: &str, layout: &str) -> anyhow::Error {
    anyhow!(
        "{place} says that a batch of the layout {layout:?} (partition_by and format) was not finished; start the sink once with those settings, so that it is, then change them"
    )
}

#[cfg(test)]
mod tests;
