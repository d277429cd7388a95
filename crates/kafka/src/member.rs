//! The polling thread of a group member. It owns everything; nothing here is
//! called from elsewhere.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::budget::{Budget, Turn, Valve};
use crate::closing;
use crate::committer::Committer;
use crate::context::{Context, Rebalance};
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::group::{Control, GroupSettings};
use crate::headers;
use crate::intake::Intake;
use crate::metrics::{Group, GroupEnd, GroupKind, Metrics};
use crate::partitions::{Ends, Partitions};
use crate::record::Record;
use crate::revocation::Revocation;
use crate::state::{self, State};
use crate::ticket::Ticket;

/// Records handled between two looks at the clock and at events.
const BURST: usize = 256;
/// `Intake::tick` is due this often; every wait is at most this long.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait for records while something else may become possible: the
/// budget may free up, a drain may finish.
const BUSY_WAIT: Duration = Duration::from_millis(2);

pub(crate) struct Member<I> {
    pub(crate) settings: GroupSettings,
    pub(crate) consumer: Arc<BaseConsumer<Context>>,
    pub(crate) intake: I,
    pub(crate) partitions: Partitions,
    pub(crate) budget: Arc<Budget>,
    pub(crate) valve: Valve,
    pub(crate) committer: Committer,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) metrics: Metrics,
    /// When the owner or a failure ends this member.
    pub(crate) stop_at: Option<Instant>,
    /// Records that were open when a shutdown stopped waiting for them.
    pub(crate) unfinished: usize,
    joined: bool,
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
        todo!()
    }
    pub(crate) fn run(
        mut self,
        control: &Control,
        states: &watch::Sender<State>,
    ) -> Result<(), Error> {
        todo!()
    }
}
