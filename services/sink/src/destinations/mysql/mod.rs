//! A table in MySQL or MariaDB, exactly once: rows and progress are written in one transaction.
//!
//! Tensors are JSON, for want of arrays. A process that is suspended in the middle of a transaction
//! keeps the next owner of its partition waiting for half a minute; then the server ends its session.

mod errors;
mod progress;
mod session;
mod tables;
mod types;
mod values;

use std::time::{Duration, Instant};

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use millrace_kafka::TopicPartition;
use mysql::prelude::Queryable;
use mysql::{Conn, Params, Value};

use super::table::opening::{Patience, finding};
use super::table::plan::{Mode, PLACE, Plan, quoted, quoted_list};
use super::table::progress::{Epochs, already_written, ends_of};
use super::table::settings::ServerSettings;
use super::table::{rejected, unknown_rows};
use super::{WriteError, Writer, Written};
use crate::batch::Batch;
use crate::projection::fixed;
use errors::classify;
use progress::Progress;
use session::Server;
use tables::Layout;

/// How URLs of this database begin.
pub(crate) const SCHEMES: &[&str] = &["mysql", "mariadb"];

/// The server closes a connection that is idle for longer than its session option says.
const FRESH: Duration = Duration::from_secs(10);

/// A statement has 65,535 parameters at most.
const MOST_PARAMETERS: usize = 65_535;

/// Rows of a statement; few sizes, so that few statements are prepared.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

/// Parameters of one statement; the server's own limit is 16 MiB unless somebody changed it.
const CHUNK_BYTES: usize = 4 << 20;

/// Writes each batch in a transaction of its own.
pub(crate) struct MysqlWriter {
    plan: Plan,
    server: Server,
    fixed: SchemaRef,
    /// `None` after an error that may have left the connection in doubt.
    open: Option<Open>,
    epochs: Epochs,
}

struct Open {
    connection: Conn,
    layout: Layout,
    used: Instant,
    target: Option<Target>,
}

/// How batches of one schema are written; batches mostly have the schema of the batch before.
struct Target {
    schema: SchemaRef,
    names: Vec<String>,
}

impl MysqlWriter {
    /// Connects, and makes or checks the tables.
    ///
    /// # Errors
    /// The server does not answer, refuses us, or has a table that cannot take our rows.
    pub(crate) fn open(settings: &ServerSettings, plan: Plan) -> anyhow::Result<Self> {
        let mut writer = Self::new(settings, plan)?;
        let opened = Patience::WITH_A_SERVER.wait_for(|| writer.connect());
        let context = || format!("cannot use MySQL at {}", writer.server.description);
        writer.open = Some(opened.with_context(context)?);
        Ok(writer)
    }

    /// Looks whether the destination can be used, and changes nothing; a sentence of what was found.
    ///
    /// # Errors
    /// What the operator must mend.
    pub(crate) fn check(settings: &ServerSettings, plan: Plan) -> anyhow::Result<String> {
        let writer = Self::new(settings, plan)?;
        let (plan, at) = (&writer.plan, &writer.server.description);
        let look = || -> Result<bool, WriteError> {
            let mut connection = writer.server.connect()?;
            let layout = tables::inspect(&mut connection, plan)?;
            match &layout {
                Some(layout) => tables::check(layout, plan, &writer.fixed)?,
                None if !plan.create => return Err(tables::missing(plan)),
                None => {}
            }
            Ok(layout.is_some())
        };
        let there = look()
            .map_err(WriteError::into_cause)
            .with_context(|| format!("cannot use MySQL at {at}"))?;
        Ok(finding(&format!("MySQL at {at}"), plan, there))
    }

    fn new(settings: &ServerSettings, plan: Plan) -> anyhow::Result<Self> {
        let address = settings.address(SCHEMES)?;
        Ok(Self {
            server: Server::new(&address)?,
            plan,
            fixed: fixed::schema(),
            open: None,
            epochs: Epochs::new(),
        })
    }

    fn connect(&self) -> Result<Open, WriteError> {
        let mut connection = self.server.connect()?;
        let layout = tables::prepare(&mut connection, &self.plan, &self.fixed)?;
        Ok(Open {
            connection,
            layout,
            used: Instant::now(),
            target: None,
        })
    }

    /// Works on the connection, or on a new one. It is kept unless it is in doubt afterwards.
    fn with_open<T>(
        &mut self,
        work: impl FnOnce(&mut Open, &Plan, &Schema) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let kept = self.open.take();
        let alive = kept.and_then(|mut open| open.is_alive().then_some(open));
        let mut open = alive.map_or_else(|| self.connect(), Ok)?;
        let result = work(&mut open, &self.plan, &self.fixed);
        let keep = match &result {
            Ok(_) => true,
            Err(WriteError::Rejected { .. } | WriteError::Fenced(_)) => {
                open.connection.query_drop("ROLLBACK").is_ok()
            }
            Err(_) => false,
        };
        open.used = Instant::now();
        self.open = keep.then_some(open);
        result
    }
}

impl Writer for MysqlWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let owned = self.with_open(|open, plan, _| {
            open.run("START TRANSACTION")?;
            let owned = Progress::new(&mut open.connection, plan).claim(partition)?;
            open.run("COMMIT")?;
            Ok(owned)
        })?;
        self.epochs.insert(partition.clone(), owned.epoch);
        Ok(owned.next_offset)
    }

    fn takes_texts(&self) -> bool {
        true
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let partition = batch.partition();
        let (start, end) = ends_of(batch, &self.epochs)?;
        self.with_open(|open, plan, fixed| {
            open.aim_at(batch.rows(), plan, fixed)?;
            open.run("START TRANSACTION")?;
            let mut progress = Progress::new(&mut open.connection, plan);
            if progress.advance(partition, start, end.next_offset)? {
                open.insert(batch, plan)?;
                return open.run("COMMIT");
            }
            already_written(progress.read(partition)?, end, partition)?;
            open.run("ROLLBACK")
        })?;
        Ok(Written::default())
    }

    fn release(&mut self, partition: &TopicPartition) {
        self.epochs.remove(partition);
    }
}

impl Open {
    fn is_alive(&mut self) -> bool {
        self.used.elapsed() < FRESH || self.connection.ping().is_ok()
    }

    fn run(&mut self, statement: &str) -> Result<(), WriteError> {
        self.connection.query_drop(statement).map_err(classify)
    }

    /// Finds out how to write batches of this schema, unless the batch before had it.
    fn aim_at(
        &mut self,
        rows: &RecordBatch,
        plan: &Plan,
        fixed: &Schema,
    ) -> Result<(), WriteError> {
        let schema = rows.schema();
        let aimed = self
            .target
            .as_ref()
            .is_some_and(|target| target.schema == schema);
        if aimed || rows.num_rows() == 0 {
            return Ok(());
        }
        self.target = None;
        let tables = (plan, &mut self.layout);
        let names = tables::fit(&mut self.connection, tables, (fixed, &schema))?;
        self.target = Some(Target { schema, names });
        Ok(())
    }

    fn insert(&mut self, batch: &Batch, plan: &Plan) -> Result<(), WriteError> {
        let rows = batch.rows();
        let Some(target) = self.target.as_ref().filter(|_| rows.num_rows() > 0) else {
            return Ok(());
        };
        let columns = batch.lists_as_texts();
        let columns = columns.map_err(|error| rejected(error.to_string()))?;
        let mut values = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let cells = columns.iter().map(|column| values::value(column, row));
            values.push(cells.collect::<Result<Vec<Value>, WriteError>>()?);
        }
        let statements = Statements::new(plan, &target.names);
        let guards_place = plan.mode == Mode::Insert && self.layout.is_unique_over(&PLACE);
        while !values.is_empty() {
            let chunk = statements.chunk_of(&values);
            let parameters: Vec<Value> = values.drain(..chunk).flatten().collect();
            let done = self
                .connection
                .exec_drop(statements.of(chunk), Params::Positional(parameters));
            done.map_err(|error| match guards_place && errors::is_duplicate(&error) {
                true => unknown_rows(error, plan),
                false => classify(error),
            })?;
        }
        Ok(())
    }
}

/// The statements that insert rows of one form.
struct Statements {
    head: String,
    row: String,
    tail: String,
    columns: usize,
}

impl Statements {
    fn new(plan: &Plan, names: &[String]) -> Self {
        let list = quoted_list(names.iter().map(String::as_str), '`');
        let marks = vec!["?"; names.len()].join(", ");
        let mut tail = String::new();
        if let Mode::Upsert { key } = &plan.mode {
            let others = names.iter().filter(|name| !key.contains(name));
            let updates: Vec<String> = others
                .map(|name| format!("{0} = VALUES({0})", quoted(name, '`')))
                .collect();
            tail = format!(" ON DUPLICATE KEY UPDATE {}", updates.join(", "));
        }
        Self {
            head: format!("INSERT INTO {} ({list}) VALUES ", plan.table.quoted('`')),
            row: format!("({marks})"),
            tail,
            columns: names.len(),
        }
    }

    /// The statement for so many rows.
    fn of(&self, rows: usize) -> String {
        let rows = vec![self.row.as_str(); rows].join(", ");
        format!("{}{rows}{}", self.head, self.tail)
    }

    /// How many of the rows the next statement takes: at least one.
    fn chunk_of(&self, rows: &[Vec<Value>]) -> usize {
        let fits = |&&chunk: &&usize| {
            chunk == 1
                || chunk <= rows.len()
                    && chunk * self.columns <= MOST_PARAMETERS
                    && rows[..chunk]
                        .iter()
                        .flatten()
                        .map(values::size_bytes)
                        .sum::<usize>()
                        <= CHUNK_BYTES
        };
        CHUNKS.iter().find(fits).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests;
