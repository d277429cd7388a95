//! The progress table in MySQL and MariaDB.

use anyhow::anyhow;
use millrace_kafka::TopicPartition;
use mysql::Conn;
use mysql::prelude::Queryable;

use super::errors::classify;
use crate::destinations::WriteError;
use crate::destinations::table::plan::Plan;
use crate::destinations::table::progress::{Owned, PROGRESS};

/// The progress of one pipeline, inside a transaction that is open.
pub(super) struct Progress<'a> {
    connection: &'a mut Conn,
    plan: &'a Plan,
    table: String,
}

impl<'a> Progress<'a> {
    pub(super) fn new(connection: &'a mut Conn, plan: &'a Plan) -> Self {
        Self {
            connection,
            plan,
            table: plan.table.beside(PROGRESS).quoted('`'),
        }
    }

    /// Takes a partition over, so that the owner before can write no more.
    pub(super) fn claim(&mut self, partition: &TopicPartition) -> Result<Owned, WriteError> {
        let statement = format!(
            "INSERT INTO {} (pipeline, topic, `partition`, next_offset, owner_epoch)
             VALUES (?, ?, ?, 0, 1) ON DUPLICATE KEY UPDATE owner_epoch = owner_epoch + 1",
            self.table
        );
        let key = (&self.plan.pipeline, &*partition.topic, partition.partition);
        self.connection
            .exec_drop(statement, key)
            .map_err(classify)?;
        self.read(partition)?
            .ok_or_else(|| WriteError::Fatal(anyhow!("the progress table lost a row just written")))
    }

    /// Moves from `start` to `next_offset`; false if the table does not stand at `start`.
    pub(super) fn advance(
        &mut self,
        partition: &TopicPartition,
        start: Owned,
        next_offset: i64,
    ) -> Result<bool, WriteError> {
        let statement = format!(
            "UPDATE {} SET next_offset = ?
             WHERE pipeline = ? AND topic = ? AND `partition` = ?
               AND next_offset = ? AND owner_epoch = ?",
            self.table
        );
        let parameters = (
            next_offset,
            &self.plan.pipeline,
            &*partition.topic,
            partition.partition,
            start.next_offset,
            start.epoch,
        );
        self.connection
            .exec_drop(statement, parameters)
            .map_err(classify)?;
        Ok(self.connection.affected_rows() == 1)
    }

    /// Where the partition stands; `None` if it was never claimed. Locks the row.
    pub(super) fn read(&mut self, partition: &TopicPartition) -> Result<Option<Owned>, WriteError> {
        let statement = format!(
            "SELECT owner_epoch, next_offset FROM {}
             WHERE pipeline = ? AND topic = ? AND `partition` = ? FOR UPDATE",
            self.table
        );
        let key = (&self.plan.pipeline, &*partition.topic, partition.partition);
        let row: Option<(i64, i64)> = self
            .connection
            .exec_first(statement, key)
            .map_err(classify)?;
        Ok(row.map(|(epoch, next_offset)| Owned { epoch, next_offset }))
    }
}
