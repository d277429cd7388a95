//! The progress table: where each partition goes on, and which process owns it.

use millrace_kafka::TopicPartition;
use rusqlite::{OptionalExtension, Result, Row, Transaction, params};

use crate::destinations::table::progress::Owned;

/// The progress of one pipeline, inside a transaction.
pub(super) struct Progress<'a> {
    transaction: &'a Transaction<'a>,
    pipeline: &'a str,
}

impl<'a> Progress<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, pipeline: &'a str) -> Self {
        Self {
            transaction,
            pipeline,
        }
    }

    /// Takes a partition over, so that the owner before can write no more.
    pub(super) fn claim(&self, partition: &TopicPartition) -> Result<Owned> {
        self.transaction.query_row(
            "INSERT INTO millrace_progress (pipeline, topic, partition, next_offset, owner_epoch)
             VALUES (?1, ?2, ?3, 0, 1)
             ON CONFLICT DO UPDATE SET owner_epoch = owner_epoch + 1
             RETURNING owner_epoch, next_offset",
            params![self.pipeline, &*partition.topic, partition.partition],
            owned,
        )
    }

    /// Moves from `start` to `next_offset`; false if the table does not stand at `start`.
    pub(super) fn advance(
        &self,
        partition: &TopicPartition,
        start: Owned,
        next_offset: i64,
    ) -> Result<bool> {
        let mut statement = self.transaction.prepare_cached(
            "UPDATE millrace_progress SET next_offset = ?1
             WHERE pipeline = ?2 AND topic = ?3 AND partition = ?4
               AND next_offset = ?5 AND owner_epoch = ?6",
        )?;
        let changed = statement.execute(params![
            next_offset,
            self.pipeline,
            &*partition.topic,
            partition.partition,
            start.next_offset,
            start.epoch,
        ])?;
        Ok(changed == 1)
    }

    /// Where the partition stands; `None` if it was never claimed.
    pub(super) fn read(&self, partition: &TopicPartition) -> Result<Option<Owned>> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT owner_epoch, next_offset FROM millrace_progress
             WHERE pipeline = ?1 AND topic = ?2 AND partition = ?3",
        )?;
        let key = params![self.pipeline, &*partition.topic, partition.partition];
        statement.query_row(key, owned).optional()
    }
}

fn owned(row: &Row<'_>) -> Result<Owned> {
    Ok(Owned {
        epoch: row.get(0)?,
        next_offset: row.get(1)?,
    })
}
