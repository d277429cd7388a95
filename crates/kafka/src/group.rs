//! A member of a consumer group, as its owner sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::watch;

use crate::closing;
use crate::cluster::Cluster;
use crate::context::{Context, STATISTICS_INTERVAL_MS};
use crate::error::Error;
use crate::intake::Intake;
use crate::member::Member;
use crate::metrics::Metrics;
use crate::state::{self, State};

/// How a group member reads.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// The cluster to read from.
    pub cluster: Cluster,
    /// Consumer group.
    pub group: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// Reads also the topics whose names match, an extended regular expression of POSIX that
    /// begins with `^`; new ones join within `topic.metadata.refresh.interval.ms`.
    pub pattern: Option<String>,
    /// Bytes that may be handed out and not ended; reading pauses above it
    /// and resumes at half of it.
    pub max_in_flight_bytes: usize,
    /// Records that may be handed out and not ended.
    pub max_in_flight_records: usize,
    /// Records of one partition that may wait behind an unfinished one before
    /// reading pauses; if that one was abandoned, the consumer fails.
    pub max_waiting_records: usize,
    /// Who commits.
    pub committing: Committing,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// How long partitions being given up may take to finish their records.
    pub drain_deadline: Duration,
    /// Name of this member across restarts (static membership); it must be
    /// unique in the group.
    pub instance_id: Option<String>,
    /// Largest record that must be readable, in bytes.
    pub max_record_bytes: usize,
}

/// Who commits the offsets of finished records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Committing {
    /// The member itself, every `commit_interval`.
    #[default]
    Member,
    /// Whoever finishes the records, in the transaction that holds their
    /// results ([`crate::Transactions`]); a commit of the member could come in
    /// late and take the group back behind a transaction.
    Transactions,
}

impl Default for GroupSettings {
    /// Group and topics are empty and have to be set.
    fn default() -> Self {
        Self {
            cluster: Cluster::default(),
            group: String::new(),
            topics: Vec::new(),
            pattern: None,
            max_in_flight_bytes: 64 << 20,
            max_in_flight_records: 100_000,
            max_waiting_records: 1_000_000,
            committing: Committing::default(),
            commit_interval: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(10),
            instance_id: None,
            max_record_bytes: 16 << 20,
        }
    }
}

/// When the owner wants the member to end.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stop_at: Mutex<Option<Instant>>,
}

impl Control {
    pub(crate) fn stop_by(&self, deadline: Instant) {
        let mut stop_at = self.stop_at.lock().unwrap_or_else(PoisonError::into_inner);
        stop_at.get_or_insert(deadline);
    }

    pub(crate) fn stop_at(&self) -> Option<Instant> {
        *self.stop_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running group member. Dropping it asks the member to stop and does not
/// wait for it; [`GroupConsumer::stop`] does.
#[derive(Debug)]
pub struct GroupConsumer {
    control: Arc<Control>,
    states: watch::Receiver<State>,
    ended: Receiver<Result<(), Error>>,
    drain_deadline: Duration,
}

impl GroupConsumer {
    /// Starts reading on a thread of its own. Does not wait for the broker: a
    /// broker that is away is a state, not an error.
    ///
    /// # Errors
    /// `OptionRefused`, `Settings`, `BadSetting`, `LibraryTooOld`, `Thread`.
    pub fn start(
        settings: GroupSettings,
        intake: impl Intake,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        settings.check()?;
        let config = settings.client_config()?;
        let context = Context::new("group consumer", &settings.group, metrics);
        let consumer: BaseConsumer<Context> =
            config
                .create_with_context(context)
                .map_err(|source| Error::Settings {
                    client: "group consumer",
                    source,
                })?;
        let names = settings.topics.iter().chain(&settings.pattern);
        let topics: Vec<&str> = names.map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|source| Error::kafka(format!("subscribing to {topics:?}"), source))?;
        let control = Arc::new(Control::default());
        let (sender, states) = watch::channel(State::Starting);
        let drain_deadline = settings.drain_deadline;
        let name = format!("consume {}", settings.group);
        let member = Member::new(settings, consumer, intake, metrics)?;
        let ended = closing::spawn(&name, {
            let control = Arc::clone(&control);
            move || member.run(&control, &sender)
        })?;
        Ok(Self {
            control,
            states,
            ended,
            drain_deadline,
        })
    }

    /// Stops reading, lets the intake finish what it has, commits, and leaves
    /// the group; all of it within `deadline` from now. Blocks.
    ///
    /// # Errors
    /// `Unfinished` if records were still open at the deadline, `TimedOut` if
    /// the group could not be left in time, or the error that had already
    /// stopped the consumer.
    pub fn stop(self, deadline: Duration) -> Result<(), Error> {
        self.control.stop_by(Instant::now() + deadline);
        let grace = Duration::from_secs(2);
        self.ended
            .recv_timeout(deadline + grace)
            .unwrap_or_else(|_| {
                Err(Error::TimedOut {
                    what: "stopping the group consumer".to_owned(),
                    waited: deadline,
                })
            })
    }

    /// The state, to be watched for readiness.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Returns when the consumer has failed; never for one that runs or was
    /// stopped well.
    pub fn failed(&self) -> impl Future<Output = Error> + Send + 'static {
        state::failed(self.states.clone())
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.control.stop_by(Instant::now() + self.drain_deadline);
    }
}

impl GroupSettings {
    fn check(&self) -> Result<(), Error> {
        let bad = |setting, expected, given: String| {
            Err(Error::BadSetting {
                setting,
                expected,
                given,
            })
        };
        if self.group.is_empty() {
            return bad("group", "a name", "empty".to_owned());
        }
        let nothing = self.topics.is_empty() && self.pattern.is_none();
        if nothing || self.topics.iter().any(String::is_empty) {
            return bad("topics", "one or more names", format!("{:?}", self.topics));
        }
        // The library tells patterns from names by this character.
        let is_pattern = |pattern: &String| pattern.starts_with('^');
        if let Some(name) = self.topics.iter().find(|name| is_pattern(name)) {
            return bad("topics", "names", name.clone());
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !is_pattern(pattern)) {
            return bad(
                "pattern",
                "an expression that begins with '^'",
                pattern.clone(),
            );
        }
        if self.max_in_flight_bytes == 0 {
            return bad("max_in_flight_bytes", "at least 1", "0".to_owned());
        }
        if self.max_in_flight_records == 0 {
            return bad("max_in_flight_records", "at least 1", "0".to_owned());
        }
        if self.max_waiting_records == 0 {
            return bad("max_waiting_records", "at least 1", "0".to_owned());
        }
        if self.commit_interval.is_zero() {
            return bad("commit_interval", "longer than 0", "0".to_owned());
        }
        Ok(())
    }

    fn client_config(&self) -> Result<ClientConfig, Error> {
        let mut defaults = reading_defaults(self.max_record_bytes);
        defaults.extend([
            ("session.timeout.ms", "10000".to_owned()),
            ("heartbeat.interval.ms", "2000".to_owned()),
            (
                "partition.assignment.strategy",
                "cooperative-sticky".to_owned(),
            ),
        ]);
        let mut safety = reading_safety();
        safety.extend([
            ("group.id", self.group.clone()),
            ("auto.offset.reset", "earliest".to_owned()),
        ]);
        if let Some(instance_id) = &self.instance_id {
            safety.push(("group.instance.id", instance_id.clone()));
        }
        self.cluster.client_config(&defaults, &safety)
    }
}

/// Options with which every client of this crate reads, unless the user says
/// otherwise.
pub(crate) fn reading_defaults(max_record_bytes: usize) -> Vec<(&'static str, String)> {
    // A batch that is larger than these limits is sent whole all the same, so
    // they bound memory, not records; only librdkafka's limit for a whole
    // answer is a hard one.
    let fetch = max_record_bytes.max(16 << 20);
    vec![
        ("queued.max.messages.kbytes", "16384".to_owned()),
        // With a small local queue the default of a second would be a stall.
        ("fetch.queue.backoff.ms", "5".to_owned()),
        ("fetch.error.backoff.ms", "100".to_owned()),
        ("fetch.wait.max.ms", "100".to_owned()),
        ("fetch.message.max.bytes", (1 << 20).to_string()),
        ("fetch.max.bytes", fetch.to_string()),
        (
            "receive.message.max.bytes",
            (fetch + (1 << 20)).max(100_000_000).to_string(),
        ),
        ("reconnect.backoff.ms", "50".to_owned()),
        ("reconnect.backoff.max.ms", "2000".to_owned()),
        ("topic.metadata.refresh.interval.ms", "30000".to_owned()),
    ]
}

/// Options that keep reading safe, whatever the user says.
pub(crate) fn reading_safety() -> Vec<(&'static str, String)> {
    vec![
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("check.crcs", "true".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_owned()),
    ]
}
