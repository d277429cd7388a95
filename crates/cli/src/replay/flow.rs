//! Requests on their way from their topic through the version into the topic of the replay.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_kafka::{Reader, Record, Span};
use millrace_wire::headers::ID;

use super::copy;
use super::keeper::Keeper;
use super::pace::Pace;
use super::plan::Plan;
use super::stretch::Offsets;
use super::window::Window;
use crate::conversation::Asking;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::{Done, Progress};

/// How long one wait for a reply is, so that progress is shown and live requests are seen.
const GLANCE: Duration = Duration::from_millis(20);
/// Requests of a partition that are read at once, and their bytes.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 1 << 20;
/// Requests of a partition that are sent before the next one has its turn.
const TURN: usize = 16;
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// What the flow is made of.
pub(super) struct Flow<'a> {
    pub(super) plan: &'a Plan,
    pub(super) asking: &'a Asking,
    pub(super) reader: &'a Reader,
    pub(super) window: Window,
    pub(super) keeper: Keeper<'a>,
    pub(super) pace: Pace,
    pub(super) progress: Progress,
    pub(super) interrupt: &'a Interrupt,
    /// Where copies are sent.
    pub(super) copies: Arc<str>,
    pub(super) to: (Arc<str>, i32),
    /// When following ends; `None` without an end of its own.
    pub(super) follow_until: Option<Instant>,
    pub(super) patience: Duration,
    /// The next request to be sent of each partition.
    pub(super) positions: Offsets,
    /// Requests that were read and not sent.
    pub(super) ahead: BTreeMap<i32, VecDeque<Record>>,
    pub(super) done: u64,
}

/// Somebody wants the run to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// Whether more is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    GoesOn,
    /// Of a stretch all, of live requests all that were there.
    AtItsEnd,
}

impl Flow<'_> {
    /// Sends, hears and keeps until all of the stretch is kept; says where it ended.
    pub(super) fn run(mut self) -> anyhow::Result<Offsets> {
        let outcome = self.all();
        // What is finished is kept however it ends.
        let kept = self.keep(Due::Now);
        self.progress.finish();
        outcome.and(kept)?;
        Ok(self.positions)
    }

    fn all(&mut self) -> anyhow::Result<()> {
        let mut heard = Instant::now();
        loop {
            let reading = match self.is_over() {
                true => Reading::AtItsEnd,
                false => self.send()?,
            };
            if self.window.is_quiet() {
                heard = Instant::now();
                self.keep(Due::InTime)?;
                let ends = self.plan.until.is_some() || self.is_over();
                if reading == Reading::AtItsEnd && ends {
                    return Ok(());
                }
            }
            if self.hear()? {
                heard = Instant::now();
            } else if heard.elapsed() >= self.patience {
                return Err(Exit::Unreachable.error(self.silence()));
            }
            self.keep(Due::InTime)?;
            self.progress.show(Done {
                rows: self.done,
                bytes: 0,
            });
            if self.plan.until.is_some() && self.interrupt.is_wanted() {
                return Err(Interrupted.into());
            }
        }
    }

    /// Whether live requests are no longer followed.
    fn is_over(&self) -> bool {
        let is_late = |until: Instant| Instant::now() >= until;
        self.plan.until.is_none()
            && (self.interrupt.is_wanted() || self.follow_until.is_some_and(is_late))
    }

    /// Sends copies of what comes next, as many as there is room for, the partitions by turns.
    fn send(&mut self) -> anyhow::Result<Reading> {
        let mut reading = Reading::AtItsEnd;
        let partitions: Vec<i32> = self.positions.keys().copied().collect();
        for partition in partitions {
            for _ in 0..TURN {
                if self.window.room() == 0 || self.pace.allowed(Instant::now()) == 0 {
                    return Ok(Reading::GoesOn);
                }
                let Some(request) = self.next(partition)? else {
                    break;
                };
                reading = Reading::GoesOn;
                self.positions.insert(partition, request.offset + 1);
                self.begin(request)?;
            }
        }
        Ok(reading)
    }

    /// The next request of a partition, if there is one now.
    fn next(&mut self, partition: i32) -> anyhow::Result<Option<Record>> {
        let next = self.positions.get(&partition).copied().unwrap_or(0);
        let until = match &self.plan.until {
            Some(until) => until.get(&partition).copied().unwrap_or(next),
            None => i64::MAX,
        };
        let ahead = self.ahead.entry(partition).or_default();
        if ahead.is_empty() {
            let span = Span {
                topic: Arc::from(self.plan.requests.as_str()),
                partition,
                offsets: next..until,
            };
            let mut bytes = 0;
            let deadline = Instant::now() + READ_DEADLINE;
            self.reader.read(&span, deadline, |record| {
                bytes += record.size_bytes();
                ahead.push_back(record);
                match ahead.len() >= CHUNK || bytes >= CHUNK_BYTES {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        }
        Ok(ahead.pop_front())
    }

    fn begin(&mut self, mut request: Record) -> anyhow::Result<()> {
        if copy::is_copy(&request) {
            self.window.pass(request);
            return Ok(());
        }
        let id = self.window.id(&request);
        let to = (&self.copies, self.asking.reply_to());
        let copy = copy::of(&mut request, (self.plan, &id), to);
        self.window.begin(request, copy.size_bytes());
        self.pace.spend(1);
        self.asking
            .send_record(copy, Instant::now() + self.patience)
    }

    /// Takes in the replies that are there, after a short wait for the first one; whether there was any.
    fn hear(&mut self) -> anyhow::Result<bool> {
        let mut wait = GLANCE;
        let mut any = false;
        while let Some(reply) = self.asking.next_record(wait)? {
            (any, wait) = (true, Duration::ZERO);
            let id = reply.headers.get_first(ID).or(reply.key.as_deref());
            let id = id.map(|id| String::from_utf8_lossy(id).into_owned());
            let (to, partitions) = (&self.to.0, self.to.1);
            let plan = self.plan;
            self.window
                .answer(&id.unwrap_or_default(), |request, took| {
                    let partition = request.partition % partitions.max(1);
                    copy::result(reply, request, (plan, to, partition), took)
                })?;
        }
        Ok(any)
    }

    fn keep(&mut self, due: Due) -> anyhow::Result<()> {
        while let Some(finished) = self.window.take_finished() {
            self.done += 1;
            self.keeper.take(finished);
            if self.keeper.is_due() {
                self.keeper.keep()?;
            }
        }
        match due == Due::Now || self.keeper.is_due() {
            true => self.keeper.keep(),
            false => Ok(()),
        }
    }

    fn silence(&self) -> String {
        let seconds = self.patience.as_secs_f64();
        let model = format!("{}@{}", self.plan.model, self.plan.version);
        match self.asking.unacknowledged() {
            0 => format!("{model} has not answered for {seconds} s"),
            records => format!(
                "{model} has not answered for {seconds} s, and the broker has not taken {records} records"
            ),
        }
    }
}

/// When something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    InTime,
}

/// How many requests lie between two places.
pub(super) fn between(from: &Offsets, until: &Offsets) -> u64 {
    let spans = until.iter().map(|(partition, until)| {
        let from = from.get(partition).unwrap_or(until);
        u64::try_from(until - from).unwrap_or(0)
    });
    spans.sum()
}
