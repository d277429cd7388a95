//! An engine thread: takes a batch, runs it, hands the answers over in their order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millrace_boot::trace::{self, Kind, Span};
use millrace_wire::{Encoder, Status, Tensor};
use tracing::{debug, warn};

use super::apart::{Apart, Suspect, report};
use super::decoding::Images;
use super::outcome::{Outcome, Refusal, Settled, Stage, Verdict};
use super::request::{Content, Part, Request};
use super::results::Results;
use super::slot::Station;
use crate::batch::{Condemned, OutputRows, Release, Rows, assemble, encode, isolate};
use crate::engine::{Engine, EngineError};
use crate::fatal::panic_message;
use crate::models::BuildEngine;
use crate::safety::Journal;

/// Owns one engine.
pub(crate) struct Worker {
    station: Arc<Station>,
    engine: Runner,
    apart: Apart,
    answers: Answers,
}

impl Worker {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        build: BuildEngine,
        (station, results): (Arc<Station>, Arc<Results>),
        (journal, apart): (Journal, Apart),
    ) -> Self {
        Self {
            apart,
            engine: Runner {
                engine: Some(engine),
                journal,
                build,
                station: Arc::clone(&station),
                results: Arc::clone(&results),
                span: Span::OFF,
            },
            answers: Answers {
                encoder: Encoder::default(),
                station: Arc::clone(&station),
                results,
            },
            station,
        }
    }

    /// Runs on a thread of its own until the queue is closed and empty. A panic outside the engine stops the process.
    pub(crate) fn spawn(mut self, name: &str) -> anyhow::Result<JoinHandle<()>> {
        let fatal = self.answers.results.fatal().clone();
        fatal.spawn(name, move || self.run())
    }

    fn run(&mut self) {
        let station = Arc::clone(&self.station);
        while let Some(batch) = station.take() {
            station.mark_run();
            let taken = Instant::now();
            for since in &batch.since {
                let waited = taken.saturating_duration_since(*since);
                station.metrics.queue_wait.observe(waited);
            }
            let mut parts = self.answers.still_wanted(batch.pieces);
            let suspects = self.apart.take(&mut parts);
            self.run_apart(suspects);
            if parts.is_empty() {
                continue;
            }
            let rows = parts.iter().map(|part| part.rows.len()).sum();
            station.metrics.count_batch(batch.release, rows);
            self.engine.span = batch_span(&station, &parts, batch.release);
            let start = Instant::now();
            self.run_batch(&parts);
            let took = start.elapsed();
            self.engine.span = Span::OFF;
            station.charge(batch.turn, took);
            let metrics = self.answers.results.metrics();
            metrics.count_engine_time(batch.turn.priority, took);
        }
    }

    fn run_apart(&mut self, suspects: Vec<Suspect>) {
        if suspects.is_empty() {
            return;
        }
        let mut trial = self.apart.trial();
        for suspect in suspects {
            // A further piece of a record that has just failed.
            if suspect
                .0
                .request
                .answer()
                .is_some_and(|answer| answer.has_failed())
            {
                continue;
            }
            let alone = std::slice::from_ref(&suspect.0);
            let outcome = inputs(&self.station, alone).and_then(|inputs| trial.run(&inputs));
            report(&suspect, &outcome, self.answers.results.metrics());
            match outcome {
                Ok(outputs) => self.answers.answer(alone, outputs),
                Err(error) => {
                    let runs = i32::try_from(suspect.1).unwrap_or(i32::MAX);
                    self.answers.condemn(alone, &error, runs.saturating_add(1));
                }
            }
        }
    }

    fn run_batch(&mut self, parts: &[Part]) {
        let Self {
            engine, answers, ..
        } = self;
        match engine.run(parts) {
            Ok(outputs) => answers.answer(parts, outputs),
            Err(error) => {
                let isolation_runs = answers.station.metrics.isolation_runs.clone();
                let mut run = |parts: &[Part]| {
                    isolation_runs.inc();
                    engine.run(parts)
                };
                isolate(
                    parts,
                    error,
                    &mut run,
                    &mut |parts, outcome| match outcome {
                        Ok(outputs) => answers.answer(parts, outputs),
                        Err(Condemned { error, failed_runs }) => {
                            answers.condemn(parts, &error, failed_runs)
                        }
                    },
                );
            }
        }
    }
}

/// The span of a batch: linked to those of its records, if any of them is recorded.
fn batch_span(station: &Station, parts: &[Part], release: Release) -> Span {
    if !trace::is_on() {
        return Span::OFF;
    }
    let places = parts.iter().filter_map(|part| part.request.place());
    let model = &station.served.name;
    let mut span = Span::batch(places, Kind::Internal, || format!("batch {model}"));
    if span.is_live() {
        span.set("millrace.model", model.as_str());
        span.set("millrace.version", station.served.version);
        span.set("millrace.batch.records", parts.len());
        let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
        span.set("millrace.batch.rows", rows);
        span.set("millrace.batch.release", release.name());
    }
    span
}

/// The engine, built anew after a panic.
struct Runner {
    /// `None` only when it could not be built again; the process is stopping then.
    engine: Option<Box<dyn Engine>>,
    journal: Journal,
    build: BuildEngine,
    station: Arc<Station>,
    results: Arc<Results>,
    /// Of the batch that is running.
    span: Span,
}

impl Runner {
    fn run(&mut self, parts: &[Part]) -> Result<Vec<Tensor>, EngineError> {
        let inputs = inputs(&self.station, parts)?;
        let Some(engine) = &mut self.engine else {
            return Err(EngineError::Panicked(
                "it could not be built again".to_owned(),
            ));
        };
        let records = parts.iter().map(|part| &part.request.record);
        // A batch is of one lane, and a lane of one topic.
        let topic = parts.first().map_or("", |part| &part.request.record.topic);
        let places = records.map(|record| (record.partition, record.offset));
        let running = self.journal.begin(topic, places);
        let start = Instant::now();
        self.station.load.begin(start);
        let outcome = catch_unwind(AssertUnwindSafe(|| engine.run(inputs)));
        let end = Instant::now();
        self.station.load.end(end);
        let seconds = end.saturating_duration_since(start).as_secs_f64();
        let exemplar = self.span.place().and_then(|place| place.exemplar());
        let histogram = &self.station.metrics.engine_seconds;
        histogram.observe(seconds, exemplar, None);
        drop(running);
        outcome.unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            warn!(message, "the engine panicked; building it again");
            self.rebuild();
            Err(EngineError::Panicked(message))
        })
    }

    fn rebuild(&mut self) {
        self.station.metrics.engine_rebuilds.inc();
        // The old one goes first: two copies of the weights may not fit. It may panic again on its way out.
        let old = self.engine.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        match (self.build)() {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => self
                .results
                .fatal()
                .report(anyhow::Error::new(error).context("the engine cannot be built again")),
        }
    }
}

/// The rows of all parts, copied once.
fn inputs(station: &Station, parts: &[Part]) -> Result<Vec<Tensor>, EngineError> {
    assemble(&station.inputs, parts.iter().filter_map(rows_of))
        .map_err(|error| EngineError::Failed(Box::new(error)))
}

fn rows_of(part: &Part) -> Option<Rows<'_>> {
    let Content::Instances(record) = &part.request.content else {
        return None;
    };
    Some(Rows {
        record,
        images: part.images.as_deref().map(Images::decoded),
        rows: part.rows.clone(),
    })
}

/// Turns outputs into results.
struct Answers {
    encoder: Encoder,
    station: Arc<Station>,
    results: Arc<Results>,
}

impl Answers {
    /// Drops what nobody wants any more: records of partitions that are no longer ours or are read again later, records
    /// past their deadline, further pieces of records that have failed.
    fn still_wanted(&self, parts: Vec<Part>) -> Vec<Part> {
        let now_unix_ms = unix_ms();
        let mut wanted = Vec::with_capacity(parts.len());
        for part in parts {
            let request = &part.request;
            if !self.results.is_wanted(request) {
                self.results.metrics().skipped.inc();
            } else if request
                .headers
                .deadline_unix_ms
                .is_some_and(|deadline| deadline < now_unix_ms)
            {
                self.refuse(request, Refusal::too_late());
            } else if !request.answer().is_some_and(|answer| answer.has_failed()) {
                wanted.push(part);
            }
        }
        wanted
    }

    /// Sends the outputs of a run, which hold the rows of `parts` one after another.
    fn answer(&mut self, parts: &[Part], outputs: Vec<Tensor>) {
        let began = Instant::now();
        let outputs = Arc::new(outputs);
        let mut rows_answered: u64 = 0;
        let mut start = 0;
        for part in parts {
            let rows = start..start + part.rows.len();
            start = rows.end;
            rows_answered += part.rows.len() as u64;
            let Some(mut answer) = part.request.answer() else {
                self.send(&part.request, &[(&outputs, rows)]);
                continue;
            };
            let complete = answer.complete(
                part.piece,
                OutputRows {
                    outputs: Arc::clone(&outputs),
                    rows,
                },
            );
            drop(answer);
            if let Some(pieces) = complete {
                let pieces: Vec<_> = pieces
                    .iter()
                    .map(|piece| (piece.outputs.as_slice(), piece.rows.clone()))
                    .collect();
                self.send(&part.request, &pieces);
            }
        }
        self.station.metrics.rows.inc_by(rows_answered);
        self.station.metrics.encode.observe(began.elapsed());
    }

    fn send(&mut self, request: &Arc<Request>, outputs: &[(&[Tensor], std::ops::Range<usize>)]) {
        let names = &self.station.served.signature.outputs;
        let verdict = match encode(&mut self.encoder, names, outputs) {
            Ok(value) => Verdict::Answer(value.into()),
            Err(error) => Verdict::Refusal(Refusal::new(
                Status::Internal,
                Stage::Result,
                error.to_string(),
            )),
        };
        self.results.conclude(Outcome {
            request: Arc::clone(request),
            verdict,
        });
    }

    /// `parts` is the one part that makes its batch fail.
    fn condemn(&self, parts: &[Part], error: &EngineError, failed_runs: i32) {
        for part in parts {
            debug!(
                trace_id = part.request.trace_id().map(display),
                topic = %part.request.record.topic, partition = part.request.record.partition,
                offset = part.request.record.offset, %error, "the model cannot answer this record"
            );
            self.refuse(&part.request, Refusal::by_engine(error, failed_runs));
        }
    }

    fn refuse(&self, request: &Arc<Request>, refusal: Refusal) {
        if let Some(settled) = Settled::refusing(request, refusal) {
            self.results.settle(settled);
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
