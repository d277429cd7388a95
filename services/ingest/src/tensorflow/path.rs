//! Reads the paths of TensorFlow Serving: which model, which version, what to do.

use crate::front::{Target, Wanted};
use crate::http::segment::{SegmentError, name_of, shortened, version_of};

/// Every path begins like this, in any case.
const MODELS: &str = "/v1/models";

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
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("verb {given:?} in the path is unknown: expected predict, classify or regress")]
    Verb { given: String },
    #[error(
        "no such path: expected /v1/models/MODEL, then /versions/NUMBER or /labels/LABEL if you \
         like, then :predict, /metadata or nothing"
    )]
    Shape,
}

impl ModelPath {
    /// Parses a raw (still percent-encoded) path: decoding is ours, so that no
    /// name is decoded twice. Words of the protocol may have any case.
    ///
    /// # Errors
    /// A [`PathError`] that names what is wrong.
    pub(crate) fn parse(path: &str) -> Result<Self, PathError> {
        let tail = match path.split_at_checked(MODELS.len()) {
            Some((models, "")) if models.eq_ignore_ascii_case(MODELS) => "",
            Some((models, tail)) if models.eq_ignore_ascii_case(MODELS) => {
                tail.strip_prefix('/').ok_or(PathError::Shape)?
            }
            _ => return Err(PathError::Shape),
        };
        let (path, verb) = match tail.rsplit_once(':') {
            Some((path, verb)) if !verb.contains('/') => (path, Some(verb)),
            _ => (tail, None),
        };
        let mut segments: Vec<&str> = path.split('/').collect();
        let last = segments.last().copied().unwrap_or_default();
        let action = match verb {
            Some(verb) => action_of(verb)?,
            None if segments.len() > 1 && last.eq_ignore_ascii_case("metadata") => {
                segments.pop();
                Action::Metadata
            }
            None => Action::Status,
        };
        Ok(Self {
            target: target_of(&segments)?,
            action,
        })
    }
}

fn target_of(segments: &[&str]) -> Result<Target, PathError> {
    let (model, wanted) = match *segments {
        [""] => return Err(PathError::NoModel),
        [model] => (model, Wanted::Latest),
        [model, word, version] if word.eq_ignore_ascii_case("versions") => {
            (model, Wanted::Version(version_of(version)?))
        }
        [model, word, label] if word.eq_ignore_ascii_case("labels") => {
            (model, Wanted::Label(name_of("label", label)?))
        }
        _ => return Err(PathError::Shape),
    };
    let model = name_of("model name", model)?;
    Ok(Target { model, wanted })
}

fn action_of(verb: &str) -> Result<Action, PathError> {
    match verb.to_ascii_lowercase().as_str() {
        // Which of the two it is concerns the end of the request only.
        "predict" | "predictasync" => Ok(Action::Predict),
        "classify" => Ok(Action::Classify),
        "regress" => Ok(Action::Regress),
        _ => Err(PathError::Verb {
            given: shortened(verb),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tail: &str) -> Result<ModelPath, PathError> {
        ModelPath::parse(&format!("/v1/models/{tail}"))
    }

    fn check(tail: &str, model: &str, wanted: Wanted, action: Action) {
        let model = model.to_owned();
        let expected = ModelPath {
            target: Target { model, wanted },
            action,
        };
        assert_eq!(parse(tail), Ok(expected), "{tail}");
    }

    #[test]
    fn every_documented_path_is_understood() {
        check("m:predict", "m", Wanted::Latest, Action::Predict);
        check("m:classify", "m", Wanted::Latest, Action::Classify);
        check("m:regress", "m", Wanted::Latest, Action::Regress);
        let seven = || Wanted::Version(7);
        check("m/versions/7:predict", "m", seven(), Action::Predict);
        let stable = || Wanted::Label("stable".into());
        check("m/labels/stable:predict", "m", stable(), Action::Predict);
        check("m", "m", Wanted::Latest, Action::Status);
        check("m/versions/7", "m", seven(), Action::Status);
        check("m/metadata", "m", Wanted::Latest, Action::Metadata);
        check("m/versions/7/metadata", "m", seven(), Action::Metadata);
        check("m/labels/stable/metadata", "m", stable(), Action::Metadata);
        check("a%5Fb", "a_b", Wanted::Latest, Action::Status);
        check("metadata", "metadata", Wanted::Latest, Action::Status);
    }

    #[test]
    fn words_of_the_protocol_have_any_case_and_names_their_own() {
        let path = ModelPath::parse("/V1/Models/M/Labels/Stable:PREDICT").unwrap();
        assert_eq!(path.target.model, "M");
        assert_eq!(path.target.wanted, Wanted::Label("Stable".into()));
        assert_eq!(path.action, Action::Predict);
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
            assert_eq!(parse(tail), Err(PathError::Shape), "{tail}");
        }
        for path in ["/v1/model", "/v1/modelsx", "/v1/models:predict", "/v1/ü"] {
            assert_eq!(ModelPath::parse(path), Err(PathError::Shape), "{path}");
        }
        assert_eq!(parse(""), Err(PathError::NoModel));
        assert_eq!(parse(":predict"), Err(PathError::NoModel));
        assert_eq!(ModelPath::parse("/v1/models"), Err(PathError::NoModel));
    }

    #[test]
    fn an_unknown_verb_is_named_and_shortened() {
        let error = parse("m:explode").unwrap_err();
        assert_eq!(
            error.to_string(),
            "verb \"explode\" in the path is unknown: expected predict, classify or regress"
        );
        let long = parse(&format!("m:{}", "x".repeat(4096))).unwrap_err();
        assert!(long.to_string().len() < 128);
    }
}
