//! Between the intake and a version's queue: threads that decode the images of records, beside the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use millrace_wire::Status;

use super::outcome::{Refusal, Stage as FailedStage};
use super::reception::{queue_pieces, refuse};
use super::request::{Content, Request};
use super::results::Results;
use super::slot::Station;
use crate::images::{DecodeFailure, Decoded, Held, ImagePlan, Stage};
use crate::settings::ImageSettings;

/// The decoding threads of one version, and what waits for them.
#[derive(Debug)]
pub(crate) struct Decoding {
    plan: Arc<ImagePlan>,
    limits: ImageSettings,
    stage: Arc<Stage<Undecoded>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A record that fits its version's signature, and whose images are not decoded yet.
#[derive(Debug)]
pub(crate) struct Undecoded {
    station: Arc<Station>,
    request: Request,
}

/// The images of one record, decoded. While they are here, others may have to wait.
#[derive(Debug)]
pub(crate) struct Images {
    decoded: Decoded,
    _held: Held<Undecoded>,
}

impl Images {
    pub(crate) fn decoded(&self) -> &Decoded {
        &self.decoded
    }
}

impl Decoding {
    pub(crate) fn new(plan: Arc<ImagePlan>, limits: &ImageSettings, bulk_weight: u8) -> Self {
        Self {
            plan,
            limits: limits.clone(),
            stage: Arc::new(Stage::new(limits.max_decoded_bytes, bulk_weight)),
            threads: Mutex::default(),
        }
    }

    /// Starts the threads, once. A panic in one of them, outside a decoder, stops the process.
    pub(crate) fn start(&self, model: &str, results: &Arc<Results>) -> anyhow::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < self.limits.threads {
            let name = format!("images {model} {}", threads.len());
            let work = Work {
                plan: Arc::clone(&self.plan),
                limits: self.limits.clone(),
                stage: Arc::clone(&self.stage),
                results: Arc::clone(results),
            };
            threads.push(results.fatal().spawn(&name, move || work.run())?);
        }
        Ok(())
    }

    /// Leaves a record to the threads. Never waits.
    pub(crate) fn push(&self, station: &Arc<Station>, request: Request) {
        let priority = request.priority;
        let undecoded = Undecoded {
            station: Arc::clone(station),
            request,
        };
        self.stage.push(priority, undecoded);
    }

    /// Whether nothing waits or is being decoded.
    pub(crate) fn is_idle(&self) -> bool {
        self.stage.is_idle()
    }

    /// Records that wait or are being decoded.
    pub(crate) fn records(&self) -> usize {
        self.stage.tasks()
    }

    /// Lets the threads end; records that wait are dropped with their tickets, so that their offsets stay.
    pub(crate) fn end(&self) {
        self.stage.end();
    }

    /// Whether all threads have ended.
    pub(crate) fn has_ended(&self) -> bool {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.is_empty()
    }
}

impl Drop for Decoding {
    /// A version that is gone needs its threads no more. They are not awaited: one of them may be what drops this.
    fn drop(&mut self) {
        self.stage.end();
    }
}

/// What one thread knows.
struct Work {
    plan: Arc<ImagePlan>,
    limits: ImageSettings,
    stage: Arc<Stage<Undecoded>>,
    results: Arc<Results>,
}

impl Work {
    fn run(&self) {
        while let Some((turn, Undecoded { station, request })) = self.stage.take() {
            let start = Instant::now();
            self.decode(&station, request);
            self.stage.finish(turn, start.elapsed());
            station.close_when_decoded();
        }
    }

    fn decode(&self, station: &Station, request: Request) {
        if !self.results.is_wanted(&request) {
            self.results.metrics().skipped.inc();
            return;
        }
        if request
            .deadline()
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            return refuse(&self.results, request, Refusal::too_late());
        }
        let Content::Instances(record) = &request.content else {
            return;
        };
        let seconds = &station.metrics.image_seconds;
        let seen = |taken: std::time::Duration| seconds.observe(taken);
        match self
            .plan
            .decode((record, &station.inputs), &self.limits, &seen)
        {
            Ok(decoded) => {
                let splits = station.split(record, Some(&decoded));
                let images = Arc::new(Images {
                    _held: self.stage.hold(decoded.size_bytes()),
                    decoded,
                });
                queue_pieces(station, request, (splits, Some(images)));
            }
            Err(failure) => refuse(&self.results, request, refusal(&failure)),
        }
    }
}

fn refusal(failure: &DecodeFailure) -> Refusal {
    let status = match failure {
        DecodeFailure::TooMuch { .. } => Status::OutOfRange,
        DecodeFailure::Image { .. } => Status::InvalidArgument,
        DecodeFailure::Tensor(_) => Status::Internal,
    };
    Refusal::new(status, FailedStage::Decode, failure.to_string())
}
