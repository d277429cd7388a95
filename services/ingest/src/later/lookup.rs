//! One look for a result: whether it is there, will come, or never was.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_kafka::{Error, Reader, Record, Span};
use millrace_wire::headers::{self, Source};

use crate::front::pending::RequestId;

use super::place::{LOOK_AHEAD, Mark, Probe, place};

/// So many records of a partition are read before other work has its turn.
const MOST_AT_ONCE: i64 = 2_000;

/// So many records beyond its place a result is looked for at once; the next
/// look goes on from there.
const FURTHER: i64 = 10 * MOST_AT_ONCE;
/// So many requests are remembered of which it is known how far was looked.
const MAX_LOOKED: usize = 10_000;

/// By how much the clock of whoever wrote a result may be behind ours.
const CLOCKS_APART_MS: i64 = 10_000;
/// The end of the name of a bulk lane's topic of requests.
const BULK_END: &str = ".bulk";

/// How long a partition count is believed.
const COUNT_AGE: Duration = Duration::from_secs(30);
/// So many topics' partition counts are kept.
const MAX_COUNTS: usize = 1_000;

/// A request whose result is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Sought {
    pub(crate) id: RequestId,
    /// The model's topics.
    pub(crate) requests: Arc<str>,
    pub(crate) results: Arc<str>,
    /// Of the request record.
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// When it was accepted.
    pub(crate) at_unix_ms: i64,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its result record, which may say that it failed.
    Result(Record),
    /// The request is there, its result not yet.
    Pending,
    /// There is no such request.
    Unknown,
    /// The request has been deleted from its topic, and so has its result, if
    /// there was one.
    Gone,
}

/// An [`Outcome`], and for a pending one where its result can turn up.
#[derive(Debug)]
pub(super) enum Look {
    Done(Outcome),
    Pending { results: Span },
}

/// Looks for results with one reader.
pub(super) struct Lookup {
    reader: Reader,
    counts: HashMap<Arc<str>, (i32, Instant)>,
    /// Up to which offset the result of a request was looked for.
    looked: HashMap<RequestId, i64>,
}

impl Lookup {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            counts: HashMap::new(),
            looked: HashMap::new(),
        }
    }

    /// # Errors
    /// The broker did not answer by `until`, or refused.
    pub(super) fn look(&mut self, sought: &Sought, until: Instant) -> Result<Look, Error> {
        let outcome = self.look_for(sought, until);
        match outcome {
            Err(Error::NoTopic { .. }) => Ok(Look::Done(Outcome::Unknown)),
            outcome => outcome,
        }
    }

    fn look_for(&mut self, sought: &Sought, until: Instant) -> Result<Look, Error> {
        // Infer writes to the partition of the same number.
        let partition = sought.partition % self.partition_count(&sought.results, until)?;
        let bounds = self.reader.bounds(&sought.results, partition, until)?;
        let mut results = Span {
            topic: Arc::clone(&sought.results),
            partition,
            offsets: bounds.clone(),
        };
        let probe = |at: i64| {
            let span = Span {
                offsets: at..results.offsets.end,
                ..results.clone()
            };
            self.probe(sought, &span, until)
        };
        let Some(offsets) = place(bounds.clone(), sought.offset, probe)? else {
            return self.look_by_time(sought, results, until);
        };
        results.offsets = offsets;
        if let Some(record) = self.result_in(&results, sought.id, until)? {
            return Ok(Look::Done(Outcome::Result(record)));
        }
        results.offsets = results.offsets.end..bounds.end;
        match self.request(sought, results, until)? {
            Look::Pending { results } => self.look_further(sought, results, until),
            done => Ok(done),
        }
    }

    /// Looks through everything that was written since the request, a part at each look: among very many results of
    /// the bulk lane there is no order to go by. `results` is the whole partition.
    fn look_by_time(
        &mut self,
        sought: &Sought,
        mut results: Span,
        until: Instant,
    ) -> Result<Look, Error> {
        let place = (&*results.topic, results.partition);
        let since = sought.at_unix_ms.saturating_sub(CLOCKS_APART_MS).max(0);
        let begin = self.reader.offset_at(place, since, until)?;
        let Range { start, end } = results.offsets;
        results.offsets = begin.unwrap_or(end).clamp(start, end)..end;
        match self.look_further(sought, results, until)? {
            Look::Pending { results } => self.request(sought, results, until),
            done => Ok(done),
        }
    }

    /// Looks where a result can be only if infer had to replace it, and late:
    /// from behind its place to the end of the partition, a part at each look.
    fn look_further(
        &mut self,
        sought: &Sought,
        mut rest: Span,
        until: Instant,
    ) -> Result<Look, Error> {
        let Range { start, end } = rest.offsets;
        let looked = self.looked.get(&sought.id).copied().unwrap_or(start);
        let mut at = looked.clamp(start, end);
        let stop = end.min(at.saturating_add(FURTHER));
        while at < stop {
            let next = stop.min(at.saturating_add(MOST_AT_ONCE));
            rest.offsets = at..next;
            match self.result_in(&rest, sought.id, until) {
                Ok(Some(record)) => {
                    self.looked.remove(&sought.id);
                    return Ok(Look::Done(Outcome::Result(record)));
                }
                Ok(None) => at = next,
                // The next look goes on from here.
                Err(Error::TimedOut { .. }) => break,
                Err(error) => return Err(error),
            }
            self.note(sought.id, at);
        }
        rest.offsets = at..end;
        Ok(Look::Pending { results: rest })
    }

    fn note(&mut self, id: RequestId, looked: i64) {
        if self.looked.len() >= MAX_LOOKED {
            self.looked.clear();
        }
        self.looked.insert(id, looked);
    }

    fn result_in(
        &self,
        span: &Span,
        id: RequestId,
        until: Instant,
    ) -> Result<Option<Record>, Error> {
        let mut found = None;
        self.reader.read(span, until, |record| {
            if id_of(&record) == Some(id) {
                found = Some(record);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Whether the request was ever made.
    fn request(&mut self, sought: &Sought, results: Span, until: Instant) -> Result<Look, Error> {
        let Sought {
            requests,
            partition,
            offset,
            ..
        } = sought;
        if *partition >= self.partition_count(requests, until)? {
            return Ok(Look::Done(Outcome::Unknown));
        }
        let Range { start, end } = self.reader.bounds(requests, *partition, until)?;
        if *offset < start {
            return Ok(Look::Done(Outcome::Gone));
        }
        if *offset >= end {
            return Ok(Look::Done(Outcome::Unknown));
        }
        let span = Span {
            topic: Arc::clone(requests),
            partition: *partition,
            offsets: *offset..offset.saturating_add(1),
        };
        let mut id = None;
        self.reader.read(&span, until, |record| {
            id = id_of(&record);
            ControlFlow::Break(())
        })?;
        match id == Some(sought.id) {
            true => Ok(Look::Pending { results }),
            false => Ok(Look::Done(Outcome::Unknown)),
        }
    }

    /// The first result of the request's partition at the beginning of a span, further behind it if results of the
    /// bulk lane are all that is there.
    fn probe(&self, sought: &Sought, rest: &Span, until: Instant) -> Result<Probe, Error> {
        let Range { start, end } = rest.offsets;
        let near = end.min(start.saturating_add(LOOK_AHEAD));
        let far = end.min(near.saturating_add(MOST_AT_ONCE));
        for offsets in [start..near, near..far] {
            let is_all = offsets.end == end;
            let span = Span {
                offsets,
                ..rest.clone()
            };
            match self.first_mark(sought, &span, until)? {
                Probe::Bulk if is_all => return Ok(Probe::Nothing),
                Probe::Bulk => {}
                known => return Ok(known),
            }
        }
        Ok(Probe::Bulk)
    }

    fn first_mark(&self, sought: &Sought, span: &Span, until: Instant) -> Result<Probe, Error> {
        let mut probe = Probe::Nothing;
        self.reader.read(span, until, |record| {
            let Some(source) = source_of(&record) else {
                return ControlFlow::Continue(());
            };
            let is_same = source.topic == *sought.requests;
            if is_same && source.partition == sought.partition {
                probe = Probe::Mark(Mark {
                    offset: record.offset,
                    request: source.offset,
                });
                return ControlFlow::Break(());
            }
            if source.topic.strip_suffix(BULK_END) == Some(&*sought.requests) {
                probe = Probe::Bulk;
            }
            ControlFlow::Continue(())
        })?;
        Ok(probe)
    }

    /// Hands what has come into a partition since to `visit`, but not more than
    /// `MOST_AT_ONCE` records; then the span is what is still to be read.
    ///
    /// # Errors
    /// The broker did not answer by `until`, or refused; the span is unchanged.
    pub(super) fn news(
        &self,
        span: &mut Span,
        until: Instant,
        mut visit: impl FnMut(Record),
    ) -> Result<(), Error> {
        let bounds = self.reader.bounds(&span.topic, span.partition, until)?;
        let start = span.offsets.start.clamp(bounds.start, bounds.end);
        let end = bounds.end.min(start.saturating_add(MOST_AT_ONCE));
        span.offsets = start..end;
        self.reader.read(span, until, |record| {
            visit(record);
            ControlFlow::Continue(())
        })?;
        span.offsets = end..bounds.end;
        Ok(())
    }

    fn partition_count(&mut self, topic: &Arc<str>, until: Instant) -> Result<i32, Error> {
        if let Some((count, known_at)) = self.counts.get(topic)
            && known_at.elapsed() < COUNT_AGE
        {
            return Ok(*count);
        }
        let count = self.reader.partition_count(topic, until)?;
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        if self.counts.len() >= MAX_COUNTS {
            self.counts.clear();
        }
        self.counts
            .insert(Arc::clone(topic), (count, Instant::now()));
        Ok(count)
    }
}

/// The id in a record's headers, if it is one of ours.
pub(super) fn id_of(record: &Record) -> Option<RequestId> {
    text(record, headers::ID)?.parse().ok()
}

fn source_of(record: &Record) -> Option<Source> {
    Source::parse(text(record, headers::SOURCE)?)
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.headers.get_first(name)?).ok()
}
