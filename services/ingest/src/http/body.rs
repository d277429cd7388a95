//! Reads a request body within its limits: size, pieces, time and the process's byte budget.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpRequest;
use actix_web::body::{BodyStream, MessageBody};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Payload};
use millrace_wire::Status;
use tokio::time::{Instant, timeout_at};

use crate::front::admission::{Full, Reservation};
use crate::front::error::Kind;
use crate::front::{Error, Exchange, RequestLimits};

use super::gzip;

/// A body in more pieces than this, and than one per 160 bytes of the size
/// limit, is an attack by chunks and not a slow network.
const MIN_PIECES_LIMIT: usize = 1024;

/// The content types that a route reads.
#[derive(Debug)]
pub(crate) struct MediaTypes {
    /// In lower case, without parameters; empty for none at all.
    pub(crate) names: &'static [&'static str],
    /// As the refusal of any other names them.
    pub(crate) expected: &'static str,
}

/// No content type means JSON, and so does the form type that `curl -d` sends
/// of itself: TensorFlow Serving never looks, and its users rely on that.
pub(crate) const JSON: MediaTypes = MediaTypes {
    names: &["", "application/json", "application/x-www-form-urlencoded"],
    expected: "application/json in UTF-8",
};

/// Why a body was not read, or is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("request body is larger than the limit of {limit_bytes} bytes{}", Announced(.announced_bytes))]
    TooLarge {
        limit_bytes: usize,
        announced_bytes: Option<u64>,
    },
    #[error("request body decompresses to more than {max_ratio} times its size")]
    Bomb { max_ratio: usize },
    #[error("request body came in more than {limit} pieces")]
    TooManyPieces { limit: usize },
    #[error(
        "request body did not arrive in time: {received_bytes} bytes, then nothing for too long"
    )]
    Stalled { received_bytes: usize },
    #[error("request body is broken: {what}")]
    Broken { what: &'static str },
    #[error(transparent)]
    Full(#[from] Full),
    #[error("content type {given:?} is not supported: expected {expected}")]
    ContentType {
        given: String,
        expected: &'static str,
    },
    #[error("content encoding {given:?} is not supported: {expected}")]
    ContentEncoding {
        given: String,
        expected: &'static str,
    },
    #[error("expectation {given:?} cannot be met: only 100-continue can")]
    Expectation { given: String },
}

struct Announced<'a>(&'a Option<u64>);

impl std::fmt::Display for Announced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(size_bytes) => write!(f, ", Content-Length is {size_bytes}"),
            None => Ok(()),
        }
    }
}

impl BodyError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::TooLarge { .. } => Kind::invalid("body_too_large").over_http(413),
            Self::Bomb { .. } => Kind::invalid("body_bomb").over_http(413),
            Self::TooManyPieces { .. } => Kind::invalid("body_pieces").over_http(413),
            Self::Stalled { .. } => {
                Kind::new(Status::DeadlineExceeded, "body_stalled").over_http(408)
            }
            Self::Broken { .. } => Kind::invalid("body_broken"),
            Self::Full(_) => Kind::busy("in_flight", 1),
            Self::ContentType { .. } => Kind::invalid("content_type").over_http(415),
            Self::ContentEncoding { .. } => Kind::invalid("content_encoding").over_http(415),
            Self::Expectation { .. } => Kind::invalid("expectation").over_http(417),
        }
    }
}

/// Reads the body of a request that was let in; from then on it is in flight.
///
/// # Errors
/// A [`BodyError`] that names the header, if that tells already that the body
/// is of no use; else that the body is too large, too slow, broken, or over the
/// budget of the process.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    types: &MediaTypes,
    exchange: &mut Exchange,
) -> Result<Vec<u8>, Error> {
    let front = exchange.front().clone();
    let limits = &front.limits;
    let encoding = check_headers(request.headers(), types, limits)?;
    let deadline = exchange.deadline();
    let mut body = read_pieces(payload, limits, deadline, exchange.held()).await?;
    if encoding == Encoding::Gzip {
        body = gzip::decompress(&body, limits, exchange.held()).await?;
    }
    exchange.received(body.len())?;
    Ok(body)
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
}

/// Refuses by its headers what cannot be a body of these types: another
/// content type, compressed in an unknown way, an expectation nobody meets, a
/// length over the limit.
fn check_headers(
    headers: &HeaderMap,
    types: &MediaTypes,
    limits: &RequestLimits,
) -> Result<Encoding, BodyError> {
    if let Some(given) = other_than(headers, header::EXPECT, |it| it == "100-continue") {
        return Err(BodyError::Expectation { given });
    }
    let encoding = encoding_of(headers, limits)?;
    if let Some(given) = other_than(headers, header::CONTENT_TYPE, |it| types.take(it)) {
        let expected = types.expected;
        return Err(BodyError::ContentType { given, expected });
    }
    let limit_bytes = limits.body_bytes;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let announced_bytes = length.and_then(|text| text.trim().parse::<u64>().ok());
    match announced_bytes {
        Some(size) if usize::try_from(size).is_ok_and(|size| size <= limit_bytes) => Ok(encoding),
        None => Ok(encoding),
        Some(_) => Err(BodyError::TooLarge {
            limit_bytes,
            announced_bytes,
        }),
    }
}

fn encoding_of(headers: &HeaderMap, limits: &RequestLimits) -> Result<Encoding, BodyError> {
    let plain = other_than(headers, header::CONTENT_ENCODING, |it| it == "identity");
    let Some(given) = plain else {
        return Ok(Encoding::Plain);
    };
    match given.as_str() {
        "gzip" | "x-gzip" if limits.decompressed_bytes > 0 => Ok(Encoding::Gzip),
        _ => {
            let expected = match limits.decompressed_bytes {
                0 => "send the body uncompressed",
                _ => "send the body as gzip or uncompressed",
            };
            Err(BodyError::ContentEncoding { given, expected })
        }
    }
}

/// The given value of a header that is there and not as `accepts` wants it,
/// in lower case and shortened; two headers of one name are never accepted.
fn other_than(
    headers: &HeaderMap,
    name: header::HeaderName,
    accepts: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut values = headers.get_all(name);
    let first = values.next()?;
    let text = String::from_utf8_lossy(first.as_bytes())
        .trim()
        .to_ascii_lowercase();
    let second = values.next();
    if second.is_none() && accepts(&text) {
        return None;
    }
    let given = match second {
        Some(second) => format!("{text}, {}", String::from_utf8_lossy(second.as_bytes())),
        None => text,
    };
    Some(given.chars().take(64).collect())
}

impl MediaTypes {
    /// Whether this value, in lower case, is one of them and in UTF-8.
    fn take(&self, content_type: &str) -> bool {
        let mut parts = content_type.split(';').map(str::trim);
        let known = self.names.contains(&parts.next().unwrap_or_default());
        let utf8 =
            |charset: &str| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii");
        known && parts.all(|part| part.strip_prefix("charset=").is_none_or(utf8))
    }
}

/// Reads the whole body, reserving its bytes as they arrive.
///
/// # Errors
/// A [`BodyError`]: too large, too slow (also when `deadline` passes), broken,
/// or over the process's budget.
async fn read_pieces(
    payload: Payload,
    limits: &RequestLimits,
    deadline: Instant,
    held: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let mut stream = BodyStream::new(payload);
    let mut body = Vec::new();
    let limit_bytes = limits.body_bytes;
    let max_pieces = MIN_PIECES_LIMIT.max(limit_bytes / 160);
    for _ in 0..max_pieces {
        // Most often it is there already, and needs no timer.
        let next = match poll_fn(|context| Poll::Ready(poll_piece(&mut stream, context))).await {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let patience = deadline.min(Instant::now() + limits.silence);
                let arrived = poll_fn(|context| poll_piece(&mut stream, context));
                let next = timeout_at(patience, arrived).await;
                next.map_err(|_| BodyError::Stalled {
                    received_bytes: body.len(),
                })?
            }
        };
        let Some(piece) = next else { return Ok(body) };
        let piece = piece?;
        if piece.len() > limit_bytes - body.len() {
            return Err(BodyError::TooLarge {
                limit_bytes,
                announced_bytes: None,
            });
        }
        held.grow(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Err(BodyError::TooManyPieces { limit: max_pieces })
}

fn poll_piece(
    stream: &mut BodyStream<Payload>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, BodyError>>> {
    let broken = |error| BodyError::Broken {
        what: what_broke(&error),
    };
    let polled = Pin::new(stream).poll_next(context);
    polled.map(|piece| piece.map(|piece| piece.map_err(broken)))
}

/// The HTTP library reports malformed chunks as it does a lost connection.
fn what_broke(error: &PayloadError) -> &'static str {
    match error {
        PayloadError::EncodingCorrupted => "its chunks are malformed",
        _ => "it ended before it was complete, or its chunks are malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use actix_web::http::header::HeaderValue;

    fn limits(decompressed_bytes: usize) -> RequestLimits {
        RequestLimits {
            body_bytes: 100,
            decompressed_bytes,
            ..RequestLimits::of(&Settings::default())
        }
    }

    fn check(pairs: &[(header::HeaderName, &'static str)], refusal: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        let given = check_headers(&headers, &JSON, &limits(1000))
            .err()
            .map(|error| error.to_string());
        assert_eq!(given.as_deref(), refusal, "{pairs:?}");
    }

    #[test]
    fn json_is_accepted_under_every_name_its_callers_use() {
        check(&[], None);
        for json in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/x-www-form-urlencoded",
        ] {
            check(&[(header::CONTENT_TYPE, json)], None);
        }
    }

    #[test]
    fn other_content_types_are_named_in_the_refusal() {
        for other in [
            "text/plain",
            "application/json; charset=utf-16",
            "application/jsonx",
        ] {
            let sentence = format!(
                "content type {other:?} is not supported: expected application/json in UTF-8"
            );
            check(&[(header::CONTENT_TYPE, other)], Some(&sentence));
        }
        let two = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_TYPE, "application/json"),
        ];
        check(
            &two,
            Some(
                "content type \"application/json, application/json\" is not supported: expected \
                 application/json in UTF-8",
            ),
        );
    }

    #[test]
    fn gzip_is_read_unless_nothing_may_be_decompressed() {
        let gzip =
            HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        let read = check_headers(&gzip, &JSON, &limits(1000));
        assert_eq!(read.unwrap(), Encoding::Gzip);
        let refused = check_headers(&gzip, &JSON, &limits(0)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "content encoding \"gzip\" is not supported: send the body uncompressed"
        );
    }

    #[test]
    fn other_compression_and_strange_expectations_are_refused() {
        check(&[(header::CONTENT_ENCODING, "identity")], None);
        check(
            &[(header::CONTENT_ENCODING, "br, gzip")],
            Some(
                "content encoding \"br, gzip\" is not supported: send the body as gzip or \
                 uncompressed",
            ),
        );
        check(&[(header::EXPECT, "100-Continue")], None);
        check(
            &[(header::EXPECT, "bogus")],
            Some("expectation \"bogus\" cannot be met: only 100-continue can"),
        );
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_reading() {
        check(&[(header::CONTENT_LENGTH, "100")], None);
        let refusal = "request body is larger than the limit of 100 bytes, Content-Length is 101";
        check(&[(header::CONTENT_LENGTH, "101")], Some(refusal));
        let huge = "request body is larger than the limit of 100 bytes, Content-Length is \
                    18446744073709551615";
        check(
            &[(header::CONTENT_LENGTH, "18446744073709551615")],
            Some(huge),
        );
    }
}
