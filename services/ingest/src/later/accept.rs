//! The end of every request over HTTP: an answer now, or 202 and the place of the answer.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header;

use crate::front::{Answer, Error, Exchange};
use crate::http::Signature;

use super::LaterError;
use super::archive::Outcome;
use super::claims::Sent;
use super::fetch::RESULTS;
use super::form::Form;
use super::location::Location;
use super::once::{Standing, sought, standing};

/// What a 202 says about its preference.
const PREFERENCE_APPLIED: &str = "preference-applied";

/// Sends a request that has been understood, and answers its caller: with what
/// `write` makes of the answer, or with 202 if he prefers that. `form` is how
/// an answer is written that is fetched later.
///
/// # Errors
/// Those of [`Exchange::ask`] and `write`. With 202, only what happens until
/// the broker has the request.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    payload: Vec<u8>,
    form: Form,
    write: impl FnOnce(Answer) -> Result<HttpResponse, Error>,
) -> Result<HttpResponse, Error> {
    if !exchange.wish().respond_async {
        let answer = exchange.ask(payload).await?;
        return signed(answer, write);
    }
    if !Location::is_readable(&form) {
        return Err(LaterError::TooManyOutputs.into());
    }
    let location = submit(exchange, payload, form).await?;
    match waited(exchange, &location).await {
        Some(answer) => signed(answer?, write),
        None => Ok(accepted(&exchange.served().model, &location)),
    }
}

/// What `write` makes of an answer, and who gave it.
fn signed(
    answer: Answer,
    write: impl FnOnce(Answer) -> Result<HttpResponse, Error>,
) -> Result<HttpResponse, Error> {
    let signature = Signature::of(&answer);
    let mut response = write(answer)?;
    signature.put(response.headers_mut());
    Ok(response)
}

async fn submit(exchange: &mut Exchange, payload: Vec<u8>, form: Form) -> Result<Location, Error> {
    exchange.held().set(payload.len())?;
    let (id, sent) = match standing(exchange, &payload).await? {
        Standing::Sent(repeated) => (repeated.id, repeated.sent),
        Standing::Ours(on_sent) => {
            let delivered = exchange.submit(payload, on_sent).await?;
            let sent = Sent {
                partition: delivered.partition,
                offset: delivered.offset,
                at_unix_ms: exchange.began_unix_ms(),
            };
            (exchange.id(), sent)
        }
    };
    Ok(Location {
        id,
        partition: sent.partition,
        offset: sent.offset,
        at_unix_ms: sent.at_unix_ms,
        form,
    })
}

/// The answer, if the caller waits for it and it comes in time.
async fn waited(exchange: &Exchange, location: &Location) -> Option<Result<Answer, Error>> {
    let front = exchange.front();
    let wait = exchange.wish().wait.filter(|it| !it.is_zero())?;
    let _waiting = front.later.archive.wait().ok()?;
    let until = Instant::now() + wait.min(front.later.max_wait);
    let sent = Sent {
        partition: location.partition,
        offset: location.offset,
        at_unix_ms: location.at_unix_ms,
    };
    let sought = sought(exchange, location.id, &sent);
    match front.later.archive.find(sought, Some(until)).await {
        Ok(Outcome::Result(record)) => {
            let mut held = front.admission.reserve();
            let whole = front.large.unpack(record, &mut held, until.into()).await;
            Some(whole.and_then(|record| Answer::of(record, &front.limits.reply)))
        }
        // The request is accepted whatever cannot be found out about it now.
        Ok(Outcome::Pending | Outcome::Unknown | Outcome::Gone) | Err(_) => None,
    }
}

fn accepted(model: &str, location: &Location) -> HttpResponse {
    let path = format!("{RESULTS}{model}/{location}");
    HttpResponse::Accepted()
        .insert_header((header::LOCATION, path.as_str()))
        .insert_header((PREFERENCE_APPLIED, "respond-async"))
        .insert_header((header::RETRY_AFTER, "1"))
        .json(serde_json::json!({"state": "pending", "location": path}))
}
