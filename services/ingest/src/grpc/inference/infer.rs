//! One inference: `ModelInferRequest` in, a record to infer, its answer as `ModelInferResponse` out.

use bytes::Bytes;
use millrace_wire::protobuf::{self, InferAnswer, InferRequest};

use crate::front::admission::Reservation;
use crate::front::{Error, Exchange, Head};
use crate::grpc::error::GrpcError;
use crate::grpc::seen::Seen;
use crate::grpc::target;

/// Answers the only request of a call. What the answer holds is held by the call from then on.
///
/// # Errors
/// Everything that [`Error`] lists.
pub(super) async fn only(seen: &Seen, message: Bytes) -> Result<Vec<u8>, Error> {
    let (answer, mut held) = one(seen, seen.head(), message, || seen.release()).await?;
    seen.hold_on(&mut held);
    Ok(answer)
}

/// Answers one request; `release` gives back what was held of its message
/// before the exchange holds it. With the answer comes what that holds.
///
/// # Errors
/// Everything that [`Error`] lists.
pub(super) async fn one(
    seen: &Seen,
    head: Head,
    message: Bytes,
    release: impl FnOnce(),
) -> Result<(Vec<u8>, Reservation), Error> {
    let asked = protobuf::infer_head(&message).map_err(GrpcError::from)?;
    let target = target::of_infer(seen, &asked)?;
    let mut exchange = seen.front.begin(head, &target)?;
    release();
    let size_bytes = message.len();
    exchange.received(size_bytes)?;
    let limits = seen.front.limits.request.clone();
    let parsed = exchange.parse(size_bytes, move |served| {
        let parsed = protobuf::parse_infer(message, &served.signature, &limits);
        Ok(parsed.map_err(GrpcError::from)?)
    });
    let request = parsed.await?;
    answer(exchange, request, asked.id).await
}

async fn answer(
    mut exchange: Exchange,
    request: InferRequest,
    id: String,
) -> Result<(Vec<u8>, Reservation), Error> {
    let InferRequest {
        record,
        outputs,
        typed,
    } = request;
    let answer = exchange.ask(record).await?;
    let size_bytes = answer.outputs.payload().len();
    let written = exchange.parse(size_bytes, move |_| {
        let (model, version) = (answer.model.as_str(), answer.version);
        let head = InferAnswer {
            model,
            version,
            id: &id,
            outputs: &outputs,
            typed,
        };
        let written = protobuf::write_infer_response(head, &answer.outputs);
        Ok(written.map_err(GrpcError::Answer)?)
    });
    let written = written.await?;
    let size = u64::try_from(written.len()).unwrap_or(u64::MAX);
    exchange.front().metrics.answer_bytes.inc_by(size);
    let none = exchange.front().admission.reserve();
    let held = std::mem::replace(exchange.held(), none);
    Ok((written, held))
}
