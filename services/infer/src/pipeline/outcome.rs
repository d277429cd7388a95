//! What became of a request, and how a refusal is put into words.

use std::sync::Arc;

use millrace_wire::Status;
use millrace_wire::headers::Claim;

use super::limit::Fate;
use super::request::Request;
use super::results::{Debts, LetterSize};
use crate::engine::EngineError;

/// A request and what is sent for it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) request: Arc<Request>,
    pub(crate) verdict: Verdict,
}

/// What is sent for a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Answer(Answered),
    /// Why there is none.
    Refusal(Refusal),
}

/// The Arrow record of a request's outputs.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Empty if it lies in the store.
    pub(crate) value: Vec<u8>,
    /// Where it lies in the store.
    pub(crate) claim: Option<Claim>,
}

impl From<Vec<u8>> for Answered {
    fn from(value: Vec<u8>) -> Self {
        Self { value, claim: None }
    }
}

/// Why a request gets no answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: Status,
    /// For the caller.
    pub(crate) sentence: String,
    pub(crate) stage: Stage,
    /// How often it was tried.
    pub(crate) attempts: i32,
}

/// Where a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Headers,
    /// Its value cannot be had from the store. It may be there later: its dead letter can be written back.
    Claim,
    Decode,
    Validate,
    /// Its version cannot be loaded. The record may be good: its dead letter can be written back later.
    Load,
    /// Nobody waits for the answer any more: not a fault of the record, so there is no dead letter.
    Deadline,
    Infer,
    Result,
}

/// Work for the desk: what is sent without an engine.
#[derive(Debug)]
pub(crate) enum Settled {
    /// To be sent when its turn comes.
    InTurn(Outcome),
    /// The broker refused what was sent for it in its turn; this is sent at once instead.
    Late(Outcome),
    /// The broker refused a part of a refusal; a smaller one is sent.
    Again(Arc<Debts>, Refusal, Resend),
}

/// What of a refusal is sent again, smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resend {
    /// The empty result, now without the request's key and headers.
    Result,
    Letter(LetterSize),
}

impl Outcome {
    /// What it means for the limit on dead letters.
    pub(crate) fn fate(&self) -> Fate {
        match &self.verdict {
            Verdict::Refusal(refusal) if refusal.stage.needs_letter() => Fate::DeadLetter,
            Verdict::Refusal(_) | Verdict::Answer(_) => Fate::Answered,
        }
    }
}

impl Settled {
    /// A refusal in its turn; once per request, however many of its pieces are refused.
    pub(crate) fn refusing(request: &Arc<Request>, refusal: Refusal) -> Option<Self> {
        if request.answer().is_some_and(|mut answer| !answer.fail()) {
            return None;
        }
        Some(Self::InTurn(Outcome {
            request: Arc::clone(request),
            verdict: Verdict::Refusal(refusal),
        }))
    }
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Headers => "headers",
            Stage::Claim => "claim",
            Stage::Decode => "decode",
            Stage::Validate => "validate",
            Stage::Load => "load",
            Stage::Deadline => "deadline",
            Stage::Infer => "infer",
            Stage::Result => "result",
        }
    }

    /// Whether the record would be lost without a dead letter.
    pub(crate) fn needs_letter(self) -> bool {
        self != Stage::Deadline
    }
}

impl Refusal {
    pub(crate) fn new(status: Status, stage: Stage, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
            stage,
            attempts: 1,
        }
    }

    /// The caller's deadline has passed.
    pub(crate) fn too_late() -> Self {
        let sentence = "the deadline in mr-deadline has passed before the model could run";
        Self::new(Status::DeadlineExceeded, Stage::Deadline, sentence)
    }

    /// An engine's failure, after `attempts` runs.
    pub(crate) fn by_engine(error: &EngineError, attempts: i32) -> Self {
        let status = match error {
            EngineError::Refused(_) => Status::InvalidArgument,
            _ => Status::Internal,
        };
        let sentence = without_paths(&error.to_string());
        Self {
            status,
            sentence,
            stage: Stage::Infer,
            attempts,
        }
    }
}

/// ONNX Runtime's messages name its source files; callers have no use for them.
fn without_paths(message: &str) -> String {
    let words = message
        .split_whitespace()
        .filter(|word| !word.starts_with('/'));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_blames_the_input_gives_an_invalid_argument() {
        let refused = EngineError::Refused("bad shape".into());
        assert_eq!(
            Refusal::by_engine(&refused, 1).status,
            Status::InvalidArgument
        );
        let failed = EngineError::Failed("out of bounds".into());
        assert_eq!(Refusal::by_engine(&failed, 1).status, Status::Internal);
    }

    #[test]
    fn sentences_for_callers_hold_no_paths() {
        let error =
            EngineError::Failed("Gather failed: /onnxruntime_src/core/gather.cc:83 idx=7".into());
        assert_eq!(
            Refusal::by_engine(&error, 1).sentence,
            "the model failed: Gather failed: idx=7"
        );
    }
}
