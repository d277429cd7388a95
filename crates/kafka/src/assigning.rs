//! Taking partitions over, and giving them up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{info, warn};

use crate::error::{Error, IntakeError};
use crate::intake::{Intake, StartAt, TopicPartition};
use crate::member::Member;
use crate::membership::Membership;
use crate::partitions::{self, Assignment};
use crate::revocation::{self, COMMIT_PAUSE, Phase, Revocation};

/// How long the last commit of given-up partitions may take when nobody has
/// set a closer deadline.
const LAST_COMMIT: Duration = Duration::from_secs(5);

impl<I: Intake> Member<I> {
    /// Partitions were gained: asks the intake where to start and starts.
    pub(crate) fn assign(&mut self, list: &TopicPartitionList) -> Result<(), Error> {
        let gained = partitions::from_list(list);
        self.joined = true;
        self.metrics.count_rebalance("assigned");
        info!(group = %self.settings.group, partitions = ?names(&gained), "partitions assigned");
        if self.stop_at.is_some() {
            // librdkafka waits for the assignment before it lets us leave the
            // group. The intake is not asked: what it has not claimed it could
            // not finish. Without a ledger, records are passed over.
            return self.begin_fetching(list);
        }
        let starts = match self.starts(&gained) {
            Ok(starts) => starts,
            Err(error) => {
                // As above: the failure ends this member.
                self.begin_fetching(list)?;
                return Err(error);
            }
        };
        for partition in &gained {
            let assignment = Assignment::new(
                partition.clone(),
                Membership::of(&self.consumer),
                Arc::clone(&self.budget),
                self.metrics.ends.clone(),
            );
            let (records, bytes) = self.metrics.consumed(&partition.topic);
            self.partitions.add(Arc::new(assignment), records, bytes);
        }
        let positions = partitions::to_list(&starts)
            .map_err(|source| Error::kafka("setting start offsets", source))?;
        self.begin_fetching(&positions)?;
        self.keep_valve_closed();
        Ok(())
    }

    fn starts(
        &mut self,
        gained: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, Error> {
        if gained.is_empty() {
            return Ok(Vec::new());
        }
        let starts = self.intake.assigned(gained).map_err(Error::Intake)?;
        if starts.len() != gained.len() {
            let sentence = format!("{} starts for {} partitions", starts.len(), gained.len());
            return Err(Error::Intake(IntakeError::new(sentence)));
        }
        let position = |(partition, start): (&TopicPartition, StartAt)| {
            let offset = match start {
                StartAt::Committed => Offset::Stored,
                StartAt::At(offset) => Offset::Offset(offset),
            };
            (partition.clone(), offset)
        };
        Ok(gained.iter().zip(starts).map(position).collect())
    }

    fn begin_fetching(&self, list: &TopicPartitionList) -> Result<(), Error> {
        let assigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(list),
        };
        assigned.map_err(|source| Error::kafka("taking over partitions", source))
    }

    /// Partitions are to be given up. If another member owns them already,
    /// nothing that we do about them counts any more.
    pub(crate) fn begin_revocation(&mut self, list: TopicPartitionList) {
        // Those that came too late to be claimed have nothing to finish.
        let mut given_up = partitions::from_list(&list);
        given_up.retain(|it| self.partitions.find(&it.topic, it.partition).is_some());
        let lost = self.consumer.assignment_lost();
        let kind = if lost { "lost" } else { "revoked" };
        self.metrics.count_rebalance(kind);
        info!(group = %self.settings.group, kind, partitions = ?names(&given_up), "partitions to be given up");
        self.partitions.drain(&given_up);
        let phase = if lost {
            Phase::Done
        } else {
            // A failed pause costs only records that are passed over.
            let _: KafkaResult<()> = self.consumer.pause(&list);
            if !given_up.is_empty() {
                self.intake.revoking(&given_up);
            }
            let drain = self.settings.drain_deadline;
            Phase::Draining(revocation::drain_until(Instant::now(), drain, self.stop_at))
        };
        self.revocation = Some(Revocation {
            list,
            partitions: given_up,
            phase,
        });
    }

    /// Takes the revocation under way as far as it goes without waiting.
    pub(crate) fn advance_revocation(&mut self) -> Result<(), Error> {
        while let Some(revocation) = self.revocation.take() {
            let phase = self.next_phase(&revocation)?;
            if phase == Phase::Done {
                self.let_go(&revocation);
                return Ok(());
            }
            let stands_still = phase == revocation.phase;
            self.revocation = Some(Revocation {
                phase,
                ..revocation
            });
            if stands_still {
                return Ok(());
            }
        }
        Ok(())
    }

    fn next_phase(&mut self, revocation: &Revocation) -> Result<Phase, Error> {
        let now = Instant::now();
        if self.consumer.assignment_lost() {
            return Ok(Phase::Done);
        }
        match revocation.phase {
            Phase::Done => Ok(Phase::Done),
            Phase::Draining(until) => {
                let open = self.partitions.open(&revocation.partitions);
                if open > 0 && now < until {
                    return Ok(revocation.phase);
                }
                if open > 0 {
                    self.metrics.drain_timeouts.inc();
                    warn!(group = %self.settings.group, open, "drain deadline passed with open records");
                }
                let until = self.stop_at.unwrap_or(now + LAST_COMMIT);
                Ok(Phase::Committing { until, next: now })
            }
            Phase::Committing { until, next } => {
                if self.partitions.is_committed(&revocation.partitions) || now >= until {
                    return Ok(Phase::Done);
                }
                if !self.committer.is_idle() || now < next {
                    return Ok(revocation.phase);
                }
                self.commit()?;
                let next = now + COMMIT_PAUSE;
                Ok(Phase::Committing { until, next })
            }
        }
    }

    fn let_go(&mut self, revocation: &Revocation) {
        let given_up = &revocation.partitions;
        if self.stop_at.is_some() {
            self.unfinished += self.partitions.open(given_up);
        }
        self.partitions.remove(given_up);
        if !given_up.is_empty() {
            self.intake.revoked(given_up);
        }
        // librdkafka 2.12 keeps a partition paused across assignments (nothing
        // but a resume clears RD_KAFKA_TOPPAR_F_APP_PAUSE), so one that comes
        // back would stand still for ever. Records that slip out in between
        // find no owner and are passed over.
        if let Err(error) = self.consumer.resume(&revocation.list) {
            warn!(group = %self.settings.group, %error, "unpausing given-up partitions failed");
        }
        let unassigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_unassign(&revocation.list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        };
        if let Err(error) = unassigned {
            warn!(group = %self.settings.group, %error, "giving up partitions failed");
        }
    }

    /// The end of a shutdown that found no time, or no group, for more.
    pub(crate) fn let_go_of_all(&mut self) {
        let held = self.held();
        if held.is_empty() {
            return;
        }
        self.unfinished += self.partitions.open(&held);
        self.partitions.remove(&held);
        self.intake.revoked(&held);
    }
}

fn names(partitions: &[TopicPartition]) -> Vec<String> {
    partitions.iter().map(ToString::to_string).collect()
}
