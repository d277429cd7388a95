//! The headers of records: their names, and the values that we read from and write into them.

mod claim;
mod request;
mod result;
mod values;

pub use claim::{Claim, MAX_CLAIM_PATH_BYTES, is_claim_path};
pub use request::{ReplyTo, RequestHeaders};
pub use result::{ResultHeaders, ResultHeadersRef, Source, SourceRef};

/// Correlation and idempotency id; the record's coordinates where it is absent.
pub const ID: &str = "mr-id";
/// Where the answer should go besides the results topic: `topic/partition`.
pub const REPLY_TO: &str = "mr-reply-to";
/// Whoever asks wants the reply and nothing else: there is neither a result nor a dead letter. Needs
/// a usable [`REPLY_TO`], else it says nothing.
pub const REPLY_ONLY: &str = "mr-reply-only";
/// Unix milliseconds after which nobody waits for the answer.
pub const DEADLINE: &str = "mr-deadline";
/// The model version, as a decimal number.
pub const VERSION: &str = "mr-version";
/// The label of a model version, such as `stable`.
pub const LABEL: &str = "mr-label";
/// The name of a signature of the model.
pub const SIGNATURE: &str = "mr-signature";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, vendors' part.
pub const TRACESTATE: &str = "tracestate";
/// The media type of the value; [`ARROW_STREAM`] where it is absent.
pub const CONTENT_TYPE: &str = "content-type";
/// The model that answered.
pub const MODEL: &str = "mr-model";
/// The outcome: a name of [`crate::Status`].
pub const STATUS: &str = "mr-status";
/// Why there is no result, as a sentence.
pub const ERROR: &str = "mr-error";
/// How often the record was tried before it was written again: a decimal number.
pub const ATTEMPTS: &str = "mr-attempts";
/// Of a note beside a dead letter: the letter `partition@offset` was written back.
pub const REQUEUED: &str = "mr-requeued";
/// The request's coordinates: `topic/partition/offset`.
pub const SOURCE: &str = "mr-source";
/// Of a replay's results: its id, how long the answer took, and the time of the request.
pub const REPLAY: &str = "mr-replay";
/// SHA-256 of the weights that answered, in hexadecimal digits.
pub const WEIGHTS_SHA256: &str = "mr-weights-sha256";

/// Where in the line's store the value lies that the record does not have itself; see [`Claim`].
pub const CLAIM: &str = "mr-claim";
/// Bytes of the value in the store: a decimal number.
pub const CLAIM_LENGTH: &str = "mr-claim-length";
/// SHA-256 of the value in the store, in hexadecimal digits.
pub const CLAIM_SHA256: &str = "mr-claim-sha256";

/// The media type of an Arrow IPC stream, the only one a record can have.
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// The most headers of one record.
pub const MAX_HEADERS: usize = 64;
/// The most bytes of names and values of one record's headers together.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// The most bytes of an id, a label, a signature name or a model name.
pub const MAX_TEXT_BYTES: usize = 512;
/// The most bytes of an error sentence.
pub const MAX_ERROR_BYTES: usize = 512;

/// A header as it goes into a record.
pub type Pair = (&'static str, Vec<u8>);

/// Why headers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More headers than [`MAX_HEADERS`].
    #[error("record has {given} headers, more than the limit of {MAX_HEADERS}")]
    TooMany {
        /// How many there are.
        given: usize,
    },
    /// More bytes than [`MAX_HEADER_BYTES`].
    #[error("record has {given} bytes of headers, more than the limit of {MAX_HEADER_BYTES}")]
    TooLarge {
        /// How many bytes there are.
        given: usize,
    },
    /// A header that we read occurs more than once.
    #[error("header {name} occurs more than once")]
    Duplicate {
        /// The header.
        name: &'static str,
    },
    /// A header that must be there is not.
    #[error("header {name} is missing")]
    Missing {
        /// The header.
        name: &'static str,
    },
    /// A value that the header cannot have.
    #[error("header {name} must be {expected}, got {given}")]
    Value {
        /// The header.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is, shortened to 64 bytes.
        given: String,
    },
}
