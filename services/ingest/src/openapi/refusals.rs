//! Every refusal there is, by status; `docs/errors.md` says when each is given.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::{ContentBuilder, Ref, Response, ResponseBuilder};

use super::schemas;

/// To a question that is only looked up.
pub(super) const READ: &[u16] = &[400, 401, 403, 404, 431, 503];
/// To a request for a prediction.
pub(super) const PREDICT: &[u16] = &[
    400, 401, 403, 404, 408, 409, 413, 415, 417, 422, 429, 431, 499, 500, 501, 502, 503, 504,
];

/// The name of a refusal's description, and what it means.
const ALL: [(u16, &str, &str); 20] = [
    (
        400,
        "BadRequest",
        "The request is not what it must be; the sentence names the field.",
    ),
    (
        401,
        "Unauthorized",
        "No credentials, or none that are valid.",
    ),
    (
        403,
        "Forbidden",
        "The caller may not do this with this model, or nobody may.",
    ),
    (
        404,
        "NotFound",
        "No such path, model, version, label or result.",
    ),
    (408, "RequestTimeout", "The body did not arrive in time."),
    (
        409,
        "Conflict",
        "A request with this Idempotency-Key is still being worked on.",
    ),
    (410, "Gone", "The result is no longer kept."),
    (
        413,
        "ContentTooLarge",
        "A limit on sizes is passed; the sentence names it.",
    ),
    (
        415,
        "UnsupportedMediaType",
        "Another Content-Type or Content-Encoding than those described.",
    ),
    (
        417,
        "ExpectationFailed",
        "Another Expect than 100-continue.",
    ),
    (
        422,
        "UnprocessableContent",
        "The Idempotency-Key was used with another request.",
    ),
    (
        429,
        "TooManyRequests",
        "This caller asks too often, or the model is too far behind.",
    ),
    (
        431,
        "RequestHeaderFieldsTooLarge",
        "More headers than the limit, or larger ones.",
    ),
    (499, "Cancelled", "The request was cancelled."),
    (
        500,
        "InternalServerError",
        "The model failed, or ingest has a fault.",
    ),
    (
        501,
        "NotImplemented",
        "Known to the protocol, not offered here.",
    ),
    (502, "BadGateway", "The reply of infer cannot be read."),
    (
        503,
        "ServiceUnavailable",
        "Try again after the time that Retry-After says.",
    ),
    (504, "GatewayTimeout", "No answer before the deadline."),
    (405, "MethodNotAllowed", "Allow names the methods that are."),
];

/// The name under which a status is described.
pub(super) fn name(status: u16) -> &'static str {
    let found = ALL.iter().find(|(known, ..)| *known == status);
    found
        .map(|(_, name, _)| *name)
        .expect("every status that is named is in the table")
}

/// All descriptions by name.
pub(super) fn all() -> impl Iterator<Item = (&'static str, Response)> {
    ALL.iter()
        .map(|(status, name, means)| (*name, describe(*status, means)))
}

fn describe(status: u16, means: &str) -> Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Refusal")))
        .build();
    let mut response =
        with_id(ResponseBuilder::new().description(means)).content("application/json", content);
    let extra = match status {
        401 => Some(("WWW-Authenticate", "What to authenticate with (RFC 6750).")),
        405 => Some(("Allow", "The methods that are allowed.")),
        429 | 503 => Some(("Retry-After", "Seconds until another try may help.")),
        _ => None,
    };
    if let Some((name, about)) = extra {
        response = response.header(name, header(name, about));
    }
    response.build()
}

fn header(name: &str, about: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(Ref::from_schema_name(schemas::of_header(name))))
        .description(Some(about))
        .build()
}

/// Every answer has an id.
pub(super) fn with_id(response: ResponseBuilder) -> ResponseBuilder {
    let about = "The caller's own id, or the id of the record.";
    response.header("x-request-id", header("x-request-id", about))
}
