//! Reading partitions without a consumer group: replies, and compacted topics
//! that are read whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tokio::sync::watch;

use crate::closing;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::following::Following;
use crate::group::Control;
use crate::metrics::Metrics;
use crate::record::Record;
use crate::state::{self, State};

/// Which partitions to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowPartitions {
    /// All of the topic, those added later included.
    All,
    /// This one.
    One(i32),
}

/// Where following begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFrom {
    /// At the earliest record.
    Beginning,
    /// After the last record; partitions added later are read from their
    /// beginning.
    End,
}

/// What a follower reads.
#[derive(Clone, Debug)]
pub struct FollowerSettings {
    /// The cluster to read from.
    pub cluster: Cluster,
    /// The topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: FollowPartitions,
    /// Where to begin.
    pub from: FollowFrom,
    /// Largest record that must be readable, in bytes.
    pub max_record_bytes: usize,
}

impl FollowerSettings {
    /// Follows all partitions of `topic` from the beginning.
    pub fn whole_topic(cluster: Cluster, topic: impl Into<String>) -> Self {
        Self {
            cluster,
            topic: topic.into(),
            partitions: FollowPartitions::All,
            from: FollowFrom::Beginning,
            max_record_bytes: 16 << 20,
        }
    }

    /// Follows one partition of `topic` from its end.
    pub fn tail_of(cluster: Cluster, topic: impl Into<String>, partition: i32) -> Self {
        Self {
            partitions: FollowPartitions::One(partition),
            from: FollowFrom::End,
            ..Self::whole_topic(cluster, topic)
        }
    }
}

/// A running follower. Dropping it asks it to stop and does not wait.
#[derive(Debug)]
pub struct Follower {
    control: Arc<Control>,
    caught_up: Arc<AtomicBool>,
    states: watch::Receiver<State>,
    ended: Receiver<Result<(), Error>>,
    topic: String,
}

impl Follower {
    /// Starts following on a thread of its own, on which `on_record` is called
    /// for every record, in the order of each partition. Does not wait for the
    /// broker.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `LibraryTooOld`, `Thread`. A topic that
    /// does not exist is reported by [`Follower::failed`].
    pub fn start(
        settings: FollowerSettings,
        on_record: impl FnMut(Record) + Send + 'static,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let control = Arc::new(Control::default());
        let caught_up = Arc::new(AtomicBool::new(false));
        let (sender, states) = watch::channel(State::Starting);
        let topic = settings.topic.clone();
        let following = Following::new(settings, on_record, metrics)?;
        let ended = closing::spawn(&format!("follow {topic}"), {
            let control = Arc::clone(&control);
            let caught_up = Arc::clone(&caught_up);
            move || following.run(&control, &caught_up, &sender)
        })?;
        Ok(Self {
            control,
            caught_up,
            states,
            ended,
            topic,
        })
    }

    /// Whether every partition's position is known and what was in the topic
    /// at the start has been handed over. From then on nothing that is written
    /// can be missed.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// Waits until caught up. Blocks.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, or the error that stopped the follower.
    pub fn wait_caught_up(&self, deadline: Duration) -> Result<(), Error> {
        let until = Instant::now() + deadline;
        while !self.is_caught_up() {
            if let State::Failed(error) = &*self.states.borrow() {
                return Err(error.clone());
            }
            if Instant::now() >= until {
                return Err(Error::TimedOut {
                    what: format!("catching up with topic {}", self.topic),
                    waited: deadline,
                });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops following. Blocks; ends within `deadline`.
    ///
    /// # Errors
    /// `TimedOut`, or the error that had already stopped the follower.
    pub fn stop(self, deadline: Duration) -> Result<(), Error> {
        self.control.stop_by(Instant::now() + deadline);
        let grace = Duration::from_secs(2);
        self.ended
            .recv_timeout(deadline + grace)
            .unwrap_or_else(|_| {
                Err(Error::TimedOut {
                    what: format!("stopping the follower of topic {}", self.topic),
                    waited: deadline,
                })
            })
    }

    /// The state, to be watched for readiness.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Returns when the follower has failed; never for one that runs or was
    /// stopped well.
    pub fn failed(&self) -> impl Future<Output = Error> + Send + 'static {
        state::failed(self.states.clone())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.control
            .stop_by(Instant::now() + Duration::from_secs(5));
    }
}
