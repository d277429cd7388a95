//! The newest dead letters, read from the end of their topic, within bounds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use millrace_kafka::{Error, Metrics, Reader, Record, Span};
use millrace_wire::avro::{DeadLetter, LetterPlace};
use millrace_wire::headers::REQUEUED;
use serde::Serialize;

use super::{ConsoleError, Shared};
use crate::access::{Caller, Right};

/// Offsets of each partition that are looked at, from its end. The console writes back none that lies further back.
pub(super) const WINDOW: i64 = 500;
/// Letters of one answer.
const MOST: usize = 100;
/// Bytes of all partitions together that one look may read.
const MOST_BYTES: usize = 64 << 20;
pub(super) const MAX_RECORD_BYTES: usize = 20 << 20;
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
/// Text of a key or a header that is shown.
const SHOWN_BYTES: usize = 200;

/// Which letters are wanted.
pub(super) struct Filter {
    pub(super) caller: Caller,
    pub(super) model: Option<String>,
}

/// The newest letters.
#[derive(Debug, Default, Serialize)]
pub(super) struct Found {
    pub(super) letters: Vec<Letter>,
    /// Whether there are others that were not read.
    pub(super) more: bool,
}

/// A dead letter without its value.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    letter: LetterPlace,
    source: String,
    model: String,
    stage: String,
    code: String,
    reason: String,
    attempts: i32,
    failed_at_unix_ms: i64,
    key: Option<String>,
    value_bytes: Option<usize>,
    headers: Vec<(String, String)>,
    requeued: bool,
}

/// The newest letters of the models that the caller may read, the newest first. Blocks.
pub(super) fn newest(shared: &Shared, filter: &Filter) -> Result<Found, ConsoleError> {
    let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let reader = Reader::open(&shared.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let topic: Arc<str> = shared.topic("dead-letters").into();
    let until = Instant::now() + DEADLINE;
    let count = match reader.partition_count(&topic, until) {
        Ok(count) => count,
        Err(Error::NoTopic { .. }) => return Ok(Found::default()),
        Err(error) => return Err(error.into()),
    };
    let mut letters = BTreeMap::new();
    let (mut more, mut bytes) = (false, 0);
    for partition in 0..i32::try_from(count).unwrap_or(i32::MAX) {
        let bounds = reader.bounds(&topic, partition, until)?;
        let start = bounds.start.max(bounds.end - WINDOW);
        more |= start > bounds.start;
        let span = Span {
            topic: Arc::clone(&topic),
            partition,
            offsets: start..bounds.end,
        };
        reader.read(&span, until, |record| {
            bytes += record.size_bytes();
            take(record, filter, &mut letters);
            match bytes > MOST_BYTES {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        more |= bytes > MOST_BYTES;
    }
    let mut letters: Vec<Letter> = letters.into_values().collect();
    letters.sort_by_key(|it| std::cmp::Reverse((it.failed_at_unix_ms, it.letter)));
    more |= letters.len() > MOST;
    letters.truncate(MOST);
    Ok(Found { letters, more })
}

fn take(record: Record, filter: &Filter, letters: &mut BTreeMap<LetterPlace, Letter>) {
    let place = LetterPlace {
        partition: record.partition,
        offset: record.offset,
    };
    if let Some(of) = record
        .headers
        .get_first(REQUEUED)
        .and_then(LetterPlace::of_note)
    {
        if let Some(letter) = letters.get_mut(&of) {
            letter.requeued = true;
        }
        return;
    }
    let Some(Ok(letter)) = record.value.as_deref().map(DeadLetter::decode) else {
        return;
    };
    let is_wanted = filter
        .model
        .as_ref()
        .is_none_or(|model| *model == letter.model);
    if is_wanted && filter.caller.may(Right::Read, &letter.model) {
        letters.insert(place, Letter::of(place, letter));
    }
}

impl Letter {
    fn of(place: LetterPlace, letter: DeadLetter) -> Self {
        let header = |header: millrace_wire::avro::Header| {
            let value = header.value.as_deref().map(text);
            (header.name, value.unwrap_or_default())
        };
        Self {
            letter: place,
            source: format!("{}/{}@{}", letter.topic, letter.partition, letter.offset),
            model: letter.model,
            stage: letter.stage,
            code: letter.code,
            reason: letter.reason,
            attempts: letter.attempts,
            failed_at_unix_ms: letter.failed_at_unix_ms,
            key: letter.key.as_deref().map(text),
            value_bytes: letter.value.as_ref().map(Vec::len),
            headers: letter.headers.into_iter().map(header).collect(),
            requeued: false,
        }
    }
}

/// Text as it is, of other bytes how many.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => {
            text[..text.floor_char_boundary(SHOWN_BYTES)].to_owned()
        }
        _ => format!("{} bytes", bytes.len()),
    }
}
