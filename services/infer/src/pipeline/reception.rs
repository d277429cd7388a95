//! A record that has been routed: checked against its version's signature, cut into pieces and queued, or refused.

use std::sync::Arc;
use std::time::Instant;

use millrace_wire::{Decoder, Limits, Status};
use tracing::debug;

use super::decoding::Images;
use super::outcome::{Outcome, Refusal, Settled, Stage, Verdict};
use super::request::{Arrival, Content, Part, Request};
use super::results::Results;
use super::slot::{Parked, Slot, Station};
use crate::batch::{Piece, Split};

/// Belongs to one thread: the poll thread, or the one that lets in what waited for a version to load.
#[derive(Debug)]
pub(crate) struct Reception {
    decoder: Decoder,
    results: Arc<Results>,
}

impl Reception {
    pub(crate) fn new(max_record_bytes: usize, results: Arc<Results>) -> Self {
        let limits = Limits {
            max_record_bytes,
            ..Limits::default()
        };
        Self {
            decoder: Decoder::new(limits),
            results,
        }
    }

    pub(crate) fn results(&self) -> &Results {
        &self.results
    }

    /// Queues a record for a version, or lets it wait until that version is loaded.
    pub(crate) fn receive(&mut self, slot: &Slot, arrival: Arrival) {
        if let Some(station) = slot.station() {
            return self.admit(station, arrival);
        }
        match slot.park(arrival) {
            Parked::Waits => {}
            Parked::TooLate(arrival, station) => self.admit(&station, arrival),
            Parked::Refused(arrival, refusal) => self.turn_away(arrival, refusal),
        }
    }

    /// Checks a record against the version's signature and queues it; once its value is fetched, if it has none itself.
    pub(crate) fn admit(&mut self, station: &Arc<Station>, mut arrival: Arrival) {
        if let (true, Some(porters)) = (arrival.lacks_value(), self.results.porters()) {
            return porters.fetch(station, arrival);
        }
        let refused =
            |stage, sentence: String| Refusal::new(Status::InvalidArgument, stage, sentence);
        let served = Arc::clone(&station.served);
        let Some(value) = arrival.record.value.take() else {
            let refusal = refused(Stage::Decode, "record has no value".to_owned());
            let request = Request::new(arrival, Content::Bytes(None), Some(served));
            return self.refuse(request, refusal);
        };
        let began = Instant::now();
        let instances = match self.decoder.decode(value) {
            Ok(instances) => instances,
            Err(error) => {
                let refusal = refused(Stage::Decode, error.to_string());
                let content = Content::Bytes(Some(error.into_payload()));
                return self.refuse(Request::new(arrival, content, Some(served)), refusal);
            }
        };
        if let Err(error) = served.signature.check(&instances) {
            let refusal = refused(Stage::Validate, error.to_string());
            let content = Content::Instances(instances);
            return self.refuse(Request::new(arrival, content, Some(served)), refusal);
        }
        self.results.metrics().decode.observe(began.elapsed());
        if let Some(decoding) = &station.decoding {
            let request = Request::new(arrival, Content::Instances(instances), Some(served));
            return decoding.push(station, request);
        }
        let splits = station.split(&instances, None);
        let request = Request::new(arrival, Content::Instances(instances), Some(served));
        queue_pieces(station, request, (splits, None));
    }

    /// Refuses a record that no version was asked about.
    pub(crate) fn turn_away(&self, mut arrival: Arrival, refusal: Refusal) {
        let content = Content::Bytes(arrival.record.value.take());
        self.refuse(Request::new(arrival, content, None), refusal);
    }

    fn refuse(&self, request: Request, refusal: Refusal) {
        refuse(&self.results, request, refusal);
    }
}

/// Refuses a record before inference.
pub(super) fn refuse(results: &Results, request: Request, refusal: Refusal) {
    debug!(
        trace_id = request.trace_id().map(display),
        topic = %request.record.topic, partition = request.record.partition, offset = request.record.offset,
        stage = refusal.stage.name(), reason = refusal.sentence, "record refused"
    );
    let metrics = results.metrics();
    metrics.count_refused(refusal.stage.name(), refusal.status.name());
    results.hand_in(Settled::InTurn(Outcome {
        request: Arc::new(request),
        verdict: Verdict::Refusal(refusal),
    }));
}

/// Queues a record's rows, with its images if it has some.
pub(super) fn queue_pieces(
    station: &Station,
    request: Request,
    (splits, images): (Vec<Split>, Option<Arc<Images>>),
) {
    let request = Arc::new(request.in_pieces(splits.len()));
    let deadline = request.deadline();
    for (piece, split) in splits.into_iter().enumerate() {
        station.push(Piece {
            priority: request.priority,
            deadline,
            shape: split.shape,
            rows: split.rows.len(),
            bytes: split.bytes,
            work: Part {
                request: Arc::clone(&request),
                piece,
                rows: split.rows,
                images: images.clone(),
            },
        });
    }
}
