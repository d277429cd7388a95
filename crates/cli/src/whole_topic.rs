//! Reads a topic from its beginning to where it ends now.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::bail;
use millrace_kafka::{Follower, FollowerSettings, Metrics, Record};

use crate::connection::Connection;
use crate::exit::Exit;

const READ_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// A dead letter is a record and its wrapping.
pub(crate) const MAX_RECORD_BYTES: usize = 20 << 20;

/// Records on their way from the follower's thread to ours.
const IN_FLIGHT: usize = 64;

/// Calls `on_record` for every record of the topic, in the order of each partition.
pub(crate) fn read(
    connection: &Connection,
    topic: &str,
    mut on_record: impl FnMut(Record),
) -> anyhow::Result<()> {
    if connection.admin.partition_count(topic)?.is_none() {
        return Err(Exit::Missing.error(format!(
            "topic {topic} does not exist; create it: millrace topics apply, or see --prefix"
        )));
    }
    let (sender, records) = mpsc::sync_channel(IN_FLIGHT);
    let settings = FollowerSettings {
        max_record_bytes: MAX_RECORD_BYTES,
        ..FollowerSettings::whole_topic(connection.cluster.clone(), topic)
    };
    let hand_over = move |record| {
        // After the deadline nobody takes it.
        let _ = sender.send(record);
    };
    let follower = Follower::start(settings, hand_over, &Metrics::default())?;
    let begun = std::time::Instant::now();
    loop {
        match records.recv_timeout(Duration::from_millis(20)) {
            Ok(record) => on_record(record),
            Err(_) if follower.is_caught_up() => break,
            Err(_) if begun.elapsed() > READ_DEADLINE => {
                bail!(
                    "topic {topic} was not read to its end within {READ_DEADLINE:?}; the broker is slow, or busy"
                );
            }
            Err(_) => {}
        }
    }
    while let Ok(record) = records.try_recv() {
        on_record(record);
    }
    drop(records);
    Ok(follower.stop(STOP_DEADLINE)?)
}
