//! Parts of paths, queries and headers that operations have in common.

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;

/// Every parameter that [`parameter`] knows.
const PARAMETERS: [&str; 9] = [
    "model",
    "version",
    "label",
    "location",
    "wait",
    "Request-Timeout",
    "Idempotency-Key",
    "Prefer",
    "Inference-Header-Content-Length",
];

/// A word of visible ASCII characters, or a quoted string (RFC 8941), of at most 255 of them; as
/// `later::wish` reads it.
const KEY: &str = r#"^([!#-+\-.-:<-\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#;

/// A part of a path, a query or a header that operations have in common.
pub(super) struct Known {
    pub(super) place: ParameterIn,
    pub(super) about: &'static str,
    pub(super) shape: Value,
    pub(super) example: Option<Value>,
}

/// What is known of a parameter.
pub(super) fn parameter(name: &str) -> Known {
    let name_of_model =
        json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_-]+$"});
    let key = json!({"type": "string", "minLength": 1, "maxLength": 512, "pattern": KEY});
    let count = json!({"type": "integer", "format": "int64", "minimum": 0});
    let (path, header) = (ParameterIn::Path, ParameterIn::Header);
    let (place, about, shape, example) = match name {
        "model" => (
            path,
            "The model's name.",
            name_of_model,
            Some(json!("digits")),
        ),
        "version" => (path, "The version, a whole number.", count, Some(json!(1))),
        "label" => (path, "A version by its label.", name_of_model, None),
        "location" => (
            path,
            "The last part of the Location that the 202 named.",
            json!({"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z0-9-]+$"}),
            None,
        ),
        "wait" => (
            ParameterIn::Query,
            "How long to wait for the result, in whole seconds.",
            json!({"type": "string", "pattern": "^[0-9]{1,3}s?$"}),
            None,
        ),
        "Request-Timeout" => (
            header,
            "Seconds that the caller is willing to wait; never more than the setting request_timeout.",
            json!({"type": "number", "exclusiveMinimum": 0}),
            None,
        ),
        "Idempotency-Key" => (
            header,
            "A name under which the same request may be sent again without being done again: a quoted string of visible ASCII characters, or a word of them.",
            key,
            None,
        ),
        "Prefer" => (
            header,
            "respond-async answers 202 at once, with the Location of the result; what is not known is ignored (RFC 7240).",
            json!({"type": "string"}),
            Some(json!("respond-async, wait=1")),
        ),
        _ => (
            header,
            "Bytes of JSON before the binary tensors of the body.",
            count,
            None,
        ),
    };
    Known {
        place,
        about,
        shape,
        example,
    }
}

/// The shapes of all parameters, by the names of the shapes.
pub(super) fn all() -> impl Iterator<Item = (String, Value)> {
    PARAMETERS
        .iter()
        .map(|name| (of_parameter(name), parameter(name).shape))
}

/// The name of a parameter's shape.
pub(super) fn of_parameter(name: &str) -> String {
    format!("Parameter.{name}")
}
