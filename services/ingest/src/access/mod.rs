//! Who calls, and what they may.

use std::sync::{Arc, LazyLock};

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// For logs and limits; never a secret.
    name: Arc<str>,
}

impl Caller {
    /// Somebody who was not asked for a name.
    pub(crate) fn anonymous() -> Self {
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "anonymous".into());
        Self {
            name: Arc::clone(&NAME),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
