//! Headers of a request record.

use std::fmt;

use super::values::{Room, Values, bad_value, push};
use super::{
    ARROW_STREAM, CONTENT_TYPE, DEADLINE, HeaderError, ID, LABEL, Pair, REPLY_TO, SIGNATURE,
    TRACEPARENT, TRACESTATE, VERSION,
};

/// What a request asks for beside its value; everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// Correlation and idempotency id.
    pub id: Option<String>,
    /// Where the answer should go besides the results topic.
    pub reply_to: Option<ReplyTo>,
    /// What was wrong with the reply address: the request is served all the same, but not replied to.
    pub reply_to_error: Option<HeaderError>,
    /// Unix milliseconds after which nobody waits for the answer.
    pub deadline_unix_ms: Option<u64>,
    /// The model version, at least 0; excludes `label`.
    pub version: Option<i64>,
    /// The label of a model version; excludes `version`.
    pub label: Option<String>,
    /// The name of a signature of the model.
    pub signature: Option<String>,
    /// W3C trace context, unchecked.
    pub traceparent: Option<String>,
    /// W3C trace context, vendors' part, unchecked.
    pub tracestate: Option<String>,
}

/// One partition of a topic of replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// A valid Kafka topic name.
    pub topic: String,
    /// At least 0.
    pub partition: i32,
}

const NAMES: [&str; 9] = [
    ID,
    REPLY_TO,
    DEADLINE,
    VERSION,
    LABEL,
    SIGNATURE,
    TRACEPARENT,
    TRACESTATE,
    CONTENT_TYPE,
];

impl RequestHeaders {
    /// Reads the headers of a record; those that are not ours are ignored.
    pub fn parse<'a>(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, HeaderError> {
        let values = Values::collect(NAMES, headers, Room::default())?;
        values.check_content_type()?;
        let (reply_to, reply_to_error) = match parse_reply_to(&values) {
            Ok(reply_to) => (reply_to, None),
            Err(error) => (None, Some(error)),
        };
        let version: Option<i64> = values.number(VERSION, VERSION_RANGE)?;
        let label = values.text(LABEL)?;
        if let Some(version @ i64::MIN..0) = version {
            let given = version.to_string();
            return Err(bad_value(VERSION, VERSION_RANGE, Some(given.as_bytes())));
        }
        if let (Some(_), Some(label)) = (version, &label) {
            let expected = "absent where mr-version is given";
            return Err(bad_value(LABEL, expected, Some(label.as_bytes())));
        }
        Ok(Self {
            id: values.text(ID)?,
            reply_to,
            reply_to_error,
            deadline_unix_ms: values.number(DEADLINE, "Unix milliseconds")?,
            version,
            label,
            signature: values.text(SIGNATURE)?,
            traceparent: values.lenient(TRACEPARENT),
            tracestate: values.lenient(TRACESTATE),
        })
    }

    /// The headers to write, the content type included.
    pub fn to_pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(NAMES.len());
        push(&mut pairs, CONTENT_TYPE, Some(ARROW_STREAM));
        push(&mut pairs, ID, self.id.as_ref());
        push(&mut pairs, REPLY_TO, self.reply_to.as_ref());
        push(&mut pairs, DEADLINE, self.deadline_unix_ms);
        push(&mut pairs, VERSION, self.version);
        push(&mut pairs, LABEL, self.label.as_ref());
        push(&mut pairs, SIGNATURE, self.signature.as_ref());
        push(&mut pairs, TRACEPARENT, self.traceparent.as_ref());
        push(&mut pairs, TRACESTATE, self.tracestate.as_ref());
        pairs
    }
}

const VERSION_RANGE: &str = "a number of 0 to 9223372036854775807";

fn parse_reply_to<const N: usize>(values: &Values<'_, N>) -> Result<Option<ReplyTo>, HeaderError> {
    let Some(text) = values.utf8(REPLY_TO)? else {
        return Ok(None);
    };
    let reply_to = text.split_once('/').and_then(|(topic, partition)| {
        let partition = partition.parse().ok().filter(|&number| number >= 0)?;
        is_topic(topic).then(|| ReplyTo {
            topic: topic.to_owned(),
            partition,
        })
    });
    match reply_to {
        Some(reply_to) => Ok(Some(reply_to)),
        None => Err(bad_value(
            REPLY_TO,
            "topic/partition",
            Some(text.as_bytes()),
        )),
    }
}

/// Whether Kafka would take this as the name of a topic.
pub(super) fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

impl fmt::Display for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
