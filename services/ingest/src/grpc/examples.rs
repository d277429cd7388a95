//! `Classify`, `Regress` and `MultiInference`: examples in, labels with scores or one number each out.

use bytes::Bytes;
use millrace_wire::json::Method;
use millrace_wire::protobuf::{self, PredictHead};

use crate::front::error::BadReply;
use crate::front::{Answer, Error, Target};
use crate::tensorflow::TensorflowError;

use super::error::GrpcError;
use super::seen::Seen;
use super::target;
use super::tensorflow::{ask_and_write, head_of_answer};

/// What a call asks about its examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Classify,
    Regress,
    /// Its tasks say what; the model runs once for all of them.
    Both,
}

/// Answers one call about examples.
///
/// # Errors
/// [`TensorflowError::Unfit`] for a model whose outputs are no such answer;
/// else everything that [`Error`] lists.
pub(super) async fn ask_about_examples(
    seen: &Seen,
    message: Bytes,
    about: About,
) -> Result<Vec<u8>, Error> {
    let (heads, methods) = about.read(&message)?;
    let target = only_target(seen, &heads)?;
    let mut exchange = seen.front.begin(seen.head(), &target)?;
    seen.release();
    for method in &methods {
        let outputs = &exchange.served().signature.outputs;
        let fit = method.check_outputs(outputs);
        fit.map_err(TensorflowError::Unfit)?;
    }
    let size_bytes = message.len();
    exchange.received(size_bytes)?;
    let limits = seen.front.limits.request.clone();
    let parsed = exchange.parse(size_bytes, move |served| {
        let parsed = protobuf::parse_examples(&message, &served.signature, &limits);
        Ok(parsed.map_err(GrpcError::from)?)
    });
    let record = parsed.await?;
    let write = move |answer: &Answer| about.write(&methods, answer);
    ask_and_write(seen, exchange, record, write).await
}

/// All tasks must mean the same model and version: one record is sent.
fn only_target(seen: &Seen, heads: &[PredictHead]) -> Result<Target, Error> {
    let mut targets = Vec::with_capacity(heads.len());
    for head in heads {
        targets.push(target::of_spec(seen, head)?);
    }
    let mut targets = targets.into_iter();
    let first = targets.next().ok_or(GrpcError::Tasks)?;
    match targets.all(|other| other == first) {
        true => Ok(first),
        false => Err(GrpcError::Tasks.into()),
    }
}

impl About {
    fn read(self, message: &[u8]) -> Result<(Vec<PredictHead>, Vec<Method>), GrpcError> {
        let method = match self {
            Self::Classify => Method::Classify,
            Self::Regress => Method::Regress,
            Self::Both => {
                let head = protobuf::multi_inference_head(message)?;
                return Ok((head.heads, head.methods));
            }
        };
        Ok((vec![protobuf::predict_head(message)?], vec![method]))
    }

    fn write(self, methods: &[Method], answer: &Answer) -> Result<Vec<u8>, Error> {
        let (head, outputs) = (head_of_answer(answer), &answer.outputs);
        let written = match self {
            Self::Classify => protobuf::write_classification_response(head, outputs),
            Self::Regress => protobuf::write_regression_response(head, outputs),
            Self::Both => protobuf::write_multi_inference_response(head, methods, outputs),
        };
        Ok(written.map_err(BadReply::Outputs)?)
    }
}
