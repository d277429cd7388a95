//! The load over Kafka: a record per request, and its result from the topic of results.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use millrace_kafka::{
    FollowFrom, Follower, FollowerSettings, Headers, Metrics, OutRecord, Producer,
    ProducerSettings, Record,
};
use millrace_openloop::{self as open_loop, Load, Outcome};
use millrace_wire::avro::ModelDescriptor;
use millrace_wire::headers::{RequestHeaders, ResultHeaders};
use millrace_wire::json::{JsonLimits, parse_predict};
use millrace_wire::{Signature, Status};

use crate::board::{self, Board};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::when;
use crate::whole_topic::MAX_RECORD_BYTES;

use super::{Args, body};

/// How long one answer is waited for, as at ingest.
const PATIENCE: Duration = Duration::from_secs(30);
const CATCH_UP: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

pub(super) fn run(
    args: &Args,
    (connection, body): (&Connection, Option<String>),
    load: Load,
) -> anyhow::Result<Outcome> {
    let signature = signature(args, connection)?;
    let body = body.unwrap_or_else(|| body::zeros(&signature));
    let request = parse_predict(body.as_bytes(), &signature, &JsonLimits::default())
        .context("the body does not fit the model")?;
    let line = Wires::open(connection, &args.model, request.encode()?)?;
    line.ask("first")?;
    let caller = |_| {
        let line = &line;
        move |number: u64| line.ask(&number.to_string())
    };
    let outcome = open_loop::run(load, (0..args.callers).map(caller).collect())?;
    line.stop()?;
    Ok(outcome)
}

fn signature(args: &Args, connection: &Connection) -> anyhow::Result<Signature> {
    let board = Board::read(connection)?;
    let now = when::now_unix_ms();
    let serves = |it: &&&ModelDescriptor| {
        it.model == args.model && board::is_alive(it, now) && !it.inputs.is_empty()
    };
    let entries = board.entries();
    let Some(entry) = entries.iter().filter(serves).max_by_key(|it| it.version) else {
        return Err(Exit::Missing.error(format!(
            "nobody serves model {}; see millrace models list",
            args.model
        )));
    };
    Ok(entry.signature()?)
}

/// What a caller hears of his request.
type Answer = Result<(), String>;
type Waiting = Arc<Mutex<HashMap<String, SyncSender<Answer>>>>;

struct Wires {
    producer: Producer,
    follower: Follower,
    waiting: Waiting,
    topic: Arc<str>,
    value: Vec<u8>,
    /// Begins the ids, so that nobody else's results are taken for ours.
    run: String,
}

impl Wires {
    fn open(connection: &Connection, model: &str, value: Vec<u8>) -> anyhow::Result<Self> {
        let waiting = Waiting::default();
        let results = connection.topic(&format!("results.{model}"));
        let settings = FollowerSettings {
            from: FollowFrom::End,
            max_record_bytes: MAX_RECORD_BYTES,
            ..FollowerSettings::whole_topic(connection.cluster.clone(), results)
        };
        let on_record = {
            let waiting = Arc::clone(&waiting);
            move |record| deliver(&record, &waiting)
        };
        let follower = Follower::start(settings, on_record, &Metrics::default())?;
        follower.wait_caught_up(CATCH_UP)?;
        let settings = ProducerSettings {
            cluster: connection.cluster.clone(),
            ..ProducerSettings::default()
        };
        Ok(Self {
            producer: Producer::start(&settings, &Metrics::default())?,
            follower,
            waiting,
            topic: connection.topic(&format!("requests.{model}")).into(),
            value,
            run: format!("bench-{:016x}", rand::random::<u64>()),
        })
    }

    /// Sends one record and waits for its result.
    fn ask(&self, number: &str) -> anyhow::Result<()> {
        let id = format!("{}-{number}", self.run);
        let headers = RequestHeaders {
            id: Some(id.clone()),
            ..RequestHeaders::default()
        };
        let pairs = headers.to_pairs().into_iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| (name.to_owned(), Some(value)))
            .collect();
        let record = OutRecord {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: None,
            value: Some(self.value.clone()),
            headers: Headers::from(pairs),
        };
        let (answer, answered) = sync_channel(1);
        lock(&self.waiting).insert(id.clone(), answer.clone());
        let refused = move |delivery: Result<_, millrace_kafka::DeliveryError>| {
            if let Err(error) = delivery {
                // The caller may have given up.
                let _ = answer.try_send(Err(error.to_string()));
            }
        };
        let sent = self.producer.send_blocking(record, refused, PATIENCE);
        let outcome = match sent {
            Ok(()) => hear(&answered),
            Err(not_sent) => Err(not_sent.reason.into()),
        };
        lock(&self.waiting).remove(&id);
        outcome
    }

    fn stop(self) -> anyhow::Result<()> {
        self.producer.stop(STOP)?;
        Ok(self.follower.stop(STOP)?)
    }
}

fn hear(answered: &Receiver<Answer>) -> anyhow::Result<()> {
    match answered.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(sentence)) => bail!(sentence),
        Err(_) => bail!("no result within {} s", PATIENCE.as_secs()),
    }
}

fn deliver(record: &Record, waiting: &Waiting) {
    let Ok(headers) = ResultHeaders::parse(record.headers.iter()) else {
        return;
    };
    let Some(caller) = lock(waiting).remove(&headers.id) else {
        return;
    };
    let answer = match headers.status {
        Status::Ok => Ok(()),
        status => Err(format!(
            "{}: {}",
            status.name(),
            headers.error.unwrap_or_default()
        )),
    };
    // The caller may have given up.
    let _ = caller.try_send(answer);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
