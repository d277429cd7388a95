//! Follows the control topic: what operators want of each model.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use millrace_kafka::{Cluster, Follower, FollowerSettings, Metrics, Record, State};
use millrace_wire::avro::ModelControl;
use tracing::{info, warn};

use super::messages::Message;

/// How soon a topic that is not there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The follower, begun anew while the topic is not there. Lines of before there was one have none; models are then
/// served by their `model.toml`.
#[derive(Debug)]
pub(super) struct ControlTopic {
    cluster: Cluster,
    topic: String,
    metrics: Metrics,
    messages: Sender<Message>,
    follower: Option<Follower>,
    next_try: Instant,
    has_complained: bool,
}

impl ControlTopic {
    pub(super) fn new(
        cluster: &Cluster,
        prefix: &str,
        (metrics, messages): (&Metrics, Sender<Message>),
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            topic: format!("{prefix}.control"),
            metrics: metrics.clone(),
            messages,
            follower: None,
            next_try: Instant::now(),
            has_complained: false,
        }
    }

    /// Begins to follow, or again after a failure.
    pub(super) fn look(&mut self) {
        let state = self
            .follower
            .as_ref()
            .map(|follower| follower.state().borrow().clone());
        if let Some(State::Failed(error)) = state {
            if !self.has_complained {
                info!(topic = self.topic, %error, "labels are those of model.toml only, until this topic is there");
                self.has_complained = true;
            }
            self.follower = None;
            self.next_try = Instant::now() + LOOK_AGAIN;
        }
        if self.follower.is_none() && Instant::now() >= self.next_try {
            self.follow();
        }
    }

    /// Whether what was asked for before is known by now, or that there is no such topic.
    pub(super) fn is_known(&self) -> bool {
        self.has_complained || self.follower.as_ref().is_some_and(Follower::is_caught_up)
    }

    fn follow(&mut self) {
        let settings = FollowerSettings::whole_topic(self.cluster.clone(), self.topic.as_str());
        let messages = self.messages.clone();
        let take = move |record: Record| {
            if let Some(message) = read(&record) {
                let _ = messages.send(message);
            }
        };
        match Follower::start(settings, take, &self.metrics) {
            Ok(follower) => self.follower = Some(follower),
            Err(error) => {
                warn!(topic = self.topic, %error, "the control topic cannot be followed");
                self.has_complained = true;
                self.next_try = Instant::now() + LOOK_AGAIN;
            }
        }
    }
}

/// `None` for what is no message of ours: it changes nothing.
fn read(record: &Record) -> Option<Message> {
    let model = String::from_utf8(record.key.clone()?).ok()?;
    let control = match &record.value {
        None => None,
        Some(value) => match ModelControl::decode(value) {
            Ok(control) => Some(control),
            Err(error) => {
                warn!(model, offset = record.offset, %error, "a record of the control topic cannot be read");
                return None;
            }
        },
    };
    Some(Message::Asked {
        model,
        offset: record.offset,
        control,
    })
}
