//! The progress table in PostgreSQL.

use anyhow::anyhow;
use millrace_kafka::TopicPartition;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::warn;

use super::errors::{classify, is_locked};
use super::session::{Session, patient, within};
use crate::destinations::WriteError;
use crate::destinations::table::plan::Plan;
use crate::destinations::table::progress::{Owned, PROGRESS};

/// How long a claim waits for a transaction of the owner before.
const CLAIM_PATIENCE: &str = "SET LOCAL lock_timeout = '2s'";

/// The progress of one pipeline.
pub(super) struct Progress<'a> {
    pub(super) session: &'a mut Session,
    pub(super) plan: &'a Plan,
}

/// The name of the progress table as SQL.
pub(super) fn table(plan: &Plan) -> String {
    plan.table.beside(PROGRESS).quoted('"')
}

/// Makes the progress table.
pub(super) fn create(plan: &Plan) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
            pipeline text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            next_offset bigint NOT NULL,
            owner_epoch bigint NOT NULL,
            PRIMARY KEY (pipeline, topic, partition)
        )",
        table(plan)
    )
}

impl Progress<'_> {
    /// Takes a partition over, so that the owner before can write no more.
    ///
    /// A process that was suspended in the middle of a transaction would keep us waiting: after a
    /// while its session is ended. What it had written is undone with it.
    pub(super) async fn claim(&mut self, partition: &TopicPartition) -> Result<Owned, WriteError> {
        let client = &self.session.client;
        patient(client.batch_execute(&format!("BEGIN; {CLAIM_PATIENCE}"))).await?;
        let statement = format!(
            "INSERT INTO {} AS p (pipeline, topic, partition, next_offset, owner_epoch)
             VALUES ($1, $2, $3, 0, 1)
             ON CONFLICT (pipeline, topic, partition) DO UPDATE SET owner_epoch = p.owner_epoch + 1
             RETURNING owner_epoch, next_offset",
            table(self.plan)
        );
        let (topic, number) = (&*partition.topic, partition.partition);
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.plan.pipeline, &topic, &number];
        match within(client.query_one(&statement, &parameters)).await? {
            Ok(row) => {
                patient(client.batch_execute("COMMIT")).await?;
                owned(&row)
            }
            Err(error) if is_locked(&error) => {
                patient(client.batch_execute("ROLLBACK")).await?;
                self.end_holder(partition).await?;
                Err(classify(error))
            }
            Err(error) => Err(classify(error)),
        }
    }

    /// Ends the session that holds the row: the one whose transaction is about to replace it.
    async fn end_holder(&self, partition: &TopicPartition) -> Result<(), WriteError> {
        let statement = format!(
            "SELECT count(pg_terminate_backend(holder.pid)) FROM {} p
             JOIN pg_stat_activity holder ON holder.backend_xid = p.xmax
             WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3",
            table(self.plan)
        );
        let (topic, number) = (&*partition.topic, partition.partition);
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.plan.pipeline, &topic, &number];
        let row = patient(self.session.client.query_one(&statement, &parameters)).await?;
        let sessions: i64 = row.try_get(0).map_err(classify)?;
        warn!(%partition, sessions, "ended the session of a former owner that holds the partition");
        Ok(())
    }

    /// Moves from `start` to `next_offset`, inside the transaction that is open; false if the
    /// table does not stand at `start`.
    pub(super) async fn advance(
        &mut self,
        partition: &TopicPartition,
        start: Owned,
        next_offset: i64,
    ) -> Result<bool, WriteError> {
        let statement = match &self.session.advance {
            Some(statement) => statement.clone(),
            None => {
                let text = format!(
                    "UPDATE {} SET next_offset = $1
                     WHERE pipeline = $2 AND topic = $3 AND partition = $4
                       AND next_offset = $5 AND owner_epoch = $6",
                    table(self.plan)
                );
                let prepared = patient(self.session.client.prepare(&text)).await?;
                self.session.advance.insert(prepared).clone()
            }
        };
        let (topic, number) = (&*partition.topic, partition.partition);
        let parameters: [&(dyn ToSql + Sync); 6] = [
            &next_offset,
            &self.plan.pipeline,
            &topic,
            &number,
            &start.next_offset,
            &start.epoch,
        ];
        let changed = patient(self.session.client.execute(&statement, &parameters)).await?;
        Ok(changed == 1)
    }

    /// Where the partition stands; `None` if it was never claimed.
    pub(super) async fn read(
        &self,
        partition: &TopicPartition,
    ) -> Result<Option<Owned>, WriteError> {
        let statement = format!(
            "SELECT owner_epoch, next_offset FROM {}
             WHERE pipeline = $1 AND topic = $2 AND partition = $3",
            table(self.plan)
        );
        let (topic, number) = (&*partition.topic, partition.partition);
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.plan.pipeline, &topic, &number];
        let row = patient(self.session.client.query_opt(&statement, &parameters)).await?;
        row.as_ref().map(owned).transpose()
    }
}

fn owned(row: &Row) -> Result<Owned, WriteError> {
    let column = |index: usize| {
        row.try_get::<_, i64>(index).map_err(|error| {
            WriteError::Fatal(anyhow!(error).context("the progress table has another form"))
        })
    };
    Ok(Owned {
        epoch: column(0)?,
        next_offset: column(1)?,
    })
}
