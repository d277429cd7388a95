//! Why a value does not come out of the store, or go into it.

/// Why a value does not come out of the store, or go into it.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store works, and has no such object.
    #[error("the store of large values has no object {path}")]
    Missing {
        /// The object's path.
        path: String,
    },
    /// The object is not the one that is meant.
    #[error("object {path} in the store of large values {problem}")]
    Wrong {
        /// The object's path.
        path: String,
        /// What is wrong with it, after its name.
        problem: String,
    },
    /// The value is longer than `claims.max_bytes`.
    #[error(
        "a value of {length} bytes is larger than the limit of {limit} bytes (claims.max_bytes)"
    )]
    TooLarge {
        /// Bytes of the value.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// The store cannot be used at the moment.
    #[error("the store of large values cannot be used: {0}")]
    Down(String),
}

impl ClaimError {
    /// A word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Wrong { .. } => "wrong",
            Self::TooLarge { .. } => "too_large",
            Self::Down(_) => "down",
        }
    }
}
