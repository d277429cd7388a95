//! Which model a message means: its name, and its version as text, as a number or as a label.

use millrace_wire::protobuf::{InferHead, PredictHead, VersionChoice};

use crate::front::clock::unix_ms;
use crate::front::{Error, Target, Wanted};

use super::error::GrpcError;
use super::seen::Seen;

/// Long enough for any name that fits a Kafka topic together with its prefix.
const MAX_NAME_BYTES: usize = 150;

/// The longest text that is repeated, in characters.
const MAX_ECHO: usize = 32;

/// The only signature a model has, in TensorFlow Serving's words.
pub(super) const SIGNATURE_NAME: &str = "serving_default";

/// The target of a name and a version as the Open Inference Protocol gives them: an empty version is
/// the newest, an empty name the default model or the only one.
///
/// # Errors
/// A name that cannot be a model's, a version that is no number.
pub(super) fn by_text(seen: &Seen, name: &str, version: &str) -> Result<Target, Error> {
    let wanted = match version {
        "" => Wanted::Latest,
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => {
            let number = digits.parse().map_err(|_| bad_version(digits))?;
            Wanted::Version(number)
        }
        other => return Err(bad_version(other).into()),
    };
    by_name(seen, name, wanted)
}

/// The target of a `ModelInferRequest`.
///
/// # Errors
/// As [`by_text`].
pub(super) fn of_infer(seen: &Seen, head: &InferHead) -> Result<Target, Error> {
    by_text(seen, &head.model_name, &head.model_version)
}

/// The target of a `ModelSpec`.
///
/// # Errors
/// As [`by_text`], and a signature other than the only one there is.
pub(super) fn of_spec(seen: &Seen, head: &PredictHead) -> Result<Target, Error> {
    let signature = head.signature_name.as_str();
    if !matches!(signature, "" | SIGNATURE_NAME) {
        let given = shortened(signature);
        return Err(GrpcError::SignatureName { given }.into());
    }
    let wanted = match &head.version {
        VersionChoice::Latest => Wanted::Latest,
        VersionChoice::Version(version) if *version < 0 => {
            return Err(bad_version(&version.to_string()).into());
        }
        // OpenVINO's clients write 0 for the newest.
        VersionChoice::Version(0) if !has_version_0(seen, &head.model) => Wanted::Latest,
        VersionChoice::Version(version) => Wanted::Version(*version),
        VersionChoice::Label(label) => {
            check_name(label)?;
            Wanted::Label(label.clone())
        }
    };
    by_name(seen, &head.model, wanted)
}

fn has_version_0(seen: &Seen, model: &str) -> bool {
    let versions = seen
        .front
        .catalog
        .versions(model, &Wanted::Version(0), unix_ms());
    versions.is_ok()
}

fn by_name(seen: &Seen, name: &str, wanted: Wanted) -> Result<Target, Error> {
    if name.is_empty() {
        let model = seen.front.default_target(seen.caller())?.model;
        return Ok(Target { model, wanted });
    }
    check_name(name)?;
    Ok(Target {
        model: name.to_owned(),
        wanted,
    })
}

/// Holds a name to the characters that topic names allow, so that no name can
/// reach outside its topic or mean something to a file system.
fn check_name(name: &str) -> Result<(), GrpcError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let only_dots = name.bytes().all(|byte| byte == b'.');
    if name.len() > MAX_NAME_BYTES || only_dots || !name.bytes().all(allowed) {
        let given = shortened(name);
        return Err(GrpcError::ModelName { given });
    }
    Ok(())
}

fn bad_version(given: &str) -> GrpcError {
    let given = shortened(given);
    GrpcError::Version { given }
}

/// Callers' text is never echoed beyond this.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}
