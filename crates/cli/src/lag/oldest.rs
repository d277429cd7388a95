//! How long the oldest record of a partition has been waiting.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use millrace_kafka::{Metrics, Reader, Span};

use crate::connection::Connection;
use crate::when;
use crate::whole_topic::MAX_RECORD_BYTES;

use super::readers::Place;

/// How long one record is waited for.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// Reads the times of records.
pub(crate) struct Ages(Reader);

impl Ages {
    pub(crate) fn open(connection: &Connection) -> anyhow::Result<Self> {
        let reader = Reader::open(&connection.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
        Ok(Self(reader))
    }

    /// `None` if nothing waits, or if the record has no time.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(crate) fn of(&self, place: &Place) -> anyhow::Result<Option<Duration>> {
        if place.waiting <= 0 {
            return Ok(None);
        }
        let span = Span {
            topic: place.reader.topic.as_str().into(),
            partition: place.partition,
            offsets: place.next()..place.end,
        };
        let mut written = None;
        self.0
            .read(&span, Instant::now() + READ_DEADLINE, |record| {
                written = record.timestamp_unix_ms;
                ControlFlow::Break(())
            })?;
        Ok(written.map(|unix_ms| when::ago(unix_ms, when::now_unix_ms())))
    }
}
