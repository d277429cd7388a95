//! One infer request: JSON and raw tensors in, a record to infer, its reply, JSON and raw tensors out.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::JsonRules;
use millrace_wire::oip::{self, InferBody, InferResponse, Outputs, RequestedOutput};

use super::error::OipError;
use super::select::select;
use crate::arrow_body::{self, Form};
use crate::front::{Answer, Error, Front, Head, Target, records};
use crate::http::body::{self, MediaTypes};
use crate::later::{self, accept};

/// Bytes of JSON before the raw tensors.
pub(crate) const HEADER_LENGTH: &str = "inference-header-content-length";

/// With raw tensors the body is no JSON any more.
const BODY: MediaTypes = MediaTypes {
    names: &[
        "",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ],
    expected: "application/json, application/octet-stream or application/vnd.apache.arrow.stream",
};

/// What an answer needs to know of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) id: Option<String>,
    pub(crate) outputs: Outputs,
}

/// Answers one infer request, in any form of body.
///
/// # Errors
/// Everything that [`Error`] lists.
pub(super) async fn infer(
    request: &HttpRequest,
    payload: Payload,
    target: &Target,
    front: &Front,
) -> Result<HttpResponse, Error> {
    let head = Head::of_http(request, front)?;
    let header_length = header_length(request)?;
    let mut exchange = front.begin(head, target)?;
    if arrow_body::is_sent(request) {
        let payload = arrow_body::read(request, payload, &mut exchange).await?;
        let form = Form::wanted(request, Form::Arrow);
        let write = |answer| in_form(form, &Asked::everything(), answer, front);
        let later = later_form(form, &Asked::everything());
        return accept::answer(&mut exchange, payload, later, write).await;
    }
    let body = body::read(request, payload, &BODY, &mut exchange).await?;
    let limits = front.limits.json.clone();
    let understand = exchange.parse(body.len(), move |served| {
        let body = InferBody {
            bytes: &body,
            header_length: header_length.as_deref(),
        };
        let parsed = oip::parse_infer(body, &served.signature, &limits).map_err(OipError::Body)?;
        let payload = records::encode(&parsed.tensors).map_err(Error::Encode)?;
        let asked = Asked {
            id: parsed.id,
            outputs: parsed.outputs,
        };
        Ok((asked, payload, parsed.timeout))
    });
    let (asked, payload, timeout) = understand.await?;
    if let Some(timeout) = timeout {
        exchange.answer_within(timeout)?;
    }
    let form = Form::wanted(request, Form::Text);
    let write = |answer| in_form(form, &asked, answer, front);
    let later = later_form(form, &asked);
    accept::answer(&mut exchange, payload, later, write).await
}

fn in_form(
    form: Form,
    asked: &Asked,
    answer: Answer,
    front: &Front,
) -> Result<HttpResponse, Error> {
    match form {
        Form::Arrow => Ok(arrow_body::answered(asked.selected(answer)?, front)),
        Form::Text => written(asked, &answer, front),
    }
}

/// How the answer is written if it is fetched later.
fn later_form(form: Form, asked: &Asked) -> later::Form {
    match form {
        Form::Arrow => later::Form::Arrow(asked.clone()),
        Form::Text => later::Form::Oip(asked.clone()),
    }
}

impl Asked {
    /// A body without an envelope asks for everything.
    pub(crate) fn everything() -> Self {
        Self {
            id: None,
            outputs: Outputs::default(),
        }
    }

    /// The same with all outputs as JSON.
    pub(crate) fn into_text(self) -> Self {
        let named = self.outputs.named().map(|named| {
            let as_text = |output: &RequestedOutput| RequestedOutput {
                name: output.name.clone(),
                binary: None,
            };
            named.iter().map(as_text).collect()
        });
        Self {
            outputs: Outputs::new(named, false),
            ..self
        }
    }

    /// The answer in the protocol's own form.
    ///
    /// # Errors
    /// Outputs that the protocol cannot carry, or not in the form asked for.
    pub(crate) fn write(
        &self,
        answer: &Answer,
        rules: &JsonRules,
    ) -> Result<InferResponse, OipError> {
        let who = oip::Answer {
            model: &answer.model,
            version: answer.version,
            id: self.id.as_deref(),
        };
        let written = oip::write_infer(&who, &answer.outputs, &self.outputs, rules);
        Ok(written?)
    }

    /// The record of the outputs that were named; infer's own if none were.
    pub(crate) fn selected(&self, answer: Answer) -> Result<Vec<u8>, Error> {
        let Some(named) = self.outputs.named() else {
            return Ok(answer.outputs.into_payload());
        };
        let names: Vec<&str> = named.iter().map(|output| output.name.as_str()).collect();
        select(&answer.outputs, &names)
    }
}

/// The header that says where the JSON ends; two of them contradict each other.
fn header_length(request: &HttpRequest) -> Result<Option<String>, OipError> {
    let mut values = request.headers().get_all(HEADER_LENGTH);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| OipError::HeaderLength)?;
    match values.next() {
        None => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(OipError::HeaderLength),
    }
}

fn written(asked: &Asked, answer: &Answer, front: &Front) -> Result<HttpResponse, Error> {
    let written = asked.write(answer, &front.limits.json.rules)?;
    let size = u64::try_from(written.body.len()).unwrap_or(u64::MAX);
    front.metrics.answer_bytes.inc_by(size);
    let mut response = HttpResponse::Ok();
    response.content_type(content_type(&written));
    if let Some(length) = written.header_length {
        response.insert_header((HEADER_LENGTH, length.to_string()));
    }
    Ok(response.body(written.body))
}

/// With raw tensors behind it the body is no JSON any more.
pub(crate) fn content_type(written: &InferResponse) -> &'static str {
    match written.header_length {
        None => "application/json",
        Some(_) => "application/octet-stream",
    }
}
