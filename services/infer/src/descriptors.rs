//! Tells the models topic what this replica serves: a lease per model version, renewed while the process lives, and a
//! tombstone at a clean stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use millrace_kafka::{Headers, OutRecord, Producer};
use millrace_wire::avro::{ModelDescriptor, ModelState};
use tracing::{debug, warn};

use crate::pipeline::Served;

/// How long one descriptor waits for room in the producer before it is left to the next renewal.
const ROOM_DEADLINE: Duration = Duration::from_millis(500);

/// Publishes from a thread of its own.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    producer: Producer,
    topic: Arc<str>,
    lease: Duration,
    board: Mutex<Board>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Board {
    descriptors: BTreeMap<String, ModelDescriptor>,
    /// Keys that get a tombstone.
    gone: Vec<String>,
    /// Something is to be said before the next renewal.
    news: bool,
    stopping: bool,
}

impl Publisher {
    pub(crate) fn start(
        producer: Producer,
        topic: Arc<str>,
        lease: Duration,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            producer,
            topic,
            lease,
            board: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = thread::Builder::new()
            .name("descriptors".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run()
            })
            .context("cannot start the thread that publishes descriptors")?;
        Ok(Self { shared, thread })
    }

    /// Publishes what there is to say of a model now, and renews it from now on. Of versions that are not among them any
    /// more a tombstone is written.
    pub(crate) fn publish(&self, model: &str, descriptors: Vec<ModelDescriptor>) {
        let mut board = self.shared.board();
        let is_left_out = |key: &String, known: &ModelDescriptor| {
            known.model == model
                && descriptors
                    .iter()
                    .all(|descriptor| descriptor.key() != *key)
        };
        let (mut gone, mut stay) = (Vec::new(), BTreeMap::new());
        for (key, known) in std::mem::take(&mut board.descriptors) {
            if is_left_out(&key, &known) {
                gone.push(key);
            } else {
                stay.insert(key, known);
            }
        }
        board.news |= !gone.is_empty();
        board.gone.extend(gone);
        for mut descriptor in descriptors {
            let known = stay.get(&descriptor.key());
            descriptor.backlog_records = known.map_or(0, |known| known.backlog_records);
            board.news |= known != Some(&descriptor);
            stay.insert(descriptor.key(), descriptor);
        }
        board.descriptors = stay;
        self.shared.changed.notify_one();
    }

    /// How many records wait for a model; goes out with the next renewal.
    pub(crate) fn set_backlog(&self, model: &str, records: i64) {
        for descriptor in self.shared.board().descriptors.values_mut() {
            if descriptor.model == model {
                descriptor.backlog_records = records;
            }
        }
    }

    /// Says of everything that serves that it is going to stop.
    pub(crate) fn unload(&self) {
        let mut board = self.shared.board();
        for descriptor in board.descriptors.values_mut() {
            if descriptor.state == ModelState::Available {
                descriptor.state = ModelState::Unloading;
            }
        }
        board.news = true;
        self.shared.changed.notify_one();
    }

    /// Takes every descriptor back with a tombstone; the producer delivers them when it stops.
    pub(crate) fn stop(self) {
        self.shared.board().stopping = true;
        self.shared.changed.notify_one();
        if self.thread.join().is_err() {
            warn!("the thread that publishes descriptors panicked");
        }
        let keys: Vec<String> = self.shared.board().descriptors.keys().cloned().collect();
        for key in keys {
            self.shared.send(key, None);
        }
    }
}

impl Shared {
    fn run(&self) {
        // Two renewals may be lost before somebody thinks that we are gone.
        let interval = self.lease / 3;
        let mut board = self.board();
        while !board.stopping {
            board.news = false;
            let descriptors: Vec<ModelDescriptor> = board.descriptors.values().cloned().collect();
            let gone = std::mem::take(&mut board.gone);
            drop(board);
            for key in gone {
                self.send(key, None);
            }
            self.renew(descriptors);
            let due = Instant::now() + interval;
            board = self.board();
            while !board.stopping && !board.news && Instant::now() < due {
                let left = due.saturating_duration_since(Instant::now());
                board = self
                    .changed
                    .wait_timeout(board, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }

    fn renew(&self, descriptors: Vec<ModelDescriptor>) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let lease_until = i64::try_from((now + self.lease).as_millis()).unwrap_or(i64::MAX);
        for mut descriptor in descriptors {
            descriptor.lease_until_unix_ms = lease_until;
            match descriptor.encode() {
                Ok(value) => self.send(descriptor.key(), Some(value)),
                Err(error) => {
                    warn!(model = descriptor.model, %error, "the descriptor cannot be encoded")
                }
            }
        }
    }

    fn send(&self, key: String, value: Option<Vec<u8>>) {
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: Some(key.into_bytes()),
            value,
            headers: Headers::new(),
        };
        let on_delivery = |delivery: Result<_, millrace_kafka::DeliveryError>| {
            if let Err(error) = delivery {
                debug!(%error, "a descriptor was not delivered");
            }
        };
        if let Err(not_sent) = self
            .producer
            .send_blocking(record, on_delivery, ROOM_DEADLINE)
        {
            warn!(reason = %not_sent.reason, "a descriptor was not sent; the next renewal tries again");
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The descriptor of a model of which only name and version are known.
pub(crate) fn announcement(
    replica: &str,
    model: &str,
    version: i64,
    state: ModelState,
) -> ModelDescriptor {
    ModelDescriptor {
        model: model.to_owned(),
        version,
        replica: replica.to_owned(),
        state,
        reason: String::new(),
        labels: Vec::new(),
        engine: String::new(),
        weights_sha256: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        max_batch_rows: 0,
        control_offset: -1,
        canary_percent: 0,
        delivery: String::new(),
        lanes: Vec::new(),
        backlog_records: 0,
        lease_until_unix_ms: 0,
    }
}

/// The descriptor of a model that is served.
pub(crate) fn available(replica: &str, model: &Served) -> ModelDescriptor {
    ModelDescriptor {
        engine: model.engine.to_owned(),
        weights_sha256: model.sha256.clone(),
        inputs: model.signature.inputs.iter().map(Into::into).collect(),
        outputs: model.signature.outputs.iter().map(Into::into).collect(),
        max_batch_rows: i64::try_from(model.max_batch_rows).unwrap_or(i64::MAX),
        ..announcement(replica, &model.name, model.version, ModelState::Available)
    }
}
