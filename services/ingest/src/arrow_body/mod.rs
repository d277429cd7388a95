//! Arrow IPC streams as bodies, for every protocol over HTTP: checked, then passed on as they are.

mod accept;
mod error;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::Record;
pub(crate) use millrace_wire::headers::ARROW_STREAM;

use crate::front::{Error, Exchange, Front};
use crate::http::body::{self, MediaTypes};

pub(crate) use accept::Form;
pub(crate) use error::ArrowError;

const BODY: MediaTypes = MediaTypes {
    names: &[ARROW_STREAM],
    expected: ARROW_STREAM,
};

/// Whether the body says that it is an Arrow stream.
pub(crate) fn is_sent(request: &HttpRequest) -> bool {
    accept::is_arrow(request)
}

/// Reads a body and holds it against the signature; infer gets the very bytes of it.
///
/// # Errors
/// [`ArrowError`], and everything that reading may answer.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Vec<u8>, Error> {
    let body = body::read(request, payload, &BODY, exchange).await?;
    let limits = exchange.front().limits.request.clone();
    let checked = exchange.parse(body.len(), move |served| {
        let record = Record::decode(body, &limits).map_err(ArrowError::Record)?;
        let fits = served.signature.check(&record);
        fits.map_err(ArrowError::Signature)?;
        Ok(record.into_payload())
    });
    checked.await
}

/// A record's own bytes as the answer.
pub(crate) fn answered(record: Vec<u8>, front: &Front) -> HttpResponse {
    let size = u64::try_from(record.len()).unwrap_or(u64::MAX);
    front.metrics.answer_bytes.inc_by(size);
    HttpResponse::Ok().content_type(ARROW_STREAM).body(record)
}
