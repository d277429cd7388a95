//! The poll thread's side: each record is read, checked against the model's signature and queued. Nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_kafka::{Intake, IntakeError, Record, StartAt, Ticket, TopicPartition};
use millrace_wire::headers::{HeaderError, ID, REPLY_TO, RequestHeaders};
use millrace_wire::{Decoder, Limits, Status};
use tracing::debug;

use super::lane::Lane;
use super::outcome::{Outcome, Refusal, Settled, Stage, Verdict};
use super::request::{Content, Part, Request};
use super::{Queue, Served};
use crate::batch::{Piece, Split, Splitter};
use crate::metrics::ModelMetrics;
use crate::settings::ConsumerSettings;

/// The only signature that a model has.
const DEFAULT_SIGNATURE: &str = "serving_default";

/// Feeds one model's queue.
#[derive(Debug)]
pub(crate) struct RequestIntake {
    model: Served,
    decoder: Decoder,
    splitter: Splitter,
    queue: Arc<Queue>,
    lanes: HashMap<i32, Arc<Lane<Outcome>>>,
    metrics: ModelMetrics,
}

impl RequestIntake {
    pub(crate) fn new(
        model: &Served,
        settings: &ConsumerSettings,
        queue: Arc<Queue>,
        metrics: ModelMetrics,
    ) -> Self {
        let limits = Limits {
            max_record_bytes: settings.max_record_bytes,
            ..Limits::default()
        };
        Self {
            decoder: Decoder::new(limits),
            splitter: Splitter::new(queue.limits(), &model.signature.inputs),
            model: model.clone(),
            queue,
            lanes: HashMap::new(),
            metrics,
        }
    }

    /// Reads one record; a refusal comes with as much of the record as could be read.
    fn read(&mut self, record: &mut Record) -> (RequestHeaders, Content, Option<Refusal>) {
        let value = record.value.take();
        let headers = match RequestHeaders::parse(record.headers.iter()) {
            Ok(headers) => headers,
            Err(error) => {
                let refusal =
                    Refusal::new(Status::InvalidArgument, Stage::Headers, error.to_string());
                return (
                    address_only(record, &error),
                    Content::Bytes(value),
                    Some(refusal),
                );
            }
        };
        if let Some(refusal) = self.check_addressee(&headers) {
            return (headers, Content::Bytes(value), Some(refusal));
        }
        let Some(value) = value else {
            let refusal = Refusal::new(
                Status::InvalidArgument,
                Stage::Decode,
                "record has no value",
            );
            return (headers, Content::Bytes(None), Some(refusal));
        };
        let instances = match self.decoder.decode(value) {
            Ok(instances) => instances,
            Err(error) => {
                let refusal =
                    Refusal::new(Status::InvalidArgument, Stage::Decode, error.to_string());
                return (
                    headers,
                    Content::Bytes(Some(error.into_payload())),
                    Some(refusal),
                );
            }
        };
        let refusal =
            self.model.signature.check(&instances).err().map(|error| {
                Refusal::new(Status::InvalidArgument, Stage::Validate, error.to_string())
            });
        (headers, Content::Instances(instances), refusal)
    }

    /// Whether the request asks for what this model has.
    fn check_addressee(&self, headers: &RequestHeaders) -> Option<Refusal> {
        let Served { name, version, .. } = &self.model;
        let not_found =
            |sentence: String| Some(Refusal::new(Status::NotFound, Stage::Headers, sentence));
        if let Some(asked) = headers.version.filter(|asked| asked != version) {
            return not_found(format!(
                "model {name} serves version {version}, not version {asked}"
            ));
        }
        if let Some(label) = &headers.label {
            return not_found(format!(
                "model {name} has no label {label:?}; no labels are set"
            ));
        }
        match headers.signature.as_deref() {
            None | Some(DEFAULT_SIGNATURE) => None,
            Some(other) => not_found(format!(
                "model {name} has no signature {other:?}, only {DEFAULT_SIGNATURE:?}"
            )),
        }
    }

    /// The lane of a partition; there is one since it was assigned.
    fn lane(&mut self, partition: i32) -> Arc<Lane<Outcome>> {
        Arc::clone(
            self.lanes
                .entry(partition)
                .or_insert_with(|| Arc::new(Lane::new())),
        )
    }

    fn queue_pieces(&self, request: &Arc<Request>, splits: Vec<Split>) {
        let deadline = request.deadline();
        for (piece, split) in splits.into_iter().enumerate() {
            self.queue.push(Piece {
                deadline,
                shape: split.shape,
                rows: split.rows.len(),
                bytes: split.bytes,
                work: Part {
                    request: Arc::clone(request),
                    piece,
                    rows: split.rows,
                },
            });
        }
    }
}

/// Id and reply address of a record whose headers are otherwise unusable, so that its sender hears of it.
fn address_only(record: &Record, error: &HeaderError) -> RequestHeaders {
    if matches!(
        error,
        HeaderError::TooMany { .. } | HeaderError::TooLarge { .. }
    ) {
        return RequestHeaders::default();
    }
    for names in [[ID, REPLY_TO].as_slice(), &[REPLY_TO]] {
        let address = record
            .headers
            .iter()
            .filter(|(name, _)| names.contains(name));
        if let Ok(headers) = RequestHeaders::parse(address) {
            return headers;
        }
    }
    RequestHeaders::default()
}

impl Intake for RequestIntake {
    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<Vec<StartAt>, IntakeError> {
        for partition in partitions {
            self.lanes
                .insert(partition.partition, Arc::new(Lane::new()));
        }
        Ok(vec![StartAt::Committed; partitions.len()])
    }

    fn record(&mut self, mut record: Record, ticket: Ticket) {
        self.metrics.records.inc();
        let lane = self.lane(record.partition);
        let (headers, content, refusal) = self.read(&mut record);
        if let Some(refusal) = refusal {
            debug!(
                topic = %record.topic, partition = record.partition, offset = record.offset,
                stage = refusal.stage.name(), reason = refusal.sentence, "record refused"
            );
            self.metrics
                .count_refused(refusal.stage.name(), refusal.status.name());
            let request = Arc::new(Request::new(record, ticket, lane, (headers, content)));
            let outcome = Outcome {
                request,
                verdict: Verdict::Refusal(refusal),
            };
            self.queue.push_aside(Settled::InTurn(outcome));
            return;
        }
        let splits = match &content {
            Content::Instances(instances) => self.splitter.split(instances),
            Content::Bytes(_) => Vec::new(),
        };
        let request =
            Request::new(record, ticket, lane, (headers, content)).in_pieces(splits.len());
        self.queue_pieces(&Arc::new(request), splits);
    }

    fn revoking(&mut self, _partitions: &[TopicPartition]) {
        self.queue.hurry();
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(lane) = self.lanes.remove(&partition.partition) {
                lane.close();
            }
        }
    }

    fn tick(&mut self) {
        let depth = self.queue.depth();
        self.metrics
            .queue_rows
            .set(i64::try_from(depth.rows).unwrap_or(i64::MAX));
        self.metrics
            .queue_bytes
            .set(i64::try_from(depth.bytes).unwrap_or(i64::MAX));
    }
}
