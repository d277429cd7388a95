//! Which model, and which version of it, a request means.

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) model: String,
    pub(crate) wanted: Wanted,
}

/// Which version of a model a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The stable one, or else the newest that is served; infer may send it to a canary.
    Latest,
    Version(i64),
    Label(String),
}

impl Wanted {
    pub(crate) fn label(&self) -> Option<&str> {
        match self {
            Self::Label(label) => Some(label),
            Self::Latest | Self::Version(_) => None,
        }
    }
}
