//! Reads the part of a URL after `/v1/models/`: which model, which version, what to do.

use millrace_wire::Status;

use crate::front::error::Kind;
use crate::front::{Target, Wanted};

/// Long enough for any name that fits a Kafka topic together with its prefix.
const MAX_NAME_BYTES: usize = 150;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Predict,
    Classify,
    Regress,
    Status,
    Metadata,
}

/// A well-formed model path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelPath {
    pub(crate) target: Target,
    pub(crate) action: Action,
}

/// Why a path is not a model path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("Missing model name in request.")]
    NoModel,
    #[error("{what} in the path is not percent-encoded UTF-8")]
    Encoding { what: &'static str },
    #[error("{what} in the path has {size_bytes} bytes, at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        what: &'static str,
        size_bytes: usize,
    },
    #[error(
        "{what} {given:?} in the path is not a name: letters, digits, '.', '_' and '-' are allowed"
    )]
    Name { what: &'static str, given: String },
    #[error("version in the path is not a number from 0 to 9223372036854775807, but {given:?}")]
    Version { given: String },
    #[error("verb {given:?} in the path is unknown: expected predict, classify or regress")]
    Verb { given: String },
    #[error(
        "no such path: expected /v1/models/MODEL, then /versions/NUMBER or /labels/LABEL if you \
         like, then :predict, /metadata or nothing"
    )]
    Shape,
}

impl PathError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Shape => Kind::new(Status::NotFound, "path"),
            _ => Kind::invalid("path"),
        }
    }
}

impl ModelPath {
    /// Parses the raw (still percent-encoded) rest of a path after `/v1/models/`.
    ///
    /// # Errors
    /// A [`PathError`] that names what is wrong.
    pub(crate) fn parse(tail: &str) -> Result<Self, PathError> {
        let (path, verb) = match tail.rsplit_once(':') {
            Some((path, verb)) if !verb.contains('/') => (path, Some(verb)),
            _ => (tail, None),
        };
        let mut segments: Vec<&str> = path.split('/').collect();
        let action = match verb {
            Some(verb) => action_of(verb)?,
            None if segments.len() > 1 && segments.last() == Some(&"metadata") => {
                segments.pop();
                Action::Metadata
            }
            None => Action::Status,
        };
        let (model, wanted) = match segments[..] {
            [""] => return Err(PathError::NoModel),
            [model] => (model, Wanted::Latest),
            [model, "versions", version] => (model, Wanted::Version(version_of(version)?)),
            [model, "labels", label] => (model, Wanted::Label(name_of("label", label)?)),
            _ => return Err(PathError::Shape),
        };
        let model = name_of("model name", model)?;
        Ok(Self {
            target: Target { model, wanted },
            action,
        })
    }
}

fn action_of(verb: &str) -> Result<Action, PathError> {
    match verb {
        "predict" => Ok(Action::Predict),
        "classify" => Ok(Action::Classify),
        "regress" => Ok(Action::Regress),
        _ => Err(PathError::Verb {
            given: shortened(verb),
        }),
    }
}

fn version_of(segment: &str) -> Result<i64, PathError> {
    let digits = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    match segment.parse() {
        Ok(version) if digits => Ok(version),
        _ => Err(PathError::Version {
            given: shortened(segment),
        }),
    }
}

/// Decodes a name and holds it to the characters that topic names allow, so
/// that no name can reach outside its topic or mean something to a file system.
fn name_of(what: &'static str, segment: &str) -> Result<String, PathError> {
    let name = percent_decoded(segment).ok_or(PathError::Encoding { what })?;
    if name.len() > MAX_NAME_BYTES {
        return Err(PathError::TooLong {
            what,
            size_bytes: name.len(),
        });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let only_dots = name.bytes().all(|byte| byte == b'.');
    if only_dots || !name.bytes().all(allowed) {
        return Err(PathError::Name {
            what,
            given: shortened(&name),
        });
    }
    Ok(name)
}

/// `None` for a broken escape or for bytes that are not UTF-8.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// Callers' text is never echoed beyond this many characters.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tail: &str, model: &str, wanted: Wanted, action: Action) {
        let model = model.to_owned();
        let expected = ModelPath {
            target: Target { model, wanted },
            action,
        };
        assert_eq!(ModelPath::parse(tail), Ok(expected), "{tail}");
    }

    #[test]
    fn every_documented_path_is_understood() {
        check("m:predict", "m", Wanted::Latest, Action::Predict);
        check("m:classify", "m", Wanted::Latest, Action::Classify);
        check("m:regress", "m", Wanted::Latest, Action::Regress);
        check(
            "m/versions/7:predict",
            "m",
            Wanted::Version(7),
            Action::Predict,
        );
        check(
            "m/labels/stable:predict",
            "m",
            Wanted::Label("stable".into()),
            Action::Predict,
        );
        check("m", "m", Wanted::Latest, Action::Status);
        check("m/versions/0", "m", Wanted::Version(0), Action::Status);
        check("m/metadata", "m", Wanted::Latest, Action::Metadata);
        check(
            "m/versions/7/metadata",
            "m",
            Wanted::Version(7),
            Action::Metadata,
        );
        check(
            "m/labels/a/metadata",
            "m",
            Wanted::Label("a".into()),
            Action::Metadata,
        );
        check(
            "half%5Fplus%5ftwo",
            "half_plus_two",
            Wanted::Latest,
            Action::Status,
        );
        check("metadata", "metadata", Wanted::Latest, Action::Status);
    }

    #[test]
    fn a_name_that_is_no_topic_name_is_refused() {
        for tail in [
            "..",
            ".",
            "%2e%2e",
            "a%2fb",
            "a%00",
            "a%20b",
            "a%3Apredict",
            "%C3%A9",
        ] {
            let error = ModelPath::parse(tail).unwrap_err();
            assert!(matches!(error, PathError::Name { .. }), "{tail}: {error:?}");
        }
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for tail in ["%", "a%2", "%zz", "%ff%fe", "%+1"] {
            let error = ModelPath::parse(tail).unwrap_err();
            assert_eq!(error, PathError::Encoding { what: "model name" }, "{tail}");
        }
    }

    #[test]
    fn a_path_of_another_shape_is_refused() {
        for tail in [
            "../m",
            "a//b",
            "/a",
            "a/",
            "a/versions",
            "a/b/c/d",
            "a/versions/1/x",
            "//",
        ] {
            assert_eq!(ModelPath::parse(tail), Err(PathError::Shape), "{tail}");
        }
        assert_eq!(ModelPath::parse(""), Err(PathError::NoModel));
        assert_eq!(ModelPath::parse(":predict"), Err(PathError::NoModel));
    }

    #[test]
    fn a_version_is_a_number_that_fits() {
        for version in ["abc", "-1", "+1", "", "1.0", "99999999999999999999", "%31"] {
            let error = ModelPath::parse(&format!("m/versions/{version}:predict")).unwrap_err();
            assert!(
                matches!(error, PathError::Version { .. }),
                "{version}: {error:?}"
            );
        }
        check(
            "m/versions/9223372036854775807",
            "m",
            Wanted::Version(i64::MAX),
            Action::Status,
        );
    }

    #[test]
    fn an_unknown_verb_is_named_and_shortened() {
        let error = ModelPath::parse("m:explode").unwrap_err();
        assert_eq!(
            error.to_string(),
            "verb \"explode\" in the path is unknown: expected predict, classify or regress"
        );
        let long = ModelPath::parse(&format!("m:{}", "x".repeat(4096))).unwrap_err();
        assert!(long.to_string().len() < 128);
    }

    #[test]
    fn a_very_long_name_is_refused_without_echo() {
        let error = ModelPath::parse(&"x".repeat(4096)).unwrap_err();
        assert_eq!(
            error,
            PathError::TooLong {
                what: "model name",
                size_bytes: 4096
            }
        );
    }
}
