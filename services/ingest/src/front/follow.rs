//! Follows the topics of replies and models, and keeps readiness true to how far they are known.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_boot::{Gate, Health};
use millrace_kafka::{
    Admin, Error, Follower, FollowerSettings, Metrics, Record, State as ClientState,
};
use millrace_wire::headers::ReplyTo;
use tokio::sync::oneshot;

use crate::settings::Settings;

use super::Front;
use super::catalog::NotServed;
use super::clock::unix_ms;

/// How often readiness is looked at: leases run out without any record.
const TICK: Duration = Duration::from_millis(100);

/// How long to leave a topic alone that does not exist yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same for one that not everybody needs.
const OPTIONAL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long one attempt to find a broker takes.
const BROKER_PATIENCE: Duration = Duration::from_millis(500);

/// How long a follower may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The thread that follows; it ends when this is dropped, and `stop` waits for it.
#[derive(Debug)]
pub(crate) struct Following {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
    failed: oneshot::Receiver<anyhow::Error>,
}

impl Following {
    /// Starts the thread. It finds the broker by itself, whenever that comes up.
    ///
    /// # Errors
    /// Kafka options that cannot be used, or no thread.
    pub(crate) fn start(
        settings: &Settings,
        front: &Front,
        health: &Health,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let partition = Arc::new(OnceLock::new());
        let mut followers = Followers {
            replies: replies_follower(settings, front, &metrics, Arc::clone(&partition))?,
            partition,
            replies_gate: health.gate("replies"),
            models: models_follower(settings, front, &metrics),
            models_gate: health.gate("models"),
            claims: claims_follower(settings, front, &metrics),
            claims_gate: health.gate("idempotency"),
            front: front.clone(),
        };
        let (stop, stopped) = mpsc::channel();
        let (fail, failed) = oneshot::channel();
        let run = move || {
            let outcome = loop {
                if let Err(error) = followers.look() {
                    break Err(error);
                }
                if stopped.recv_timeout(TICK) != Err(RecvTimeoutError::Timeout) {
                    break Ok(());
                }
            };
            followers.stop();
            if let Err(error) = outcome {
                // Nobody listens once the process is stopping.
                let _ = fail.send(error);
            }
        };
        let thread = std::thread::Builder::new()
            .name("follow".to_owned())
            .spawn(run)?;
        Ok(Self {
            stop,
            thread,
            failed,
        })
    }

    /// Returns when following has failed for good.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let failure = (&mut self.failed).await;
        failure.unwrap_or_else(|_| anyhow::anyhow!("the thread that follows topics panicked"))
    }

    /// Stops following. Blocks.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows topics panicked");
        }
    }
}

/// What the thread owns.
struct Followers {
    replies: Restarting,
    /// Which one is followed, once that is decided.
    partition: Arc<OnceLock<i32>>,
    replies_gate: Gate,
    models: Restarting,
    models_gate: Gate,
    claims: Restarting,
    claims_gate: Gate,
    front: Front,
}

impl Followers {
    /// Brings everything one step further; an error is for good.
    fn look(&mut self) -> anyhow::Result<()> {
        let replies = self
            .replies
            .look()
            .context("cannot follow the replies topic")?;
        if replies.is_ok()
            && let Some(partition) = self.partition.get()
        {
            let topic = self.front.topics.replies();
            self.front.line.open(ReplyTo {
                topic,
                partition: *partition,
            });
        }
        set(&self.replies_gate, replies);
        let claims = self.claims.look();
        let claims = claims.context("cannot follow the topic of idempotency keys")?;
        self.front.later.claims.set_reading(claims.clone().err());
        // Who sends no idempotency keys needs no such topic.
        if claims.is_ok() || self.claims.follower.is_none() {
            self.claims_gate.open();
        }
        let mut models = self
            .models
            .look()
            .context("cannot follow the models topic")?;
        self.front.catalog.set_reading(models.is_ok());
        if models.is_ok() {
            models = match self.front.catalog.only_model(|_| true, unix_ms()) {
                Err(nothing @ NotServed::Nothing) => Err(nothing.to_string()),
                _ => Ok(()),
            };
        }
        set(&self.models_gate, models);
        Ok(())
    }

    fn stop(self) {
        for follower in [
            self.replies.follower,
            self.models.follower,
            self.claims.follower,
        ] {
            if let Some(Err(error)) = follower.map(|it| it.stop(STOP_DEADLINE)) {
                tracing::warn!(%error, "a follower did not stop well");
            }
        }
    }
}

/// Whether something is ready; if not, the sentence that says why.
type Ready = Result<(), String>;

fn set(gate: &Gate, ready: Ready) {
    match ready {
        Ok(()) => gate.open(),
        Err(reason) => gate.close(reason),
    }
}

/// A follower that is started again for as long as its topic does not exist.
struct Restarting {
    start: Start,
    follower: Option<Follower>,
    not_before: Instant,
    retry_after: Duration,
    complaint: String,
}

/// Starts a follower, or says why it cannot be started yet.
type Start = Box<dyn Fn() -> Result<Result<Follower, String>, Error> + Send>;

impl Restarting {
    fn new(start: Start) -> Self {
        let complaint = "starting".to_owned();
        Self {
            start,
            follower: None,
            not_before: Instant::now(),
            retry_after: RETRY_AFTER,
            complaint,
        }
    }

    /// # Errors
    /// The follower failed, and not because its topic is missing.
    fn look(&mut self) -> Result<Ready, Error> {
        let Some(follower) = &self.follower else {
            if Instant::now() >= self.not_before {
                match (self.start)()? {
                    Ok(follower) => self.follower = Some(follower),
                    Err(complaint) => self.try_later(complaint),
                }
            }
            return Ok(Err(self.complaint.clone()));
        };
        let state = follower.state().borrow().clone();
        match state {
            ClientState::Failed(error @ Error::NoTopic { .. }) => {
                self.try_later(error.to_string());
                Ok(Err(self.complaint.clone()))
            }
            ClientState::Failed(error) => Err(error),
            state if follower.is_caught_up() => Ok(state.complaint().map_or(Ok(()), Err)),
            _ => Ok(Err("the topic has not been read to its end yet".to_owned())),
        }
    }

    fn try_later(&mut self, complaint: String) {
        self.follower = None;
        self.complaint = complaint;
        self.not_before = Instant::now() + self.retry_after;
    }
}

/// Follows the whole models topic into the catalog.
fn models_follower(settings: &Settings, front: &Front, metrics: &Metrics) -> Restarting {
    let follow = FollowerSettings::whole_topic(settings.kafka.clone(), front.topics.models());
    let (front, metrics) = (front.clone(), metrics.clone());
    Restarting::new(Box::new(move || {
        let front = front.clone();
        let on_record = move |record: Record| {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            if let Err(error) = front.catalog.apply(key, value, unix_ms()) {
                let (partition, offset) = (record.partition, record.offset);
                front.metrics.descriptors_rejected.inc();
                tracing::warn!(partition, offset, %error, "record of the models topic ignored");
            }
        };
        Follower::start(follow.clone(), on_record, &metrics).map(Ok)
    }))
}

/// Follows the whole topic of idempotency keys.
fn claims_follower(settings: &Settings, front: &Front, metrics: &Metrics) -> Restarting {
    let topic = front.topics.idempotency();
    let follow = FollowerSettings::whole_topic(settings.kafka.clone(), topic);
    let (front, metrics) = (front.clone(), metrics.clone());
    let start: Start = Box::new(move || {
        let front = front.clone();
        let on_record = move |record: Record| {
            if !front.later.claims.apply(&record) {
                let (partition, offset) = (record.partition, record.offset);
                front.metrics.claims_rejected.inc();
                tracing::warn!(partition, offset, "record of the idempotency topic ignored");
            }
        };
        Follower::start(follow.clone(), on_record, &metrics).map(Ok)
    });
    Restarting {
        retry_after: OPTIONAL_RETRY_AFTER,
        ..Restarting::new(start)
    }
}

/// Follows one partition of the replies topic from its end.
fn replies_follower(
    settings: &Settings,
    front: &Front,
    metrics: &Metrics,
    partition: Arc<OnceLock<i32>>,
) -> Result<Restarting, Error> {
    let admin = Admin::connect(&settings.kafka)?;
    let (cluster, wanted) = (settings.kafka.clone(), settings.replies.partition);
    let max_record_bytes = settings.limits.record_bytes;
    let (topic, pending, metrics) = (
        front.topics.replies(),
        front.pending.clone(),
        metrics.clone(),
    );
    Ok(Restarting::new(Box::new(move || {
        let chosen = match partition.get() {
            Some(chosen) => *chosen,
            None => match choose(&admin, &topic, wanted) {
                Ok(chosen) => *partition.get_or_init(|| chosen),
                Err(complaint) => return Ok(Err(complaint)),
            },
        };
        let follow = FollowerSettings {
            max_record_bytes,
            ..FollowerSettings::tail_of(cluster.clone(), topic.clone(), chosen)
        };
        let pending = pending.clone();
        let on_record = move |record| pending.reply(record);
        Follower::start(follow, on_record, &metrics).map(Ok)
    })))
}

/// The partition of the replies topic for this process: the one that the
/// settings want, or one at random. What stands in the way is a sentence.
fn choose(admin: &Admin, topic: &str, wanted: Option<i32>) -> Result<i32, String> {
    let sentence = |error: Error| error.to_string();
    admin.wait_for_broker(BROKER_PATIENCE).map_err(sentence)?;
    let count = admin.partition_count(topic).map_err(sentence)?;
    let count = count
        .and_then(|count| i32::try_from(count).ok())
        .unwrap_or(0);
    match wanted {
        _ if count == 0 => Err(sentence(Error::NoTopic {
            topic: topic.to_owned(),
        })),
        None => Ok(rand::random_range(0..count)),
        Some(wanted) if wanted < count => Ok(wanted),
        Some(wanted) => Err(format!(
            "replies.partition is {wanted}, but topic {topic} has {count} partitions"
        )),
    }
}
