//! A table in PostgreSQL, exactly once: rows arrive by binary COPY in one transaction with the progress.

mod copy;
mod elements;
mod errors;
mod progress;
mod session;
mod tables;
mod tls;
mod types;

use std::future::poll_fn;
use std::pin::pin;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures_util::Sink;
use millrace_kafka::TopicPartition;
use tokio::runtime::Runtime;
use tokio_postgres::{CopyInSink, Statement};

use crate::batch::Batch;
use crate::destinations::table::opening::{Patience, finding};
use crate::destinations::table::plan::{Mode, PLACE, Plan, quoted, quoted_list};
use crate::destinations::table::progress::{Epochs, already_written, ends_of};
use crate::destinations::table::settings::ServerSettings;
use crate::destinations::table::{rejected, unknown_rows};
use crate::destinations::{WriteError, Writer, Written};
use crate::projection::fixed;
use copy::Encoder;
use progress::Progress;
use session::{Server, Session, patient, within};
use tables::{Columns, Layout};

/// COPY travels in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// How URLs of this database begin.
pub(crate) const SCHEMES: &[&str] = &["postgresql", "postgres"];

/// Where an upsert's rows wait for the merge.
const STAGE: &str = "millrace_stage";

/// Writes each batch in a transaction of its own.
pub(crate) struct PostgresWriter {
    plan: Plan,
    server: Server,
    fixed: SchemaRef,
    runtime: Runtime,
    /// `None` after an error that may have left the connection in doubt.
    open: Option<Open>,
    epochs: Epochs,
}

/// A connection and what is known over it.
struct Open {
    session: Session,
    layout: Layout,
    target: Option<Target>,
}

/// How batches of one schema are written; batches mostly have the schema of the batch before.
struct Target {
    schema: SchemaRef,
    columns: Columns,
    copy: Statement,
    /// What moves staged rows into the table.
    merge: Option<String>,
}

impl PostgresWriter {
    /// Connects, and makes or checks the tables.
    ///
    /// # Errors
    /// The server does not answer, refuses us, or has a table that cannot take our rows.
    pub(crate) fn open(settings: &ServerSettings, plan: Plan) -> anyhow::Result<Self> {
        let mut writer = Self::new(settings, plan)?;
        let opened = Patience::WITH_A_SERVER.wait_for(|| writer.connect());
        let context = || format!("cannot use PostgreSQL at {}", writer.server.description);
        writer.open = Some(opened.with_context(context)?);
        Ok(writer)
    }

    /// Looks whether the destination can be used, and changes nothing; a sentence of what was found.
    ///
    /// # Errors
    /// What the operator must mend.
    pub(crate) fn check(settings: &ServerSettings, plan: Plan) -> anyhow::Result<String> {
        let writer = Self::new(settings, plan)?;
        let (plan, server) = (&writer.plan, &writer.server);
        let found = writer.runtime.block_on(async {
            let session = server.connect().await?;
            let layout = tables::inspect(&session.client, plan).await?;
            match &layout {
                Some(layout) => tables::check(layout, plan, &writer.fixed)?,
                None if !plan.create => return Err(tables::missing(plan)),
                None => {}
            }
            tables::check_vectors(&session.client, plan).await?;
            Ok(layout.is_some())
        });
        let there = found
            .map_err(WriteError::into_cause)
            .with_context(|| format!("cannot use PostgreSQL at {}", server.description))?;
        let at = format!("PostgreSQL at {}", server.description);
        Ok(finding(&at, plan, there))
    }

    fn new(settings: &ServerSettings, plan: Plan) -> anyhow::Result<Self> {
        let address = settings.address(SCHEMES)?;
        Ok(Self {
            server: Server::new(&address, &plan.pipeline)?,
            plan,
            fixed: fixed::schema(),
            runtime: session::runtime()?,
            open: None,
            epochs: Epochs::new(),
        })
    }

    fn connect(&self) -> Result<Open, WriteError> {
        self.runtime.block_on(async {
            let session = self.server.connect().await?;
            let layout = tables::prepare(&session.client, &self.plan, &self.fixed).await?;
            Ok(Open {
                session,
                layout,
                target: None,
            })
        })
    }

    /// Works on the connection, or on a new one. It is kept unless it is in doubt afterwards.
    fn with_open<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Open, &Plan, &Schema) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mut open = match self.open.take() {
            Some(open) if !open.session.client.is_closed() => open,
            _ => self.connect()?,
        };
        let (plan, fixed) = (&self.plan, &self.fixed);
        let (result, keep) = self.runtime.block_on(async {
            let result = work(&mut open, plan, fixed).await;
            let keep = match &result {
                Ok(_) => true,
                Err(WriteError::Rejected { .. } | WriteError::Fenced(_)) => {
                    let rollback = open.session.client.batch_execute("ROLLBACK");
                    patient(rollback).await.is_ok()
                }
                Err(_) => false,
            };
            (result, keep)
        });
        self.open = keep.then_some(open);
        result
    }
}

impl Writer for PostgresWriter {
    fn claim(&mut self, partition: &TopicPartition) -> Result<i64, WriteError> {
        let owned = self.with_open(async |open, plan, _| {
            let session = &mut open.session;
            Progress { session, plan }.claim(partition).await
        })?;
        self.epochs.insert(partition.clone(), owned.epoch);
        Ok(owned.next_offset)
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, WriteError> {
        let (partition, rows) = (batch.partition(), batch.rows());
        let (start, end) = ends_of(batch, &self.epochs)?;
        self.with_open(async |open, plan, fixed| {
            open.aim_at(rows, plan, fixed).await?;
            patient(open.session.client.batch_execute("BEGIN")).await?;
            let session = &mut open.session;
            let mut progress = Progress { session, plan };
            if progress.advance(partition, start, end.next_offset).await? {
                open.copy(rows, plan).await?;
                return patient(open.session.client.batch_execute("COMMIT")).await;
            }
            already_written(progress.read(partition).await?, end, partition)?;
            patient(open.session.client.batch_execute("ROLLBACK")).await
        })?;
        Ok(Written::default())
    }

    fn release(&mut self, partition: &TopicPartition) {
        self.epochs.remove(partition);
    }
}

impl Open {
    /// Finds out how to write batches of this schema, unless the batch before had it.
    async fn aim_at(
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
        let client = &self.session.client;
        let columns = tables::fit(client, (plan, &mut self.layout), (fixed, &schema)).await?;
        let table = plan.table.quoted('"');
        let names = quoted_list(columns.names.iter().map(String::as_str), '"');
        let mut merge = None;
        let mut into = table.clone();
        if let Mode::Upsert { key } = &plan.mode {
            let stage = format!(
                "DROP TABLE IF EXISTS pg_temp.{STAGE};
                 CREATE TEMP TABLE {STAGE} (LIKE {table}) ON COMMIT DELETE ROWS"
            );
            patient(client.batch_execute(&stage)).await?;
            merge = Some(merge_statement(&table, &names, (&columns.names, key)));
            into = format!("pg_temp.{STAGE}");
        }
        let copy = format!("COPY {into} ({names}) FROM STDIN (FORMAT binary)");
        let copy = patient(client.prepare(&copy)).await?;
        self.target = Some(Target {
            schema,
            columns,
            copy,
            merge,
        });
        Ok(())
    }

    async fn copy(&self, rows: &RecordBatch, plan: &Plan) -> Result<(), WriteError> {
        let Some(target) = self.target.as_ref().filter(|_| rows.num_rows() > 0) else {
            return Ok(());
        };
        let client = &self.session.client;
        let forms = &target.columns.forms;
        let columns = copy::columns(rows, forms).map_err(|error| rejected(error.to_string()))?;
        let mut encoder = Encoder::new(&columns, forms).map_err(|error| errors::unfit(&error))?;
        let sink: CopyInSink<Bytes> = patient(client.copy_in(&target.copy)).await?;
        let mut sink = pin!(sink);
        while let Some(piece) = encoder
            .next_piece(PIECE_BYTES)
            .map_err(|error| errors::unfit(&error))?
        {
            let ready = within(poll_fn(|cx| sink.as_mut().poll_ready(cx))).await?;
            // A server that has refused a row takes no more; finishing tells its reason.
            if ready.is_err() || sink.as_mut().start_send(Bytes::from(piece)).is_err() {
                break;
            }
        }
        if let Err(error) = within(sink.as_mut().finish()).await? {
            return Err(self.refusal(error, plan));
        }
        match &target.merge {
            Some(merge) => patient(client.batch_execute(merge)).await,
            None => Ok(()),
        }
    }

    fn refusal(&self, error: tokio_postgres::Error, plan: &Plan) -> WriteError {
        let place = self.layout.unique_over(&PLACE);
        if plan.mode == Mode::Insert && place.is_some() && errors::duplicate_of(&error) == place {
            return unknown_rows(error, plan);
        }
        errors::classify(error)
    }
}

/// Of the rows of one batch with the same key, the last one counts.
fn merge_statement(table: &str, names: &str, (columns, key): (&[String], &[String])) -> String {
    let key_list = quoted_list(key.iter().map(String::as_str), '"');
    let others = columns.iter().filter(|column| !key.contains(column));
    let updates: Vec<String> = others
        .map(|column| format!("{0} = EXCLUDED.{0}", quoted(column, '"')))
        .collect();
    format!(
        "INSERT INTO {table} ({names})
         SELECT DISTINCT ON ({key_list}) {names} FROM pg_temp.{STAGE}
         ORDER BY {key_list}, \"offset\" DESC, \"row\" DESC
         ON CONFLICT ({key_list}) DO UPDATE SET {}",
        updates.join(", ")
    )
}

#[cfg(test)]
mod tests;
