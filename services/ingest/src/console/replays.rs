//! What replays have found, as `millrace replay` writes it into its topic.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use millrace_kafka::{Error, Metrics, Reader, Span};
use serde_json::{Value, json};

use super::letters::{DEADLINE, MAX_RECORD_BYTES};
use super::{ConsoleError, Shared};
use crate::access::{Caller, Right};

/// Records that are looked at, from the end; and their bytes.
const WINDOW: i64 = 500;
const MOST_BYTES: usize = 16 << 20;
/// Replays of one answer.
const MOST: usize = 50;

/// The newest replays of models that the caller may read, the newest first. Blocks.
pub(super) fn newest(shared: &Shared, caller: &Caller) -> Result<Value, ConsoleError> {
    let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let reader = Reader::open(&shared.cluster, MAX_RECORD_BYTES, &Metrics::default())?;
    let topic: Arc<str> = shared.topic("replays").into();
    let until = Instant::now() + DEADLINE;
    match reader.partition_count(&topic, until) {
        Ok(_) => {}
        Err(Error::NoTopic { .. }) => return Ok(json!({ "replays": [] })),
        Err(error) => return Err(error.into()),
    }
    let bounds = reader.bounds(&topic, 0, until)?;
    let span = Span {
        topic,
        partition: 0,
        offsets: bounds.start.max(bounds.end - WINDOW)..bounds.end,
    };
    // By the replay's own id, so that those before stay beside the newest of the same version and topic.
    let mut pages: BTreeMap<String, Value> = BTreeMap::new();
    let mut bytes = 0;
    reader.read(&span, until, |record| {
        bytes += record.size_bytes();
        let page = record.value.as_deref().map(serde_json::from_slice::<Value>);
        if let Some(Ok(page)) = page {
            let text = |name: &str| page["plan"][name].as_str().unwrap_or_default().to_owned();
            if caller.may(Right::Read, &text("model")) {
                pages.insert(text("id"), page);
            }
        }
        match bytes > MOST_BYTES {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    let mut pages: Vec<Value> = pages.into_values().collect();
    pages.sort_by_key(|page| std::cmp::Reverse(page["plan"]["begun_unix_ms"].as_i64()));
    pages.truncate(MOST);
    Ok(json!({ "replays": pages }))
}
