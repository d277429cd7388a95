//! Answers that are fetched later.

use super::operation::{Good, Operation};

/// What a request gets that is answered later.
pub(super) fn accepted() -> Good {
    Good {
        status: 202,
        means: "Accepted; the result can be fetched at Location.",
        media: &[("application/json", "Anything")],
    }
}

pub(super) fn operations() -> Vec<Operation> {
    Vec::new()
}
