//! The polling thread of a group member. It owns everything; nothing here is
//! called from elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::watch;
use tracing::warn;

use crate::budget::{Budget, Turn, Valve};
use crate::committer::Committer;
use crate::context::{Context, Rebalance};
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::gathering::{Gathered, issue};
use crate::group::{Control, GroupSettings};
use crate::group_metrics::GroupMetrics;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::record::Record;
use crate::revocation::Revocation;
use crate::state::{self, State};

/// Records handled between two looks at the clock and at events.
const BURST: usize = 256;
/// `Intake::tick` is due this often; every wait is at most this long.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait for records while something else may become possible: the
/// budget may free up, a drain may finish.
const BUSY_WAIT: Duration = Duration::from_millis(2);
/// How long to wait for the budget before looking at everything else again.
const HELD_WAIT: Duration = Duration::from_millis(10);

pub(crate) struct Member<I> {
    pub(crate) settings: GroupSettings,
    pub(crate) consumer: Arc<BaseConsumer<Context>>,
    pub(crate) intake: I,
    pub(crate) partitions: Partitions,
    pub(crate) budget: Arc<Budget>,
    pub(crate) committer: Committer,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) metrics: GroupMetrics,
    /// Set once the owner or a failure ends this member.
    pub(crate) stop_at: Option<Instant>,
    /// Records that were open when a shutdown stopped waiting for them.
    pub(crate) unfinished: usize,
    /// Whether the group has answered with an assignment.
    pub(crate) joined: bool,
    /// Records of the partition that the last one was from. Empty between two
    /// bursts.
    pub(crate) gathered: Option<Gathered>,
    valve: Valve,
    /// A partition has more uncommitted records than it may.
    pub(crate) crowded: bool,
    /// The last time that the clock was read.
    last_look: Instant,
    next_tick: Instant,
    next_commit: Instant,
}

impl<I: Intake> Member<I> {
    pub(crate) fn new(
        settings: GroupSettings,
        consumer: BaseConsumer<Context>,
        intake: I,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let consumer = Arc::new(consumer);
        let now = Instant::now();
        Ok(Self {
            committer: Committer::start(Arc::clone(&consumer), &settings.group)?,
            budget: Arc::new(Budget::new(
                settings.max_in_flight_bytes,
                settings.max_in_flight_records,
            )),
            metrics: GroupMetrics::new(&settings.group, metrics),
            next_commit: now + settings.commit_interval,
            next_tick: now + TICK,
            last_look: now,
            partitions: Partitions::default(),
            revocation: None,
            stop_at: None,
            unfinished: 0,
            joined: false,
            gathered: None,
            valve: Valve::default(),
            crowded: false,
            settings,
            consumer,
            intake,
        })
    }

    /// Works until told to stop or until it cannot go on, then gives up its
    /// partitions as a rebalance would and leaves the group.
    pub(crate) fn run(
        mut self,
        control: &Control,
        states: &watch::Sender<State>,
    ) -> Result<(), Error> {
        let mut failure = None;
        while failure.is_none() && control.stop_at().is_none() {
            failure = self.step().err();
            state::announce(states, self.state());
        }
        let drain = self.settings.drain_deadline;
        let stop_at = control.stop_at();
        self.stop_at = Some(stop_at.unwrap_or_else(|| Instant::now() + drain));
        state::announce(
            states,
            failure.clone().map_or(State::Stopping, State::Failed),
        );
        if failure.is_none() {
            self.wind_up();
        }
        let unfinished = self.close();
        state::announce(states, State::Stopped);
        match failure {
            Some(error) => Err(error),
            None if unfinished > 0 => Err(Error::Unfinished { count: unfinished }),
            None => Ok(()),
        }
    }

    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.poll_records()?;
        // One change at a time: the next one waits until what the last one took
        // away is gone.
        while self.revocation.is_none()
            && let Some(change) = self.consumer.context().next_rebalance()
        {
            match change {
                Rebalance::Assign(list) => self.assign(&list)?,
                Rebalance::Revoke(list) => self.begin_revocation(list),
            }
        }
        self.take_commit_result()?;
        self.advance_revocation()?;
        let now = Instant::now();
        self.last_look = now;
        if now >= self.next_commit {
            self.next_commit = now + self.settings.commit_interval;
            self.commit()?;
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.intake.tick();
            self.publish(now);
        }
        self.turn_valve()
    }

    fn poll_records(&mut self) -> Result<(), Error> {
        if self.valve.is_held() {
            self.budget.wait_for_room(HELD_WAIT);
            return Ok(());
        }
        let polled = self.poll_burst();
        self.hand_over_block();
        polled.and_then(|()| self.turn_valve())
    }

    fn poll_burst(&mut self) -> Result<(), Error> {
        let consumer = Arc::clone(&self.consumer);
        let mut wait = self.wait();
        for _ in 0..BURST {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    self.hand_over(&message)?;
                    if self.valve.is_held() {
                        break;
                    }
                }
                Some(Err(error)) => self.judge(error)?,
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        let left = self.next_tick.saturating_duration_since(Instant::now());
        if self.valve.is_paused() || self.revocation.is_some() || self.stop_at.is_some() {
            left.min(BUSY_WAIT)
        } else {
            left.min(TICK)
        }
    }

    /// Gives one record to the intake. Records of partitions that are not, or
    /// not for much longer, ours are passed over: their next owner reads them.
    fn hand_over(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Error> {
        let Some(held) = self.partitions.find(message.topic(), message.partition()) else {
            return Ok(());
        };
        if held.draining {
            return Ok(());
        }
        if I::IN_BLOCKS {
            let gathered = self.gathered.as_ref();
            if !gathered.is_some_and(|open| open.is_of(&held.assignment)) {
                let next = Gathered::new(&held.assignment);
                self.hand_over_block();
                self.gathered = Some(next);
            }
            return self.gather(message);
        }
        let record = Record::copy_from(message, &held.assignment.partition.topic);
        let (ticket, waiting) = issue(
            held,
            [(record.offset, record.timestamp_unix_ms)],
            record.size_bytes(),
        );
        self.crowded |= waiting > self.settings.max_waiting_records;
        self.intake.record(record, ticket);
        self.turn_valve()
    }

    /// Decides about an error of the client. Its context has logged it.
    fn judge(&self, error: KafkaError) -> Result<(), Error> {
        if self.stop_at.is_some() || failure::classify(&error) != Failure::Fatal {
            return Ok(());
        }
        let reason = self.consumer.context().last_reason();
        let what = format!("group {} cannot go on ({reason})", self.settings.group);
        Err(Error::kafka(what, error))
    }

    pub(crate) fn turn_valve(&mut self) -> Result<(), Error> {
        if self.crowded {
            self.look_at_crowd()?;
        }
        // Once per record: without a system call unless it matters.
        let now = if self.valve.is_open() {
            self.last_look
        } else {
            Instant::now()
        };
        let turned: KafkaResult<()> = match self.valve.turn(&self.budget, self.crowded, now) {
            None => return Ok(()),
            Some(Turn::Pause) => {
                self.metrics.pauses.inc();
                self.consumer.pause(&self.partitions.flowing())
            }
            Some(Turn::Resume) => self.consumer.resume(&self.partitions.flowing()),
        };
        if let Err(error) = turned {
            warn!(group = %self.settings.group, %error, "pausing or resuming failed");
        }
        Ok(())
    }

    /// New partitions start flowing by themselves; not when reading is paused.
    pub(crate) fn keep_valve_closed(&self) {
        if self.valve.is_paused()
            && let Err(error) = self.consumer.pause(&self.partitions.flowing())
        {
            warn!(group = %self.settings.group, %error, "pausing new partitions failed");
        }
    }

    /// Reading on past a record that nobody will ever finish would only grow
    /// the pile of records to be read again.
    fn look_at_crowd(&mut self) -> Result<(), Error> {
        let limit = self.settings.max_waiting_records;
        if self.stop_at.is_none()
            && let Some(error) = self.partitions.abandoned(limit)
        {
            return Err(error);
        }
        self.crowded = self.partitions.longest_wait() > limit / 2;
        Ok(())
    }

    pub(crate) fn publish(&mut self, now: Instant) {
        let oldest = self.partitions.oldest_unfinished(now);
        self.metrics
            .publish(&self.budget, self.partitions.len(), oldest);
        self.metrics.publish_lag(&self.partitions, now);
    }

    fn state(&self) -> State {
        let context = self.consumer.context();
        if context.is_broker_down() {
            State::BrokerDown
        } else if self.joined {
            State::Running {
                partitions: self.partitions.len(),
            }
        } else {
            State::Starting
        }
    }
}
