//! Classify and regress: examples in, labels with scores or one number each out.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::{self, Method};

use crate::front::error::BadReply;
use crate::front::{Answer, Error, Front, Head, Target, records};
use crate::http::body;
use crate::later::accept;

use super::error::TensorflowError;
use super::predict::{answered, check_signature_name};

/// What is asked about the examples, and of which model.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) target: Target,
}

/// Answers one request to classify or to regress.
///
/// # Errors
/// [`TensorflowError::Unfit`] for a model whose outputs are no such answer;
/// else everything that [`Error`] lists.
pub(super) async fn ask_about_examples(
    request: &HttpRequest,
    payload: Payload,
    question: Question,
    front: &Front,
) -> Result<HttpResponse, Error> {
    let Question { method, target } = question;
    let head = Head::of_http(request, front)?;
    let mut exchange = front.begin(head, &target)?;
    let outputs = &exchange.served().signature.outputs;
    method
        .check_outputs(outputs)
        .map_err(TensorflowError::Unfit)?;
    let body = body::read(request, payload, &body::JSON, &mut exchange).await?;
    let size_bytes = body.len();
    let limits = front.limits.json.clone();
    let understand = exchange.parse(size_bytes, move |served| {
        let request = json::parse_examples(&body, &served.signature, &limits, method)?;
        check_signature_name(request.signature_name.as_deref())?;
        let payload = records::encode(&request.tensors).map_err(Error::Encode)?;
        Ok((payload, request.ignored_keys))
    });
    let (payload, ignored_keys) = understand.await?;
    front.metrics.ignored_keys(ignored_keys);
    let write = |answer| written(method, &answer, front);
    accept::answer(&mut exchange, payload, method.into(), write).await
}

fn written(method: Method, answer: &Answer, front: &Front) -> Result<HttpResponse, Error> {
    let (outputs, rules) = (&answer.outputs, &front.limits.json.rules);
    let mut json = Vec::new();
    let written = match method {
        Method::Classify => json::write_classifications(outputs, rules, &mut json),
        Method::Regress => json::write_regressions(outputs, rules, &mut json),
    };
    written.map_err(BadReply::Outputs)?;
    Ok(answered(json, front))
}
