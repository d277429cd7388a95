//! The end of a member's work, before it leaves the group.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tracing::{info, warn};

use crate::closing;
use crate::intake::{Intake, TopicPartition};
use crate::member::Member;
use crate::revocation::{self, COMMIT_PAUSE};

/// How long librdkafka's destructor may take.
const DESTROY: Duration = Duration::from_secs(5);

impl<I: Intake> Member<I> {
    /// Finishes and commits everything while this is still a member like the
    /// others.
    ///
    /// Leaving comes after it, because librdkafka 2.12 no longer listens for
    /// the answer to a join that is under way once it has begun to leave
    /// (`rd_kafka_cgrp_handle_JoinGroup`): if the group is just then taking in
    /// somebody else, it goes on to a generation that we never hear of, refuses
    /// the last commit, and what we answered is answered again.
    pub(crate) fn wind_up(&mut self) {
        let now = Instant::now();
        let until = revocation::drain_until(now, self.settings.drain_deadline, self.stop_at);
        // A failed pause costs only records that are passed over.
        let _: KafkaResult<()> = self.consumer.pause(&self.partitions.flowing());
        let held = self.held();
        self.partitions.drain(&held);
        if !held.is_empty() {
            self.intake.revoking(&held);
        }
        let mut next_commit = now;
        while Instant::now() < until && !self.is_wound_up() {
            if let Err(error) = self.step() {
                warn!(group = %self.settings.group, %error, "while finishing before the stop");
            }
            let now = Instant::now();
            if now >= next_commit && self.partitions.open(&self.held()) == 0 {
                next_commit = now + COMMIT_PAUSE;
                if let Err(error) = self.commit() {
                    warn!(group = %self.settings.group, %error, "while finishing before the stop");
                }
            }
        }
    }

    /// Leaves the group: librdkafka answers with a revocation, which goes the
    /// same way as one of a rebalance. Returns how many records were still
    /// open when time was up.
    pub(crate) fn close(mut self) -> usize {
        let deadline = self.stop_at.unwrap_or_else(Instant::now);
        let group = self.settings.group.clone();
        match self.consumer.close_queue() {
            Ok(()) => {
                while !self.consumer.closed() && Instant::now() < deadline {
                    if let Err(error) = self.step() {
                        warn!(%group, %error, "while leaving the group");
                    }
                }
            }
            Err(error) => warn!(%group, %error, "cannot leave the group in order"),
        }
        self.let_go_of_all();
        self.publish(Instant::now());
        let patience = DESTROY.min(deadline.saturating_duration_since(Instant::now()));
        let patience = patience.max(Duration::from_millis(200));
        if !self.committer.stop(patience) {
            warn!(%group, "the last commit was not answered");
        }
        info!(%group, unfinished = self.unfinished, "group consumer ended");
        closing::drop_within(self.consumer, "group consumer", patience);
        self.unfinished
    }

    fn is_wound_up(&self) -> bool {
        let held = self.held();
        self.revocation.is_none()
            && self.committer.is_idle()
            && self.partitions.open(&held) == 0
            && self.partitions.is_committed(&held)
    }

    /// The partitions that are ours.
    pub(crate) fn held(&self) -> Vec<TopicPartition> {
        let held = self.partitions.iter();
        held.map(|held| held.assignment.partition.clone()).collect()
    }
}
