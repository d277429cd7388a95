//! The report of a replay, made of what the topics hold.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use millrace_kafka::{Metrics, Reader, Span};
use millrace_openloop::Summary;
use serde::Serialize;

use super::copy::Mark;
use super::differences::Differing;
use super::original::{Originals, Walk, source};
use super::plan::Plan;
use super::stretch::Offsets;
use super::tally::{Apart, Tally};
use crate::connection::Connection;
use crate::progress::{Done, Progress, Total};
use crate::whole_topic::MAX_RECORD_BYTES;

/// Clocks of producers and brokers differ by less.
const CLOCKS_MS: i64 = 60_000;

/// What a replay has found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) replay: String,
    pub(super) model: String,
    pub(super) version: i64,
    pub(super) requests: String,
    pub(super) to: String,
    /// The stretch, by partition: the first offset, and the one behind the last.
    pub(super) stretch: BTreeMap<i32, [i64; 2]>,
    /// Results that the replay has written.
    pub(super) results: u64,
    /// Those that could be compared with an answer from before.
    pub(super) compared: u64,
    pub(super) agreeing: u64,
    /// The part of those compared; `null` if none could be.
    pub(super) agreement: Option<f64>,
    pub(super) tolerance: f64,
    /// Of a classifier, row by row.
    pub(super) top1: Option<Top1>,
    pub(super) apart: Apart,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) largest_differences: Vec<Differing>,
    pub(super) latency: Summary,
    pub(super) latency_before: Summary,
    pub(super) begun_unix_ms: i64,
    pub(super) finished_unix_ms: i64,
}

/// How often the highest class is the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Top1 {
    pub(super) rows: u64,
    pub(super) agreeing: u64,
    pub(super) agreement: f64,
}

/// The part that `some` is of `all`; `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "a part for people")]
fn part(some: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

/// Compares what the replay has written with what was answered before.
///
/// # Errors
/// A topic cannot be read.
pub(super) fn make(
    connection: &Connection,
    (plan, until): (&Plan, &Offsets),
    tolerance: f64,
) -> anyhow::Result<Report> {
    let reader = Reader::open(&connection.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let others = Reader::open(&connection.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let mut spans: BTreeMap<i32, Range<i64>> = connection.admin.spans(&plan.to)?;
    for (partition, span) in &mut spans {
        span.start = plan
            .to_from
            .get(partition)
            .copied()
            .unwrap_or(0)
            .max(span.start);
    }
    let total: i64 = spans
        .values()
        .map(|span| (span.end - span.start).max(0))
        .sum();
    let total = Total::Rows(u64::try_from(total).unwrap_or(0));
    let mut progress = Progress::start("compared", total, Done::default()).of("results");
    let mut tally = Tally::new(tolerance, &connection.large);
    let mut originals: Option<Originals<'_>> = None;
    let mut seen = 0;
    for (partition, offsets) in spans {
        let topic: Arc<str> = plan.to.as_str().into();
        let mut walk = Walk::new(
            &reader,
            Span {
                topic,
                partition,
                offsets,
            },
        );
        while let Some(record) = walk.next()? {
            seen += 1;
            progress.show(Done {
                rows: seen,
                bytes: 0,
            });
            let Some(mark) = Mark::read(&record).filter(|mark| mark.id == plan.id) else {
                continue;
            };
            let originals = match &mut originals {
                Some(originals) => originals,
                None => originals.insert(open(connection, plan, (&others, &mark))?),
            };
            let of = source(&record).map(|it| (it.partition, it.offset));
            let before = match of {
                Some((partition, offset)) => originals.of(partition, offset)?,
                None => None,
            };
            tally.take(&mark, record, before);
        }
    }
    progress.finish();
    Ok(report((plan, until), tally, tolerance))
}

/// The results from before, from about the time of the first request on.
fn open<'r>(
    connection: &Connection,
    plan: &Plan,
    (reader, first): (&'r Reader, &Mark),
) -> anyhow::Result<Originals<'r>> {
    let admin = &connection.admin;
    let mut spans = admin.spans(&plan.originals)?;
    let oldest = oldest_request(connection, plan)?.or(first.requested_unix_ms);
    if let Some(unix_ms) = oldest {
        let since = admin.offsets_since(&plan.originals, (unix_ms - CLOCKS_MS).max(0))?;
        for (partition, span) in &mut spans {
            if let Some(offset) = since.get(partition) {
                span.start = span.start.max(*offset).min(span.end);
            }
        }
    }
    let topics = (plan.originals.as_str(), plan.requests.as_str());
    Ok(Originals::new(reader, topics, spans))
}

/// The time of the oldest first request of all partitions.
fn oldest_request(connection: &Connection, plan: &Plan) -> anyhow::Result<Option<i64>> {
    let reader = Reader::open(&connection.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let mut oldest: Option<i64> = None;
    for (partition, from) in &plan.from {
        let span = Span {
            topic: plan.requests.as_str().into(),
            partition: *partition,
            offsets: *from..i64::MAX,
        };
        let mut first = None;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        reader.read(&span, deadline, |record| {
            first = record.timestamp_unix_ms;
            std::ops::ControlFlow::Break(())
        })?;
        oldest = match (oldest, first) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }
    Ok(oldest)
}

fn report((plan, until): (&Plan, &Offsets), tally: Tally, tolerance: f64) -> Report {
    let stretch = plan.from.iter().map(|(partition, from)| {
        let end = until.get(partition).copied().unwrap_or(*from);
        (*partition, [*from, end])
    });
    let top1 = tally.top.and_then(|top| {
        Some(Top1 {
            rows: top.rows,
            agreeing: top.agreeing,
            agreement: part(top.agreeing, top.rows)?,
        })
    });
    Report {
        replay: plan.id.clone(),
        model: plan.model.clone(),
        version: plan.version,
        requests: plan.requests.clone(),
        to: plan.to.clone(),
        stretch: stretch.collect(),
        results: tally.results,
        compared: tally.compared,
        agreeing: tally.agreeing,
        agreement: part(tally.agreeing, tally.compared),
        tolerance,
        top1,
        apart: tally.apart,
        failures: tally.failures.clone(),
        latency: tally.latency(),
        latency_before: tally.latency_before(),
        largest_differences: tally.largest.into_lines(),
        begun_unix_ms: plan.begun_unix_ms,
        finished_unix_ms: crate::when::now_unix_ms(),
    }
}
