//! A SQLite table, exactly once: rows and progress are written in one transaction.
//!
//! The database has one writer at a time. A process that is suspended in the middle of a
//! transaction keeps the others waiting, and not ready, until it goes on or dies.

mod progress;
mod settings;
mod tables;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use arrow::datatypes::SchemaRef;
use millrace_kafka::TopicPartition;
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::identity::Identity;
use super::table::opening::{Patience, finding};
use super::table::plan::{Mode, Plan};
use super::table::progress::{Epochs, already_written, ends_of};
use super::table::{rejected, unknown_rows};
use super::{WriteError, Writer, Written};
use crate::batch::Batch;
use crate::projection::fixed;
use progress::Progress;
use values::Cells;

pub use settings::SqliteSettings;

/// Other sinks and readers hold the database for milliseconds; beyond this it is out of order.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A start waits for other processes that are opening the database: while one of them makes a new
/// one ready for a write-ahead log, the others are refused at once, whatever the busy timeout
/// (<https://sqlite.org/wal.html>, "sometimes queries return SQLITE_BUSY in WAL mode").
const PATIENCE: Patience = Patience {
    pause: Duration::from_millis(20),
    may_pass: is_busy,
};

/// Writes each batch in a transaction of its own.
pub(crate) struct SqliteWriter {
    plan: Plan,
    path: PathBuf,
    fixed: SchemaRef,
    /// `None` after an error that may have left the connection in doubt.
    database: Option<Database>,
    /// How batches of one schema are written; batches mostly have the schema of the batch before.
    target: Option<(SchemaRef, String)>,
    epochs: Epochs,
}

struct Database {
    connection: Connection,
    identity: Identity,
}

impl SqliteWriter {
    /// Opens the database and makes its tables if they are not there.
    pub(crate) fn open(path: &Path, plan: Plan) -> anyhow::Result<Self> {
        let fixed = fixed::schema();
        let database = PATIENCE
            .wait_for(|| Database::open(path, &plan))
            .with_context(|| format!("cannot use the SQLite database {}", path.display()))?;
        Ok(Self {
            plan,
            path: path.to_owned(),
            fixed,
            database: Some(database),
            target: None,
            epochs: Epochs::new(),
        })
    }

    /// Looks whether the destination can be used, and changes nothing; a sentence of what was found.
    ///
    /// # Errors
    /// What the operator must mend.
    pub(crate) fn check(path: &Path, plan: &Plan) -> anyhow::Result<String> {
        let context = || format!("cannot use the SQLite database {}", path.display());
        let at = format!("SQLite at {}", path.display());
        if !path.exists() {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let there = folder.is_none_or(Path::is_dir);
            return match there {
                true => Ok(format!("{at}: the database will be made at the start")),
                false => Err(anyhow!("its folder is not there; make it").context(context())),
            };
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let layout = connection
            .and_then(|connection| tables::inspect(&connection, plan))
            .with_context(context)?;
        let found = match layout {
            Some(layout) => {
                tables::check(&layout, plan, &fixed::schema()).map(|()| finding(&at, plan, true))
            }
            None if !plan.create => Err(tables::missing(plan)),
            None => Ok(finding(&at, plan, false)),
        };
        found.map_err(WriteError::into_cause).with_context(context)
    }

    /// Runs `work` in a transaction. After an error nothing of it remains, or all of it,
    /// where the error came from the commit itself.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Self, &Transaction<'_>, &Progress<'_>) -> Result<T, WriteError>,
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
        let progress = Progress::new(&transaction, &self.plan.pipeline);
        let result = work(self, &transaction, &progress)?;
        transaction.commit().map_err(classify)?;
        self.database = Some(database);
        Ok(result)
    }

    fn reopen(&self) -> Result<Database, WriteError> {
        if !self.path.exists() {
            return Err(gone(&self.path));
        }
        Database::open(&self.path, &self.plan)
    }

    /// The statement for rows of this schema, and the columns that it needs.
    fn aim_at(
        &self,
        transaction: &Transaction<'_>,
        schema: &SchemaRef,
    ) -> Result<String, WriteError> {
        match &self.target {
            Some((aimed, statement)) if aimed == schema => Ok(statement.clone()),
            _ => {
                let names = tables::fit(transaction, &self.plan, (&self.fixed, schema))?;
                Ok(tables::insert_statement(&self.plan, &names))
            }
        }
    }
}

impl Writer for SqliteWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let owned = self.transact(|_, _, progress| progress.claim(partition).map_err(classify))?;
        self.epochs.insert(partition.clone(), owned.epoch);
        Ok(owned.next_offset)
    }

    fn takes_texts(&self) -> bool {
        true
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let (partition, rows) = (batch.partition(), batch.rows());
        let (start, end) = ends_of(batch, &self.epochs)?;
        let aimed = self.transact(|writer, transaction, progress| {
            let moved = progress.advance(partition, start, end.next_offset);
            if !moved.map_err(classify)? {
                let found = progress.read(partition).map_err(classify)?;
                already_written(found, end, partition)?;
                return Ok(None);
            }
            if rows.num_rows() == 0 {
                return Ok(None);
            }
            let statement = writer.aim_at(transaction, rows.schema_ref())?;
            insert(transaction, (&writer.plan, &statement), batch)?;
            Ok(Some(statement))
        })?;
        if let Some(statement) = aimed {
            self.target = Some((batch.rows().schema(), statement));
        }
        Ok(Written::default())
    }

    fn release(&mut self, partition: &TopicPartition) {
        self.epochs.remove(partition);
    }
}

impl Database {
    fn open(path: &Path, plan: &Plan) -> Result<Self, WriteError> {
        let connection = Connection::open(path).map_err(classify)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(classify)?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(classify)?;
        if mode != "wal" {
            return Err(WriteError::Fatal(anyhow!(
                "its journal mode stays {mode:?}, and the sink needs \"wal\"; put it on a local disk"
            )));
        }
        connection
            .pragma_update(None, "synchronous", "full")
            .map_err(classify)?;
        tables::prepare(&connection, plan, &fixed::schema())?;
        let identity = Identity::of(path).map_err(|error| WriteError::Transient(error.into()))?;
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

fn insert(
    transaction: &Transaction<'_>,
    (plan, statement): (&Plan, &str),
    batch: &Batch,
) -> Result<(), WriteError> {
    let columns = batch.lists_as_texts();
    let columns = columns.map_err(|error| rejected(error.to_string()))?;
    let schema = batch.rows().schema();
    let cells: Vec<Cells<'_>> = columns
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| Cells::of(array, field.name() == "key"))
        .collect();
    let mut statement = transaction.prepare_cached(statement).map_err(classify)?;
    for row in 0..batch.rows().num_rows() {
        for (index, cells) in cells.iter().enumerate() {
            let cell = cells.at(row).map_err(classify)?;
            statement
                .raw_bind_parameter(index + 1, cell)
                .map_err(classify)?;
        }
        statement
            .raw_execute()
            .map_err(|error| refusal(error, plan))?;
    }
    Ok(())
}

fn refusal(error: rusqlite::Error, plan: &Plan) -> WriteError {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let duplicate = matches!(
        code,
        Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE)
    );
    let of_place = error.to_string().contains(".offset");
    if plan.mode == Mode::Insert && duplicate && of_place {
        return unknown_rows(error, plan);
    }
    classify(error)
}

fn is_busy(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<rusqlite::Error>();
    let code = error.and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
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
        Some(Code::ConstraintViolation | Code::TooBig | Code::TypeMismatch) => {
            rejected(error.to_string())
        }
        None if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) => {
            rejected(error.to_string())
        }
        _ => WriteError::Fatal(error.into()),
    }
}

#[cfg(test)]
mod tests;
