//! The folder that `millrace up` keeps its data in.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Absolute paths below one folder.
#[derive(Debug)]
pub(super) struct Layout {
    /// Files that the sink writes, a folder per model.
    pub(super) results: PathBuf,
    /// Data and log of a Kafka of our own.
    pub(super) kafka: PathBuf,
    /// The settings that the services were started with.
    pub(super) settings: PathBuf,
}

impl Layout {
    /// Makes what is missing; what is there stays.
    pub(super) fn make(folder: &Path) -> anyhow::Result<Self> {
        let unusable = || {
            format!(
                "the folder {} cannot be used; name another with --data",
                folder.display()
            )
        };
        std::fs::create_dir_all(folder).with_context(unusable)?;
        let folder = folder.canonicalize().with_context(unusable)?;
        let layout = Self {
            results: folder.join("results"),
            kafka: folder.join("kafka"),
            settings: folder.join("settings"),
        };
        for path in [&layout.results, &layout.kafka, &layout.settings] {
            std::fs::create_dir_all(path).with_context(unusable)?;
        }
        Ok(layout)
    }
}
