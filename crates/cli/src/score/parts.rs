//! The folder beside the output: the job, and finished parts of its rows.
//!
//! A part is an Arrow IPC stream. It is written whole under another name, brought to the disk and
//! renamed, so a part that has its name is complete. Parts follow each other without gaps, because
//! each is begun when the one before has its name.

use std::fs::{self, File, TryLockError};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::job::Job;
use crate::rows::size_bytes;

const JOB: &str = "job.json";
const LOCK: &str = "lock";
/// There when all rows are in parts.
const COMPLETE: &str = "complete";
const UNFINISHED: &str = "unfinished";
/// A part is closed when it is so large.
const MAX_PART_BYTES: usize = 64 << 20;

/// The folder of one output, owned by this process.
pub(super) struct Parts {
    folder: PathBuf,
    /// Held as long as this process works on the folder.
    _lock: File,
}

/// A part in the making.
pub(super) struct OpenPart {
    writer: StreamWriter<BufWriter<File>>,
    first_row: u64,
    rows: u64,
    bytes: usize,
    begun: Instant,
}

impl Parts {
    /// `OUT.parts`.
    pub(super) fn folder_of(out: &Path) -> PathBuf {
        let mut name = out.as_os_str().to_owned();
        name.push(".parts");
        PathBuf::from(name)
    }

    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// Another process works on it.
    pub(super) fn open(out: &Path) -> anyhow::Result<Self> {
        let folder = Self::folder_of(out);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another millrace score works on {}; wait for it",
                    folder.display()
                )
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The job that the parts belong to, if one was begun.
    pub(super) fn job(&self) -> anyhow::Result<Option<Job>> {
        let path = self.folder.join(JOB);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; --restart begins anew", path.display()))
            .map(Some)
    }

    /// Begins a job: nothing of an earlier one stays.
    pub(super) fn begin(&self, job: &Job) -> anyhow::Result<()> {
        // Without its job no part counts, so this one goes first.
        for path in [self.folder.join(JOB), self.folder.join(COMPLETE)] {
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
        for (_, _, path) in self.list()? {
            fs::remove_file(path)?;
        }
        sync_folder(&self.folder)?;
        let text = serde_json::to_vec_pretty(job)?;
        self.write_whole(JOB, |file| Ok(file.write_all(&text)?))
    }

    /// Rows that are in parts, from the first on.
    pub(super) fn rows(&self) -> anyhow::Result<u64> {
        let mut next = 0;
        for (first, rows, path) in self.list()? {
            if first != next {
                bail!(
                    "{} does not follow the part before it; --restart begins anew",
                    path.display()
                );
            }
            next += rows;
        }
        Ok(next)
    }

    /// Says that there will be no more rows.
    pub(super) fn set_complete(&self) -> anyhow::Result<()> {
        self.write_whole(COMPLETE, |_| Ok(()))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.folder.join(COMPLETE).exists()
    }

    pub(super) fn begin_part(
        &self,
        schema: &SchemaRef,
        first_row: u64,
    ) -> anyhow::Result<OpenPart> {
        let file = File::create(self.folder.join(UNFINISHED))?;
        Ok(OpenPart {
            writer: StreamWriter::try_new_buffered(file, schema)?,
            first_row,
            rows: 0,
            bytes: 0,
            begun: Instant::now(),
        })
    }

    /// From here on the part's rows are done.
    pub(super) fn close_part(&self, mut part: OpenPart) -> anyhow::Result<()> {
        part.writer.finish()?;
        let file = part.writer.into_inner()?.into_inner()?;
        file.sync_all()?;
        let name = format!("part-{:014}-{}.arrows", part.first_row, part.rows);
        fs::rename(self.folder.join(UNFINISHED), self.folder.join(name))?;
        sync_folder(&self.folder)
    }

    /// Calls `visit` for all batches of all parts, in the order of their rows.
    pub(super) fn read(
        &self,
        mut visit: impl FnMut(&RecordBatch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (_, _, path) in self.list()? {
            let context = || format!("{} is damaged; --restart begins anew", path.display());
            let file = BufReader::with_capacity(1 << 20, File::open(&path)?);
            for batch in StreamReader::try_new(file, None).with_context(context)? {
                visit(&batch.with_context(context)?)?;
            }
        }
        Ok(())
    }

    /// Where the output is made before it gets its name.
    pub(super) fn draft(&self) -> PathBuf {
        self.folder.join("output")
    }

    /// Gives the draft, which is on the disk, its name, and removes the folder.
    pub(super) fn publish(self, out: &Path) -> anyhow::Result<()> {
        fs::rename(self.draft(), out).with_context(|| format!("cannot write {}", out.display()))?;
        let beside = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync_folder(beside.unwrap_or(Path::new(".")))?;
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("{} is no longer needed, remove it", self.folder.display()))
    }

    /// First row, rows and path of every finished part, in their order.
    fn list(&self) -> anyhow::Result<Vec<(u64, u64, PathBuf)>> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some((first, rows)) = path.file_name().and_then(|name| numbers(name.to_str()?)) {
                parts.push((first, rows, path));
            }
        }
        parts.sort();
        Ok(parts)
    }

    fn write_whole(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(unfinished, self.folder.join(name))?;
        sync_folder(&self.folder)
    }
}

impl OpenPart {
    /// Appends rows; they are not done before the part is closed.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        self.bytes += size_bytes(batch);
        Ok(())
    }

    /// Whether it holds as much, or is as old, as parts should be.
    pub(super) fn is_due(&self, age: std::time::Duration) -> bool {
        self.bytes >= MAX_PART_BYTES || self.begun.elapsed() >= age
    }
}

/// First row and rows, as a part's name has them.
fn numbers(name: &str) -> Option<(u64, u64)> {
    let (first, rows) = name
        .strip_prefix("part-")?
        .strip_suffix(".arrows")?
        .split_once('-')?;
    Some((first.parse().ok()?, rows.parse().ok()?))
}

/// What was renamed is there after a power failure, too.
fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot bring {} to the disk", folder.display()))
}
