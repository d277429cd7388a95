//! The tables of the SQLite database.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result};

/// `source_*` are the coordinates of the result record; `request` are those of the request, from
/// its `mr-source`. A key is text where it is UTF-8, else a blob. Failed records have no outputs.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS results (
    source_topic TEXT NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    id TEXT NOT NULL,
    key BLOB,
    model TEXT NOT NULL,
    version INTEGER,
    status TEXT NOT NULL,
    error TEXT,
    request TEXT NOT NULL,
    recorded_at_unix_ms INTEGER,
    outputs TEXT,
    PRIMARY KEY (source_topic, source_partition, source_offset, instance)
);
CREATE TABLE IF NOT EXISTS millrace_progress (
    pipeline TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL,
    PRIMARY KEY (pipeline, topic, partition)
);";

pub(super) const INSERT: &str = "
INSERT INTO results (source_topic, source_partition, source_offset, instance, id, key, model,
                     version, status, error, request, recorded_at_unix_ms, outputs)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// Makes the tables, and checks that those which were there have the columns that we write.
pub(super) fn create(connection: &Connection) -> Result<()> {
    connection.execute_batch(CREATE)?;
    connection.prepare_cached(INSERT)?;
    Ok(())
}

/// A record's key as a value of SQLite.
pub(super) struct Key<'a>(pub(super) Option<&'a [u8]>);

impl ToSql for Key<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            None => ValueRef::Null,
            Some(bytes) if std::str::from_utf8(bytes).is_ok() => ValueRef::Text(bytes),
            Some(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
