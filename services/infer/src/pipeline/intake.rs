//! The poll thread's side: each record's headers are read and say which version it goes to. Nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use millrace_boot::trace::{self, Kind, Place, Span};
use millrace_kafka::{Intake, IntakeError, Record, StartAt, Ticket, TopicPartition};
use millrace_wire::Status;
use millrace_wire::headers::{HeaderError, ID, REPLY_TO, RequestHeaders};

use super::lane::Lane;
use super::outcome::{Outcome, Refusal, Stage};
use super::reception::Reception;
use super::request::Arrival;
use super::routing::{Reader, Table, Wish};
use crate::batch::{Depth, Priority};

/// Feeds the versions of one model from one of its lanes.
#[derive(Debug)]
pub(crate) struct RequestIntake {
    priority: Priority,
    routes: Reader,
    reception: Reception,
    lanes: HashMap<i32, Arc<Lane<Outcome>>>,
}

impl RequestIntake {
    pub(crate) fn new(priority: Priority, routes: Reader, reception: Reception) -> Self {
        Self {
            priority,
            routes,
            reception,
            lanes: HashMap::new(),
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
}

/// The headers of a record; where they cannot be used, what of them can be, and why.
fn read_headers(record: &Record) -> (RequestHeaders, Option<Refusal>) {
    match RequestHeaders::parse(record.headers.iter()) {
        Ok(headers) => (headers, None),
        Err(error) => {
            let refusal = Refusal::new(Status::InvalidArgument, Stage::Headers, error.to_string());
            (address_only(record, &error), Some(refusal))
        }
    }
}

/// The record's stay here, in the trace that it came with.
fn span_of(record: &Record, headers: &RequestHeaders, model: &str) -> Span {
    if !trace::is_on() {
        return Span::OFF;
    }
    let parent = headers.traceparent.as_ref();
    let parent = parent.and_then(|parent| Place::parse(parent.as_bytes()));
    let mut span = Span::enter(parent, Kind::Consumer, || format!("process {model}"));
    if span.is_live() {
        span.set("messaging.system", "kafka");
        span.set("messaging.destination.name", &*record.topic);
        span.set(
            "messaging.destination.partition.id",
            i64::from(record.partition),
        );
        span.set("messaging.kafka.offset", record.offset);
        span.set("millrace.model", model);
    }
    span
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

    fn record(&mut self, record: Record, mut ticket: Ticket) {
        self.reception.results().metrics().records.inc();
        let lane = self.lane(record.partition);
        let (headers, mut refusal) = read_headers(&record);
        let claim = self.reception.results().claim_of(&record);
        let claim = claim.unwrap_or_else(|of_claim| {
            refusal.get_or_insert(of_claim);
            None
        });
        let fetched_bytes = claim.as_ref().map_or(0, |it| it.length);
        ticket.grow(usize::try_from(fetched_bytes).unwrap_or(0));
        let arrival = Arrival {
            priority: self.priority,
            span: span_of(&record, &headers, self.reception.results().model()),
            record,
            ticket,
            lane,
            headers,
            claim,
        };
        if let Some(refusal) = refusal {
            return self.reception.turn_away(arrival, refusal);
        }
        let wish = Wish {
            headers: &arrival.headers,
            record: &arrival.record,
        };
        match self.routes.table().route(&wish) {
            Ok(slot) => self.reception.receive(slot, arrival),
            Err(refusal) => self.reception.turn_away(arrival, refusal),
        }
    }

    fn revoking(&mut self, _partitions: &[TopicPartition]) {
        for slot in self.routes.table().slots.values() {
            if let Some(station) = slot.station() {
                station.hurry();
            }
        }
        if let Some(counter) = &self.reception.results().outlet(self.priority).counter {
            counter.hurry();
        }
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(lane) = self.lanes.remove(&partition.partition) {
                lane.close();
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for slot in self.routes.table().slots.values() {
            if let Some(station) = slot.station() {
                station.report_load(now);
            }
        }
        let depth = depth(self.routes.table());
        let metrics = self.reception.results().metrics();
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.queue_rows.set(gauge(depth.rows));
        metrics.queue_bytes.set(gauge(depth.bytes));
    }
}

/// What waits for all versions together.
fn depth(table: &Table) -> Depth {
    let stations = table.slots.values().filter_map(|slot| slot.station());
    stations.fold(Depth::default(), |sum, station| {
        let depth = station.depth();
        Depth {
            rows: sum.rows + depth.rows,
            bytes: sum.bytes + depth.bytes,
        }
    })
}
