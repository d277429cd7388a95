//! Where rows can go. Each kind of destination is a folder here, behind [`Writer`].

mod files;
mod identity;
mod sqlite;
mod writer;

use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

pub use files::{FileFormat, FilesSettings, ParquetSettings, PartitionKey};
pub use sqlite::SqliteSettings;
pub(crate) use writer::{WriteError, Writer, Written};

use crate::batch::Roll;
use files::FilesWriter;
use sqlite::SqliteWriter;

/// A kind of destination and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Destination {
    /// A folder of files.
    Files(FilesSettings),
    /// A table in a SQLite database.
    Sqlite(SqliteSettings),
}

/// Opens the destination of a pipeline; progress in it is kept under the name of the pipeline.
pub(crate) fn open(settings: &Destination, pipeline: &str) -> anyhow::Result<Box<dyn Writer>> {
    Ok(match settings {
        Destination::Files(settings) => Box::new(FilesWriter::open(settings)?),
        Destination::Sqlite(settings) => Box::new(SqliteWriter::open(settings, pipeline)?),
    })
}

impl Destination {
    /// When a batch is closed where the settings do not say.
    pub(crate) fn roll(&self) -> Roll {
        let (rows, size_bytes, age) = match self {
            Self::Files(_) => (100_000, 64 << 20, Duration::from_secs(30)),
            Self::Sqlite(_) => (5_000, 16 << 20, Duration::from_millis(200)),
        };
        Roll {
            rows,
            size_bytes,
            age,
        }
    }

    /// What no two pipelines may share, in words.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Files(settings) => settings.place(),
            Self::Sqlite(settings) => settings.place(),
        }
    }

    /// The first broken rule; `key` is that of the destination.
    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        match self {
            Self::Files(settings) => settings.validate(key),
            Self::Sqlite(settings) => settings.validate(key),
        }
    }
}
