//! Reads the part of a URL after `/v2`: what it asks about, and which model.

use super::error::OipError;
use crate::front::control::Verb;
use crate::front::{Target, Wanted};
use crate::http::segment::{name_of, version_of};

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Api {
    Server,
    Live,
    Ready,
    Models,
    AllStatistics,
    Model(Target, ModelApi),
    Index,
    Control(Target, Verb),
    /// Of the whole server, or of one model.
    Trace,
    Logging,
    /// Regions of shared memory that are registered.
    SharedMemory,
}

/// What a path asks about one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelApi {
    Metadata,
    Ready,
    Config,
    Statistics,
    Infer,
}

impl Api {
    /// Parses the raw (still percent-encoded) rest of a path after `/v2`; `None` where nothing stands.
    ///
    /// # Errors
    /// A name or a version that is none.
    pub(super) fn parse(tail: &str) -> Result<Option<Self>, OipError> {
        if tail.is_empty() {
            return Ok(Some(Self::Server));
        }
        let segments: Vec<&str> = tail.strip_prefix('/').unwrap_or(tail).split('/').collect();
        Ok(Some(match segments[..] {
            ["health", "live"] => Self::Live,
            ["health", "ready"] => Self::Ready,
            ["models"] => Self::Models,
            ["models", "stats"] => Self::AllStatistics,
            ["models", model, "versions", version, ref rest @ ..] => {
                let wanted = Wanted::Version(version_of(version)?);
                return of_model(model, wanted, rest);
            }
            ["models", model, ref rest @ ..] => return of_model(model, Wanted::Latest, rest),
            ["repository", "index"] => Self::Index,
            ["repository", "models", model, "load"] => {
                Self::Control(target(model, Wanted::Latest)?, Verb::Load)
            }
            ["repository", "models", model, "unload"] => {
                Self::Control(target(model, Wanted::Latest)?, Verb::Unload)
            }
            ["trace", "setting"] => Self::Trace,
            ["logging"] => Self::Logging,
            ["systemsharedmemory" | "cudasharedmemory", "status"] => Self::SharedMemory,
            _ => return Ok(None),
        }))
    }
}

fn target(model: &str, wanted: Wanted) -> Result<Target, OipError> {
    Ok(Target {
        model: name_of("model name", model)?,
        wanted,
    })
}

fn of_model(model: &str, wanted: Wanted, rest: &[&str]) -> Result<Option<Api>, OipError> {
    let asked = match rest {
        [] => ModelApi::Metadata,
        ["ready"] => ModelApi::Ready,
        ["config"] => ModelApi::Config,
        ["stats"] => ModelApi::Statistics,
        // `predict` is for who posts Arrow and finds no inference in the word.
        ["infer" | "predict"] => ModelApi::Infer,
        ["trace", "setting"] => {
            target(model, wanted)?;
            return Ok(Some(Api::Trace));
        }
        _ => return Ok(None),
    };
    Ok(Some(Api::Model(target(model, wanted)?, asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tail: &str, expected: Option<Api>) {
        assert_eq!(Api::parse(tail).unwrap(), expected, "{tail}");
    }

    fn of(model: &str, wanted: Wanted, asked: ModelApi) -> Option<Api> {
        let model = model.to_owned();
        Some(Api::Model(Target { model, wanted }, asked))
    }

    #[test]
    fn every_documented_path_is_understood() {
        check("", Some(Api::Server));
        check("/health/live", Some(Api::Live));
        check("/health/ready", Some(Api::Ready));
        check("/models", Some(Api::Models));
        check("/models/stats", Some(Api::AllStatistics));
        check("/models/m", of("m", Wanted::Latest, ModelApi::Metadata));
        check("/models/m/ready", of("m", Wanted::Latest, ModelApi::Ready));
        check("/models/m/infer", of("m", Wanted::Latest, ModelApi::Infer));
        check(
            "/models/m/config",
            of("m", Wanted::Latest, ModelApi::Config),
        );
        let third = Wanted::Version(3);
        check(
            "/models/m/versions/3",
            of("m", third.clone(), ModelApi::Metadata),
        );
        check(
            "/models/m/versions/3/infer",
            of("m", third.clone(), ModelApi::Infer),
        );
        check(
            "/models/m/versions/3/stats",
            of("m", third, ModelApi::Statistics),
        );
        check("/repository/index", Some(Api::Index));
        let target = Target {
            model: "m".into(),
            wanted: Wanted::Latest,
        };
        check(
            "/repository/models/m/load",
            Some(Api::Control(target.clone(), Verb::Load)),
        );
        check(
            "/repository/models/m/unload",
            Some(Api::Control(target, Verb::Unload)),
        );
        check("/trace/setting", Some(Api::Trace));
        check("/models/m/trace/setting", Some(Api::Trace));
        check("/logging", Some(Api::Logging));
        check("/systemsharedmemory/status", Some(Api::SharedMemory));
    }

    #[test]
    fn other_paths_are_nothing_and_bad_names_are_named() {
        for tail in [
            "/",
            "/health",
            "/models/m/versions",
            "/models/m/nope",
            "/models/m/infer/x",
            "//",
        ] {
            check(tail, None);
        }
        for tail in [
            "/models/../ready",
            "/models//infer",
            "/models/a%2fb",
            "/models/m/versions/abc",
        ] {
            assert!(Api::parse(tail).is_err(), "{tail}");
        }
    }
}
