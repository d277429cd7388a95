//! A request as it is sent again, and the reply as a result of the replay.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_kafka::{Headers, OutRecord, Record};
use millrace_wire::headers::{
    ATTEMPTS, CONTENT_TYPE, DEADLINE, ERROR, ID, LABEL, MODEL, REPLAY, REPLY_ONLY, REPLY_TO,
    ReplyTo, ResultHeaders, SOURCE, STATUS, Source, VERSION, WEIGHTS_SHA256,
};

use super::plan::Plan;

/// Headers of a request that speak of its own sender or version.
const REPLACED: [&str; 8] = [
    ID, REPLY_TO, REPLY_ONLY, DEADLINE, VERSION, LABEL, ATTEMPTS, REPLAY,
];

/// Headers of a reply that are written anew.
const OF_RESULT: [&str; 9] = [
    CONTENT_TYPE,
    ID,
    MODEL,
    VERSION,
    WEIGHTS_SHA256,
    STATUS,
    ERROR,
    SOURCE,
    REPLAY,
];

/// What a result of a replay says beside its lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: String,
    /// From the copy on its way out to the reply on its way in.
    pub(super) latency: Duration,
    /// The time of the request.
    pub(super) requested_unix_ms: Option<i64>,
}

/// Whether a request is itself a copy, of this replay or of another.
pub(super) fn is_copy(record: &Record) -> bool {
    record.headers.get_first(REPLY_ONLY).is_some()
}

/// The copy of a request: same value, key and headers but for those that its sender alone had.
pub(super) fn of(
    request: &mut Record,
    (plan, id): (&Plan, &str),
    (topic, reply_to): (&Arc<str>, &ReplyTo),
) -> OutRecord {
    let mut headers = Headers::with_capacity(request.headers.len() + 4);
    headers.push_text(ID, id);
    headers.push_text(REPLY_TO, reply_to.to_string());
    headers.push_text(REPLY_ONLY, "1");
    headers.push_text(VERSION, plan.version.to_string());
    for (name, value) in request.headers.iter() {
        if !REPLACED.contains(&name) {
            headers.push(name.to_owned(), value.map(<[u8]>::to_vec));
        }
    }
    OutRecord {
        topic: Arc::clone(topic),
        partition: Some(request.partition),
        key: request.key.clone(),
        value: request.value.take(),
        headers,
    }
}

/// The result of a replay: what the version replied, with the coordinates, id and key of the request itself.
///
/// # Errors
/// The reply has unusable headers.
pub(super) fn result(
    reply: Record,
    request: &Record,
    (plan, to, partition): (&Plan, &Arc<str>, i32),
    latency: Duration,
) -> anyhow::Result<OutRecord> {
    let said =
        ResultHeaders::parse(reply.headers.iter()).context("a reply has unusable headers")?;
    let source = Source {
        topic: plan.requests.clone(),
        partition: request.partition,
        offset: request.offset,
    };
    let id = request.headers.get_first(ID);
    let id = id.and_then(|id| std::str::from_utf8(id).ok());
    let ours = ResultHeaders {
        id: id.map_or_else(|| source.to_string(), str::to_owned),
        source,
        ..said
    };
    let pairs = ours.to_pairs();
    let mut headers = Headers::with_capacity(pairs.len() + 1 + reply.headers.len());
    for (name, value) in pairs {
        headers.push(name, Some(value));
    }
    let mark = Mark {
        id: plan.id.clone(),
        latency,
        requested_unix_ms: request.timestamp_unix_ms,
    };
    headers.push_text(REPLAY, mark.to_text());
    for (name, value) in reply.headers.iter() {
        if !OF_RESULT.contains(&name) {
            headers.push(name.to_owned(), value.map(<[u8]>::to_vec));
        }
    }
    Ok(OutRecord {
        topic: Arc::clone(to),
        partition: Some(partition),
        key: request.key.clone(),
        value: reply.value,
        headers,
    })
}

impl Mark {
    fn to_text(&self) -> String {
        let requested = self.requested_unix_ms.map(|ms| ms.to_string());
        let micros = self.latency.as_micros();
        format!("{};{micros};{}", self.id, requested.unwrap_or_default())
    }

    /// Reads the mark of a result; `None` if it is none of a replay.
    pub(super) fn read(record: &Record) -> Option<Self> {
        let text = std::str::from_utf8(record.headers.get_first(REPLAY)?).ok()?;
        let mut parts = text.split(';');
        let (id, micros, requested) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            id: id.to_owned(),
            latency: Duration::from_micros(micros.parse().ok()?),
            requested_unix_ms: requested.parse().ok(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::replay::stretch::Offsets;

    pub(in crate::replay) fn plan() -> Plan {
        Plan {
            id: "0f".to_owned(),
            model: "digits".to_owned(),
            version: 2,
            requests: "mill.requests.digits".to_owned(),
            originals: "mill.results.digits".to_owned(),
            to: "mill.results.shadow".to_owned(),
            begun_unix_ms: 0,
            from: Offsets::from([(0, 3), (1, 0)]),
            until: Some(Offsets::from([(0, 10), (1, 5)])),
            to_from: Offsets::new(),
        }
    }

    pub(in crate::replay) fn record(
        partition: i32,
        offset: i64,
        headers: &[(&str, &str)],
    ) -> Record {
        let pairs = headers.iter();
        let pairs =
            pairs.map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
        Record {
            topic: "mill.requests.digits".into(),
            partition,
            offset,
            timestamp_unix_ms: Some(1_000),
            key: Some(b"key".to_vec()),
            value: Some(b"value".to_vec()),
            headers: pairs.collect::<Vec<_>>().into(),
        }
    }

    #[test]
    fn a_copy_has_the_requests_headers_but_for_its_senders() {
        let own = [
            ("b", "1"),
            (DEADLINE, "17"),
            (ID, "mine"),
            (LABEL, "stable"),
            ("a", "2"),
            (REPLY_TO, "mill.replies/3"),
            ("b", "3"),
        ];
        let mut request = record(1, 4, &own);
        let reply_to = ReplyTo {
            topic: "mill.replies".to_owned(),
            partition: 5,
        };
        let topic: Arc<str> = "mill.requests.digits".into();
        let copy = of(&mut request, (&plan(), "0f-1-1-4"), (&topic, &reply_to));
        let headers: Vec<_> = copy.headers.iter().collect();
        let text = |name, value: &'static str| (name, Some(value.as_bytes()));
        assert_eq!(
            headers,
            [
                text(ID, "0f-1-1-4"),
                text(REPLY_TO, "mill.replies/5"),
                text(REPLY_ONLY, "1"),
                text(VERSION, "2"),
                text("b", "1"),
                text("a", "2"),
                text("b", "3"),
            ]
        );
        assert_eq!((copy.partition, copy.key), (Some(1), Some(b"key".to_vec())));
        assert_eq!(copy.value.as_deref(), Some(&b"value"[..]));
    }

    #[test]
    fn a_result_names_the_request_itself() {
        let request = record(1, 4, &[(ID, "mine"), ("b", "1")]);
        let reply = record(
            7,
            99,
            &[
                (ID, "0f-1-1-4"),
                (MODEL, "digits"),
                (VERSION, "2"),
                (STATUS, "OK"),
                (SOURCE, "mill.requests.digits/1/77"),
                ("b", "1"),
            ],
        );
        let to: Arc<str> = "mill.results.shadow".into();
        let took = Duration::from_micros(1_250);
        let result = result(reply, &request, (&plan(), &to, 1), took).unwrap();
        let said = ResultHeaders::parse(result.headers.iter()).unwrap();
        assert_eq!(said.source.to_string(), "mill.requests.digits/1/4");
        assert_eq!((said.id.as_str(), said.version), ("mine", Some(2)));
        let passed_on = result.headers.get_first("b");
        assert_eq!(passed_on, Some(&b"1"[..]));
        let written = Record {
            headers: result.headers,
            ..request
        };
        let mark = Mark::read(&written).unwrap();
        assert_eq!((mark.latency, mark.requested_unix_ms), (took, Some(1_000)));
        assert_eq!(mark.id, "0f");
    }
}
