//! Headers that say who gave an answer: the version, and the weights by their hash.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use millrace_wire::headers::{VERSION, WEIGHTS_SHA256};

use crate::front::Answer;

/// Who gave an answer.
#[derive(Debug)]
pub(crate) struct Signature {
    version: i64,
    weights: Option<HeaderValue>,
}

impl Signature {
    pub(crate) fn of(answer: &Answer) -> Self {
        let weights = answer.weights_sha256.as_deref();
        Self {
            version: answer.version,
            // Whoever writes to the replies topic may write anything.
            weights: weights.and_then(|it| HeaderValue::from_str(it).ok()),
        }
    }

    pub(crate) fn put(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static(VERSION), self.version.into());
        if let Some(weights) = self.weights {
            headers.insert(HeaderName::from_static(WEIGHTS_SHA256), weights);
        }
    }
}
