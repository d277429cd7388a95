//! How far the clocks of the replicas are from ours: leases and deadlines are compared across
//! machines. A replica writes its own time into each renewal of its lease, and we see it come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use millrace_kafka::{Follower, FollowerSettings, Metrics, Record};

use crate::board::{self, Board};
use crate::connection::Connection;
use crate::findings::Findings;
use crate::when;
use crate::whole_topic::MAX_RECORD_BYTES;

const CATCH_UP: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(20);

/// Longer than a lease of the default settings takes to be renewed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a record needs from there to here is far less.
const TOLERATED_MS: i64 = 1000;

/// Follows the models topic.
pub(super) struct Watch {
    follower: Follower,
    seen: Arc<Mutex<Seen>>,
    live_from: Instant,
}

#[derive(Default)]
struct Seen {
    board: Board,
    /// Whether what comes now was written while we watched.
    is_live: bool,
    /// Their clock minus ours, in milliseconds, by replica.
    ahead_ms: BTreeMap<String, i64>,
}

impl Watch {
    pub(super) fn start(connection: &Connection) -> anyhow::Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let settings = FollowerSettings {
            max_record_bytes: MAX_RECORD_BYTES,
            ..FollowerSettings::whole_topic(connection.cluster.clone(), connection.topic("models"))
        };
        let on_record = {
            let seen = Arc::clone(&seen);
            move |record| {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(record)
            }
        };
        let follower = Follower::start(settings, on_record, &Metrics::default())?;
        follower.wait_caught_up(CATCH_UP)?;
        seen.lock().unwrap_or_else(PoisonError::into_inner).is_live = true;
        Ok(Self {
            follower,
            seen,
            live_from: Instant::now(),
        })
    }

    /// Waits until each living replica has renewed its lease, or should have, and says whose clock
    /// is wrong.
    pub(super) fn finish(self, findings: &mut Findings) -> anyhow::Result<Board> {
        while self.live_from.elapsed() < PATIENCE && self.seen().silent() > 0 {
            thread::sleep(GLANCE);
        }
        self.follower.stop(STOP)?;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.tell(findings);
        Ok(seen.board)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn take(&mut self, record: Record) {
        let key = record.key.clone().unwrap_or_default();
        let written = record.timestamp_unix_ms.filter(|_| record.value.is_some());
        if let (true, Some(written)) = (self.is_live, written) {
            let key = String::from_utf8_lossy(&key);
            let replica = key.rsplit('/').next().unwrap_or_default().to_owned();
            self.ahead_ms.insert(replica, written - when::now_unix_ms());
        }
        self.board.take(record);
    }

    /// Living replicas that have not renewed a lease while we watched.
    fn silent(&self) -> usize {
        let now = when::now_unix_ms();
        let mut silent: Vec<&str> = Vec::new();
        for it in self.board.entries() {
            let is_known = self.ahead_ms.contains_key(&it.replica);
            if !is_known && board::is_alive(it, now) && !silent.contains(&it.replica.as_str()) {
                silent.push(&it.replica);
            }
        }
        silent.len()
    }

    fn tell(&self, findings: &mut Findings) {
        let silent = self.silent();
        if silent > 0 {
            let seconds = PATIENCE.as_secs();
            let text = format!(
                "{silent} replicas did not renew a lease within {seconds} s, so how right their \
                 clocks are is not known; look again"
            );
            findings.ok("clocks", text);
        }
        for (replica, &ahead_ms) in &self.ahead_ms {
            if ahead_ms.abs() > TOLERATED_MS {
                let direction = if ahead_ms > 0 { "ahead of" } else { "behind" };
                let text = format!(
                    "the clock of replica {replica} is {} {direction} this machine's: leases and \
                     deadlines are wrong by that; set both by NTP",
                    when::span(Duration::from_millis(ahead_ms.unsigned_abs()))
                );
                findings.warning("clocks", text);
            }
        }
        let good = self
            .ahead_ms
            .values()
            .filter(|ahead| ahead.abs() <= TOLERATED_MS)
            .count();
        if good > 0 {
            let text = format!("{good} replicas agree with this machine to a second");
            findings.ok("clocks", text);
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::avro::ModelState;

    use super::*;
    use crate::board::tests::descriptor;

    #[test]
    fn a_clock_that_is_off_is_named_and_said_by_how_much() {
        let mut seen = Seen {
            is_live: true,
            ..Seen::default()
        };
        for (replica, off_ms) in [("slow", -90_000), ("right", 5)] {
            let mut descriptor = descriptor("digits", replica, ModelState::Available);
            descriptor.lease_until_unix_ms = i64::MAX;
            seen.take(Record {
                topic: "mill.models".into(),
                partition: 0,
                offset: 0,
                timestamp_unix_ms: Some(when::now_unix_ms() + off_ms),
                key: Some(descriptor.key().into_bytes()),
                value: Some(descriptor.encode().unwrap()),
                headers: millrace_kafka::Headers::new(),
            });
        }
        assert_eq!(seen.silent(), 0);
        let mut findings = Findings::default();
        seen.tell(&mut findings);
        let text = format!("{findings:?}");
        assert!(text.contains("replica slow is 90 s behind"), "{text}");
        assert!(text.contains("1 replicas agree"), "{text}");
    }
}
