//! One prediction: JSON in, a record to infer, its reply, JSON out.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::{self, Format, PlainBytes};

use crate::arrow_body::{self, Form};
use crate::front::error::BadReply;
use crate::front::{Answer, Error, Front, Head, Target, records};
use crate::http::body;
use crate::later::{self, accept};
use crate::oip::Asked;

use super::error::TensorflowError;

/// The only signature a model has, in TensorFlow Serving's words.
const SIGNATURE_NAME: &str = "serving_default";

/// A request that has been understood: what infer gets, how the answer is written.
struct Understood {
    format: Format,
    payload: Vec<u8>,
    /// Keys that no protocol defines.
    ignored_keys: usize,
}

/// Answers one request for a prediction. A plain string for an input of bytes
/// is read as `plain_bytes` says.
///
/// # Errors
/// Everything that [`Error`] lists.
pub(crate) async fn predict(
    request: &HttpRequest,
    payload: Payload,
    target: Target,
    plain_bytes: PlainBytes,
) -> Result<HttpResponse, Error> {
    let front = front_of(request);
    let head = Head::of_http(request, front)?;
    let mut exchange = front.begin(head, &target)?;
    if arrow_body::is_sent(request) {
        let payload = arrow_body::read(request, payload, &mut exchange).await?;
        let form = Form::wanted(request, Form::Arrow);
        let write = |answer| written(answer, Format::Row, form, front);
        return accept::answer(&mut exchange, payload, later_form(form, Format::Row), write).await;
    }
    let body = body::read(request, payload, &body::JSON, &mut exchange).await?;
    let size_bytes = body.len();
    let mut limits = front.limits.json.clone();
    limits.rules.plain_bytes = plain_bytes;
    let understand = exchange.parse(size_bytes, move |served| {
        let request = json::parse_predict(&body, &served.signature, &limits)?;
        check_signature_name(request.signature_name.as_deref())?;
        let payload = records::encode_inputs(&request.tensors, &request.sparse);
        let payload = payload.map_err(Error::Encode)?;
        Ok(Understood {
            format: request.format,
            payload,
            ignored_keys: request.ignored_keys,
        })
    });
    let Understood {
        format,
        payload,
        ignored_keys,
    } = understand.await?;
    front.metrics.ignored_keys(ignored_keys);
    let form = Form::wanted(request, Form::Text);
    let write = |answer| written(answer, format, form, front);
    accept::answer(&mut exchange, payload, later_form(form, format), write).await
}

/// How the answer is written if it is fetched later.
fn later_form(form: Form, format: Format) -> later::Form {
    match form {
        Form::Arrow => later::Form::Arrow(Asked::everything()),
        Form::Text => format.into(),
    }
}

fn written(
    answer: Answer,
    format: Format,
    form: Form,
    front: &Front,
) -> Result<HttpResponse, Error> {
    if form == Form::Arrow {
        return Ok(arrow_body::answered(answer.outputs.into_payload(), front));
    }
    // Numbers take two to three times the room as text.
    let mut json = Vec::with_capacity(64 + 3 * answer.outputs.payload().len());
    let rules = &front.limits.json.rules;
    json::write_predictions(format, &answer.outputs, rules, &mut json)
        .map_err(BadReply::Outputs)?;
    Ok(answered(json, front))
}

/// The state that every route has.
fn front_of(request: &HttpRequest) -> &Front {
    let front = request.app_data::<Data<Front>>();
    front.expect("the server gives it to every route")
}

/// There is one signature, and a request that names one must mean it.
pub(super) fn check_signature_name(given: Option<&str>) -> Result<(), TensorflowError> {
    match given {
        None | Some(SIGNATURE_NAME) => Ok(()),
        Some(given) => Err(TensorflowError::SignatureName {
            given: given.chars().take(32).collect(),
        }),
    }
}

/// The answer with this body.
pub(super) fn answered(json: Vec<u8>, front: &Front) -> HttpResponse {
    let size = u64::try_from(json.len()).unwrap_or(u64::MAX);
    front.metrics.answer_bytes.inc_by(size);
    HttpResponse::Ok()
        .content_type("application/json")
        .body(json)
}
