//! A SQLite table, exactly once: rows and progress are written in one transaction.
//!
//! The database has one writer at a time. A process that is suspended in the middle of a
//! transaction keeps the others waiting, and not ready, until it goes on or dies.

mod progress;
mod settings;
mod tables;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{Fields, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow::error::ArrowError;
use millrace_kafka::TopicPartition;
use millrace_wire::Status;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use super::identity::Identity;
use super::{WriteError, Writer, Written};
use crate::batch::Batch;
use crate::projection::{fixed, json};
use progress::{Owned, Progress};

pub use settings::SqliteSettings;

/// Other sinks and readers hold the database for milliseconds; beyond this it is out of order.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a start waits for other processes that hold the database.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Writes each batch in a transaction of its own.
pub(crate) struct SqliteWriter {
    pipeline: String,
    path: PathBuf,
    /// `None` after an error that may have left the connection in doubt.
    database: Option<Database>,
    epochs: HashMap<TopicPartition, i64>,
}

struct Database {
    connection: Connection,
    identity: Identity,
}

impl SqliteWriter {
    /// Opens the database and makes its tables if they are not there.
    pub(crate) fn open(settings: &SqliteSettings, pipeline: &str) -> anyhow::Result<Self> {
        let path = &settings.path;
        let database = Database::open_patiently(path)
            .with_context(|| format!("cannot use the SQLite database {}", path.display()))?;
        Ok(Self {
            pipeline: pipeline.to_owned(),
            path: path.to_owned(),
            database: Some(database),
            epochs: HashMap::new(),
        })
    }

    /// Runs `work` in a transaction. After an error nothing of it remains, or all of it,
    /// where the error came from the commit itself.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &Progress<'_>) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mut database = match self.database.take() {
            Some(database) => database,
            None => self.reopen()?,
        };
        database.check_identity()?;
        let transaction = database
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(classify)?;
        let progress = Progress::new(&transaction, &self.pipeline);
        let result = work(&transaction, &progress)?;
        transaction.commit().map_err(classify)?;
        self.database = Some(database);
        Ok(result)
    }

    fn reopen(&self) -> Result<Database, WriteError> {
        if !self.path.exists() {
            return Err(gone(&self.path));
        }
        Database::open(&self.path).map_err(|error| match error.downcast::<rusqlite::Error>() {
            Ok(error) => classify(error),
            Err(error) => WriteError::Fatal(error),
        })
    }
}

impl Writer for SqliteWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let owned = self.transact(|_, progress| progress.claim(partition).map_err(classify))?;
        self.epochs.insert(partition.clone(), owned.epoch);
        Ok(owned.next_offset)
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let partition = batch.partition();
        let offsets = batch.offsets();
        let Some(&epoch) = self.epochs.get(partition) else {
            return Err(WriteError::Fenced(partition.clone()));
        };
        self.transact(|transaction, progress| {
            let start = Owned {
                epoch,
                next_offset: offsets.start,
            };
            if progress
                .advance(partition, start, offsets.end)
                .map_err(classify)?
            {
                return insert(transaction, batch.rows());
            }
            // Either an earlier attempt did commit although it seemed to fail, or another
            // process owns the partition now. The table knows.
            let end = Owned {
                epoch,
                next_offset: offsets.end,
            };
            match progress.read(partition).map_err(classify)? {
                Some(owned) if owned == end => Ok(()),
                _ => Err(WriteError::Fenced(partition.clone())),
            }
        })?;
        Ok(Written::default())
    }

    fn release(&mut self, partition: &TopicPartition) {
        self.epochs.remove(partition);
    }
}

impl Database {
    /// Waits for other processes that are opening it: while one of them makes a new database
    /// ready for a write-ahead log, the others are refused at once, whatever the busy timeout
    /// (<https://sqlite.org/wal.html>, "sometimes queries return SQLITE_BUSY in WAL mode").
    fn open_patiently(path: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        loop {
            let error = match Self::open(path) {
                Ok(database) => return Ok(database),
                Err(error) => error,
            };
            let code = error
                .downcast_ref::<rusqlite::Error>()
                .and_then(rusqlite::Error::sqlite_error_code);
            let busy = matches!(
                code,
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            if !busy || begun.elapsed() >= OPEN_DEADLINE {
                return Err(error);
            }
            thread::sleep(OPEN_PAUSE);
        }
    }

    fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if mode != "wal" {
            return Err(anyhow!(
                "its journal mode stays {mode:?}, and the sink needs \"wal\"; put it on a local disk"
            ));
        }
        connection.pragma_update(None, "synchronous", "full")?;
        tables::create(&connection)?;
        let identity = Identity::of(path)?;
        Ok(Self {
            connection,
            identity,
        })
    }

    /// SQLite itself would go on writing to a file that was moved or deleted.
    fn check_identity(&self) -> Result<(), WriteError> {
        match self.identity.still_holds() {
            Ok(true) => Ok(()),
            _ => Err(gone(self.identity.path())),
        }
    }
}

fn insert(transaction: &Transaction<'_>, rows: &RecordBatch) -> Result<(), WriteError> {
    let outputs = outputs(rows).map_err(|error| WriteError::Fatal(error.into()))?;
    let (topic, partition) = (
        text(rows, "topic"),
        rows["partition"].as_primitive::<Int32Type>(),
    );
    let (offset, row) = (
        fixed::offsets(rows),
        rows["row"].as_primitive::<UInt32Type>(),
    );
    let recorded_at = rows["recorded_at"].as_primitive::<TimestampMillisecondType>();
    let (key, version) = (
        rows["key"].as_binary::<i32>(),
        rows["version"].as_primitive::<Int64Type>(),
    );
    let (id, model, request) = (text(rows, "id"), text(rows, "model"), text(rows, "request"));
    let (status, error) = (text(rows, "status"), text(rows, "error"));
    let mut statement = transaction
        .prepare_cached(tables::INSERT)
        .map_err(classify)?;
    for index in 0..rows.num_rows() {
        let inserted = statement.execute(params![
            topic.value(index),
            partition.value(index),
            offset[index],
            row.value(index),
            id.value(index),
            tables::Key(key.is_valid(index).then(|| key.value(index))),
            model.value(index),
            version.is_valid(index).then(|| version.value(index)),
            status.value(index),
            error.is_valid(index).then(|| error.value(index)),
            request.value(index),
            recorded_at
                .is_valid(index)
                .then(|| recorded_at.value(index)),
            (status.value(index) == Status::Ok.name()).then(|| outputs.value(index)),
        ]);
        inserted.map_err(classify)?;
    }
    Ok(())
}

fn text<'a>(rows: &'a RecordBatch, name: &str) -> &'a StringArray {
    rows[name].as_string()
}

/// All outputs of a row as one JSON object.
fn outputs(rows: &RecordBatch) -> Result<StringArray, ArrowError> {
    let first = fixed::NAMES.len();
    let fields = Fields::from(&rows.schema().fields()[first..]);
    let arrays = rows.columns()[first..].to_vec();
    let object = StructArray::try_new_with_length(fields, arrays, None, rows.num_rows())?;
    json::texts(&(Arc::new(object) as ArrayRef))
}

fn gone(path: &Path) -> WriteError {
    WriteError::Fatal(anyhow!(
        "the database {} was moved, deleted or replaced while the sink ran; put it back, or start the sink again",
        path.display()
    ))
}

/// Whether waiting may help.
fn classify(error: rusqlite::Error) -> WriteError {
    use ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::DiskFull
            | Code::SystemIoFailure
            | Code::CannotOpen
            | Code::ReadOnly
            | Code::OutOfMemory
            | Code::FileLockingProtocolFailed,
        ) => WriteError::Transient(error.into()),
        Some(Code::ConstraintViolation) => WriteError::Fatal(anyhow::Error::new(error).context(
            "the table refuses rows that the progress table does not know; was the pipeline renamed, or the table changed?",
        )),
        _ => WriteError::Fatal(error.into()),
    }
}

#[cfg(test)]
mod tests;
