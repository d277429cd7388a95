//! When a model has more to do than its callers would wait for.

use std::time::Duration;

/// Too many requests wait for a model already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model {model} has {backlog} requests to answer first: the limit is {limit}")]
pub(crate) struct Behind {
    model: String,
    backlog: u64,
    limit: u64,
}

impl Behind {
    /// Infer reports its backlog every few seconds: sooner there is no news.
    pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);

    /// Compares what infer has reported with the limit, if there is one.
    ///
    /// # Errors
    /// [`Behind`]
    pub(crate) fn check(model: &str, backlog: i64, limit: Option<u64>) -> Result<(), Self> {
        let backlog = u64::try_from(backlog).unwrap_or(0);
        match limit {
            Some(limit) if backlog > limit => Err(Self {
                model: model.to_owned(),
                backlog,
                limit,
            }),
            _ => Ok(()),
        }
    }
}
