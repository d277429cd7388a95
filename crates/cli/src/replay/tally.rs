//! Counts what the answers of a replay are to those that were given.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_kafka::Record;
use millrace_openloop::{Latencies, Summary};
use millrace_wire::{Decoder, Limits, Record as Outputs, Status};
use serde::Serialize;

use crate::claims::Large;

use super::compare::{Compared, Top, Verdict, compare};
use super::copy::Mark;
use super::differences::{Differing, Largest};
use super::original::{headers, source};

/// Results that cannot be compared, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Apart {
    /// The request has no result from before: it is not answered yet, or its result is gone.
    pub(super) no_original: u64,
    /// The version failed, and before there was an answer.
    pub(super) failed: u64,
    /// It failed before, and now there is an answer.
    pub(super) original_failed: u64,
    pub(super) both_failed: u64,
    pub(super) other_outputs: u64,
    pub(super) other_dtypes: u64,
    pub(super) other_shapes: u64,
    /// A result that cannot be read.
    pub(super) unreadable: u64,
}

/// All counts.
pub(super) struct Tally {
    tolerance: f64,
    /// Where values are that are too large for their records.
    large: Large,
    decoder: [Decoder; 2],
    pub(super) results: u64,
    pub(super) compared: u64,
    pub(super) agreeing: u64,
    pub(super) top: Option<Top>,
    pub(super) apart: Apart,
    /// Failures of the version, by status.
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) largest: Largest,
    latency: Latencies,
    latency_before: Latencies,
}

impl Tally {
    pub(super) fn new(tolerance: f64, large: &Large) -> Self {
        Self {
            tolerance,
            large: large.clone(),
            decoder: [
                Decoder::new(Limits::default()),
                Decoder::new(Limits::default()),
            ],
            results: 0,
            compared: 0,
            agreeing: 0,
            top: None,
            apart: Apart::default(),
            failures: BTreeMap::new(),
            largest: Largest::default(),
            latency: Latencies::default(),
            latency_before: Latencies::default(),
        }
    }

    /// Takes in a result of the replay, and the one from before.
    pub(super) fn take(&mut self, mark: &Mark, now: Record, before: Option<Record>) {
        self.results += 1;
        self.latency.record(mark.latency);
        let Some(said) = headers(&now) else {
            self.apart.unreadable += 1;
            return;
        };
        let status = said.status;
        if status != Status::Ok {
            *self.failures.entry(status.name().to_owned()).or_default() += 1;
        }
        let Some(before) = before else {
            self.apart.no_original += 1;
            return;
        };
        if let Some(took) = took(mark, &before) {
            self.latency_before.record(took);
        }
        let Some(said_before) = headers(&before).map(|it| it.status) else {
            self.apart.unreadable += 1;
            return;
        };
        match (status == Status::Ok, said_before == Status::Ok) {
            (true, true) => self.compare(now, before),
            (false, true) => self.apart.failed += 1,
            (true, false) => self.apart.original_failed += 1,
            (false, false) => self.apart.both_failed += 1,
        }
    }

    fn compare(&mut self, mut now: Record, mut before: Record) {
        let [of_before, of_now] = &mut self.decoder;
        let (Some(old), Some(new)) = (
            whole(&self.large, &mut before, of_before),
            whole(&self.large, &mut now, of_now),
        ) else {
            self.apart.unreadable += 1;
            return;
        };
        let Compared { verdict, top } = compare(&old, &new, self.tolerance);
        let apart = match verdict {
            Verdict::Outputs => &mut self.apart.other_outputs,
            Verdict::DTypes => &mut self.apart.other_dtypes,
            Verdict::Shapes => &mut self.apart.other_shapes,
            Verdict::Equal | Verdict::Different(_) => &mut self.compared,
        };
        *apart += 1;
        if let Some(top) = top {
            let sum = self.top.get_or_insert_default();
            sum.rows += top.rows;
            sum.agreeing += top.agreeing;
        }
        match verdict {
            Verdict::Equal => self.agreeing += 1,
            Verdict::Different(difference) => {
                let key = now
                    .key
                    .as_ref()
                    .and_then(|key| std::str::from_utf8(key).ok());
                self.largest.take(Differing {
                    request: source(&now).map(|it| it.to_string()).unwrap_or_default(),
                    key: key.map(str::to_owned),
                    difference,
                });
            }
            Verdict::Outputs | Verdict::DTypes | Verdict::Shapes => {}
        }
    }

    /// Of the replay, from the copy on its way out to the reply on its way in.
    pub(super) fn latency(&self) -> Summary {
        self.latency.summary()
    }

    /// Of the answers before, from the time of the request to that of its result.
    pub(super) fn latency_before(&self) -> Summary {
        self.latency_before.summary()
    }
}

/// The outputs in a result, wherever its value is; `None` if they cannot be read.
fn whole(large: &Large, result: &mut Record, decoder: &mut Decoder) -> Option<Outputs> {
    let value = large.value_of(result).ok()?;
    decoder.decode(value).ok()
}

/// How long the answer took that was given before, by the times of the records.
fn took(mark: &Mark, before: &Record) -> Option<Duration> {
    let took_ms = before.timestamp_unix_ms? - mark.requested_unix_ms?;
    Some(Duration::from_millis(u64::try_from(took_ms).ok()?))
}
