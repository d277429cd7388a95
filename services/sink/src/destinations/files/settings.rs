//! What can be set of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use super::open::place;
use crate::settings::invalid;

/// zstd knows no more.
const HIGHEST_COMPRESSION: i32 = 22;

/// A folder of files, or a prefix of a bucket.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// A local folder, or `s3://bucket/prefix`, `gs://…`, `az://container/…`.
    pub url: String,
    /// The format of the files.
    #[serde(default)]
    pub format: FileFormat,
    /// Folders by what a row holds, `date=2026-11-22/hour=14`, outermost first.
    #[serde(default)]
    pub partition_by: Vec<PartitionKey>,
    /// Options of the object store, such as `region` and `endpoint`, by the names of the
    /// `object_store` crate.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Options whose values stand in files, such as `secret_access_key`.
    #[serde(default)]
    pub secrets: BTreeMap<String, PathBuf>,
    /// Only for Parquet.
    #[serde(default)]
    pub parquet: ParquetSettings,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Parquet, compressed with zstd.
    #[default]
    Parquet,
    /// Arrow IPC files (Feather 2).
    Arrow,
    /// JSON Lines.
    Jsonl,
    /// Comma-separated values with a line of names; tensors are JSON text.
    Csv,
}

/// What partition folders can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionKey {
    /// The day of `recorded_at` in UTC.
    Date,
    /// The hour of `recorded_at` in UTC, from 00 to 23.
    Hour,
    /// The model.
    Model,
    /// The version of the model.
    Version,
}

/// How Parquet files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParquetSettings {
    /// The level of zstd: 1 is fast, 22 small; 0 writes without compression.
    pub compression_level: i32,
    /// Most rows of a row group.
    pub row_group_rows: usize,
    /// About the size of a row group at most, before compression.
    pub row_group_bytes: usize,
}

impl Default for ParquetSettings {
    fn default() -> Self {
        Self {
            compression_level: 1,
            row_group_rows: 1 << 20,
            row_group_bytes: 64 << 20,
        }
    }
}

impl FileFormat {
    /// The extension of its files, which also names it in plans.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

impl PartitionKey {
    /// The name of the column that the folder stands for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Hour => "hour",
            Self::Model => "model",
            Self::Version => "version",
        }
    }
}

impl FilesSettings {
    pub(crate) fn place(&self) -> String {
        format!("the folder {}", self.url.trim_end_matches('/'))
    }

    /// What must stay the same for a batch to become the same files.
    pub(super) fn layout(&self) -> String {
        let keys: Vec<&str> = self.partition_by.iter().map(|key| key.name()).collect();
        let keys = if keys.is_empty() {
            "all".to_owned()
        } else {
            keys.join("+")
        };
        format!("{keys}.{}", self.format.extension())
    }

    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if self.url.is_empty() {
            return invalid(key, "url", "is empty; name a folder or a bucket");
        }
        if place(&self.url).is_none() {
            let problem = format!(
                "is {:?}; give a folder, or a URL with s3, gs, az, abfs, abfss or file",
                self.url
            );
            return invalid(key, "url", problem);
        }
        let distinct: BTreeSet<PartitionKey> = self.partition_by.iter().copied().collect();
        if distinct.len() != self.partition_by.len() {
            return invalid(key, "partition_by", "names a key twice");
        }
        if !(0..=HIGHEST_COMPRESSION).contains(&self.parquet.compression_level) {
            let problem = format!(
                "is {}; it must be from 0 to {HIGHEST_COMPRESSION}",
                self.parquet.compression_level
            );
            return invalid(key, "parquet.compression_level", problem);
        }
        if self.parquet.row_group_rows == 0 || self.parquet.row_group_bytes == 0 {
            return invalid(key, "parquet", "has a row group of size 0");
        }
        Ok(())
    }
}

/// Options may hold keys that must not be in a log.
impl std::fmt::Debug for FilesSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FilesSettings")
            .field("url", &self.url)
            .field("format", &self.format)
            .field("partition_by", &self.partition_by)
            .field("options", &self.options.keys())
            .finish_non_exhaustive()
    }
}
