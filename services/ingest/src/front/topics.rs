//! The names of the topics, all from one prefix.

/// Knows what every topic is called.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    prefix: String,
}

impl Topics {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(crate) fn requests(&self, model: &str) -> String {
        format!("{}.requests.{model}", self.prefix)
    }

    pub(crate) fn results(&self, model: &str) -> String {
        format!("{}.results.{model}", self.prefix)
    }

    pub(crate) fn idempotency(&self) -> String {
        format!("{}.idempotency", self.prefix)
    }

    pub(crate) fn replies(&self) -> String {
        format!("{}.replies", self.prefix)
    }

    pub(crate) fn control(&self) -> String {
        format!("{}.control", self.prefix)
    }

    pub(crate) fn models(&self) -> String {
        format!("{}.models", self.prefix)
    }
}
