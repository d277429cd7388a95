//! Where a stretch of requests begins and ends, as people say it, and its offsets.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::connection::Connection;
use crate::when;

/// The next offset of each partition.
pub(super) type Offsets = BTreeMap<i32, i64>;

/// A place in a topic, in all of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Beginning,
    End,
    /// The same offset in every partition.
    Offset(i64),
    /// The first record that is as young.
    UnixMs(i64),
}

impl Edge {
    /// `beginning`, `end`, an offset, a span that lies back so long, or a time in UTC.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" | "now" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(offset @ 0..) = text.parse() {
            return Ok(Self::Offset(offset));
        }
        if let Ok(span) = humantime::parse_duration(text) {
            let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            return Ok(Self::UnixMs(
                when::now_unix_ms().saturating_sub(span_ms).max(0),
            ));
        }
        let time = humantime::parse_rfc3339_weak(text).ok().and_then(unix_ms);
        time.map(Self::UnixMs).ok_or_else(|| {
            "write beginning, end, an offset, a span such as 2h, or a time such as \
             2026-11-22T21:30:00Z"
                .to_owned()
        })
    }

    /// The offsets of this place in a topic, none outside of what the topic holds.
    pub(super) fn offsets(self, connection: &Connection, topic: &str) -> anyhow::Result<Offsets> {
        let spans = connection.admin.spans(topic)?;
        let since = match self {
            Self::UnixMs(unix_ms) => connection.admin.offsets_since(topic, unix_ms)?,
            _ => Offsets::new(),
        };
        let offset = |(partition, span): (i32, std::ops::Range<i64>)| {
            let offset = match self {
                Self::Beginning => span.start,
                Self::End => span.end,
                Self::Offset(offset) => offset,
                Self::UnixMs(_) => since.get(&partition).copied().unwrap_or(span.end),
            };
            (partition, offset.clamp(span.start, span.end))
        };
        Ok(spans.into_iter().map(offset).collect())
    }
}

fn unix_ms(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_offset_a_span_or_a_time() {
        assert_eq!(Edge::parse("beginning"), Ok(Edge::Beginning));
        assert_eq!(Edge::parse("end"), Ok(Edge::End));
        assert_eq!(Edge::parse("17"), Ok(Edge::Offset(17)));
        let time = Edge::UnixMs(1_795_384_742_000);
        assert_eq!(Edge::parse("2026-11-22T21:59:02Z"), Ok(time));
        assert_eq!(Edge::parse("2026-11-22 21:59:02"), Ok(time));
        let Ok(Edge::UnixMs(then)) = Edge::parse("2h") else {
            panic!("2h is a span");
        };
        let hours = (when::now_unix_ms() - then) / 60_000;
        assert!((120..=121).contains(&hours), "{hours} minutes");
        for wrong in ["", "-1", "yesterday", "1.5"] {
            assert!(Edge::parse(wrong).is_err(), "{wrong}");
        }
    }
}
