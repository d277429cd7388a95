//! Two topics side by side: each result of a replay with the result that its request was answered with before.
//!
//! Results stand in the order of their requests, partition by partition, so one walk along both finds all pairs and
//! holds two chunks of records at a time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_kafka::{Reader, Record, Span};
use millrace_wire::headers::{ResultHeadersRef, SOURCE, SourceRef};

const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 4 << 20;
const DEADLINE: Duration = Duration::from_secs(30);

/// The records of a partition, one after the other, up to where it ended.
pub(super) struct Walk<'r> {
    reader: &'r Reader,
    span: Span,
    ahead: VecDeque<Record>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(reader: &'r Reader, span: Span) -> Self {
        Self {
            reader,
            span,
            ahead: VecDeque::new(),
        }
    }

    /// The next record, which stays the next one.
    pub(super) fn peek(&mut self) -> anyhow::Result<Option<&Record>> {
        if self.ahead.is_empty() && !self.span.offsets.is_empty() {
            let (ahead, mut bytes, mut is_full) = (&mut self.ahead, 0, false);
            self.reader
                .read(&self.span, Instant::now() + DEADLINE, |record| {
                    bytes += record.size_bytes();
                    ahead.push_back(record);
                    is_full = ahead.len() >= CHUNK || bytes >= CHUNK_BYTES;
                    match is_full {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                })?;
            self.span.offsets.start = match (self.ahead.back(), is_full) {
                (Some(last), true) => last.offset + 1,
                _ => self.span.offsets.end,
            };
        }
        Ok(self.ahead.front())
    }

    pub(super) fn next(&mut self) -> anyhow::Result<Option<Record>> {
        self.peek()?;
        Ok(self.ahead.pop_front())
    }
}

/// The results that requests were answered with before.
pub(super) struct Originals<'r> {
    reader: &'r Reader,
    topic: Arc<str>,
    /// The topic of the requests.
    requests: String,
    /// Where the reading of each partition begins, and where it ends.
    spans: BTreeMap<i32, std::ops::Range<i64>>,
    /// By the partition of the requests.
    walks: BTreeMap<i32, Walk<'r>>,
}

impl<'r> Originals<'r> {
    pub(super) fn new(
        reader: &'r Reader,
        (topic, requests): (&str, &str),
        spans: BTreeMap<i32, std::ops::Range<i64>>,
    ) -> Self {
        Self {
            reader,
            topic: topic.into(),
            requests: requests.to_owned(),
            spans,
            walks: BTreeMap::new(),
        }
    }

    /// The result of a request; those of one partition are asked for in their order.
    pub(super) fn of(&mut self, partition: i32, offset: i64) -> anyhow::Result<Option<Record>> {
        let (reader, topic, spans) = (self.reader, &self.topic, &self.spans);
        let walk = self.walks.entry(partition).or_insert_with(|| {
            let count = i32::try_from(spans.len()).unwrap_or(i32::MAX).max(1);
            let partition = partition % count;
            Walk::new(
                reader,
                Span {
                    topic: Arc::clone(topic),
                    partition,
                    offsets: spans.get(&partition).cloned().unwrap_or(0..0),
                },
            )
        });
        while let Some(record) = walk.peek()? {
            let ahead = match source(record) {
                Some(source) if source.topic == self.requests && source.partition == partition => {
                    source.offset - offset
                }
                // Not one of these requests.
                _ => -1,
            };
            match ahead {
                0 => return walk.next(),
                1.. => return Ok(None),
                _ => drop(walk.next()?),
            }
        }
        Ok(None)
    }
}

/// The request that a result answers.
pub(super) fn source(record: &Record) -> Option<SourceRef<'_>> {
    SourceRef::parse(std::str::from_utf8(record.headers.get_first(SOURCE)?).ok()?)
}

/// The headers of a result, if they are such.
pub(super) fn headers(record: &Record) -> Option<ResultHeadersRef<'_>> {
    ResultHeadersRef::parse(record.headers.iter()).ok()
}
