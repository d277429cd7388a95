//! A request with an `Idempotency-Key` is sent once, whatever replica gets it again.

use millrace_kafka::Record;
use millrace_wire::Status;
use millrace_wire::headers::ResultHeaders;

use crate::front::line::OnSent;
use crate::front::pending::RequestId;
use crate::front::{Error, Exchange};

use super::LaterError;
use super::archive::{Outcome, Sought};
use super::claims::{Claims, Holder, Keyed, Sent, digest};

/// How often a key is claimed that others hold one moment and not the next.
const ATTEMPTS: usize = 3;

/// Whether a request is to be sent now.
pub(crate) enum Once {
    /// No: this is its result.
    Answered(Record),
    /// Yes. What is to be told where it went, if it has a key.
    Ours(Option<OnSent>),
}

/// Where a request stands.
pub(super) enum Standing {
    /// It is to be sent now.
    Ours(Option<OnSent>),
    /// It was sent before.
    Sent(Repeated),
}

/// A request that was sent before.
pub(super) struct Repeated {
    pub(super) id: RequestId,
    pub(super) sent: Sent,
    keyed: Keyed,
}

/// Claims the key of a request whose caller waits for the answer.
///
/// # Errors
/// [`LaterError`]: no key where one is wanted, a key of another request, a
/// request that has no result yet, or keys that cannot be read or written.
pub(crate) async fn claim(exchange: &Exchange, payload: &[u8]) -> Result<Once, Error> {
    let repeated = match standing(exchange, payload).await? {
        Standing::Ours(on_sent) => return Ok(Once::Ours(on_sent)),
        Standing::Sent(repeated) => repeated,
    };
    let later = &exchange.front().later;
    let sought = sought(exchange, repeated.id, &repeated.sent);
    match later.archive.find(sought, None).await? {
        Outcome::Pending => Err(LaterError::StillRunning.into()),
        Outcome::Result(record) if is_final(&record) => Ok(Once::Answered(record)),
        Outcome::Result(_) | Outcome::Unknown | Outcome::Gone => {
            let keyed = repeated.keyed;
            later.claims.release(&keyed.key, repeated.id)?;
            match take(exchange, &keyed).await? {
                Some(on_sent) => Ok(Once::Ours(Some(on_sent))),
                None => Err(LaterError::StillRunning.into()),
            }
        }
    }
}

/// Claims the key of a request, or finds where it was sent before.
///
/// # Errors
/// As for [`claim`].
pub(super) async fn standing(exchange: &Exchange, payload: &[u8]) -> Result<Standing, Error> {
    let Some(keyed) = keyed(exchange, payload)? else {
        return Ok(Standing::Ours(None));
    };
    for _ in 0..ATTEMPTS {
        match claims(exchange).holder(&keyed)? {
            Holder::Other => return Err(LaterError::KeyReused.into()),
            Holder::Claimed => return Err(LaterError::StillRunning.into()),
            Holder::Sent { id, sent } => {
                return Ok(Standing::Sent(Repeated { id, sent, keyed }));
            }
            Holder::Nobody => {}
        }
        if let Some(on_sent) = take(exchange, &keyed).await? {
            return Ok(Standing::Ours(Some(on_sent)));
        }
    }
    Err(LaterError::StillRunning.into())
}

/// Claims a key; `None` when somebody else was faster.
async fn take(exchange: &Exchange, keyed: &Keyed) -> Result<Option<OnSent>, Error> {
    let claimed = claims(exchange).claim(keyed, exchange.id(), exchange.deadline());
    let Some(held) = claimed.await? else {
        return Ok(None);
    };
    let at_unix_ms = exchange.began_unix_ms();
    let on_sent: OnSent = Box::new(move |delivered| {
        held.sent(Sent {
            partition: delivered.partition,
            offset: delivered.offset,
            at_unix_ms,
        });
    });
    Ok(Some(on_sent))
}

fn claims(exchange: &Exchange) -> &Claims {
    &exchange.front().later.claims
}

/// The key of a request within its caller and model, and what it stands for.
fn keyed(exchange: &Exchange, payload: &[u8]) -> Result<Option<Keyed>, Error> {
    let Some(key) = &exchange.wish().key else {
        return match exchange.front().later.require_key {
            true => Err(LaterError::KeyMissing.into()),
            false => Ok(None),
        };
    };
    let (caller, model) = (exchange.caller().name(), &exchange.served().model);
    let version = exchange
        .version()
        .map_or_else(String::new, |it| it.to_string());
    Ok(Some(Keyed {
        key: digest(&[caller.as_bytes(), model.as_bytes(), key.as_bytes()]),
        content: digest(&[version.as_bytes(), payload]),
    }))
}

/// Where the request and its result are to be found.
pub(super) fn sought(exchange: &Exchange, id: RequestId, sent: &Sent) -> Sought {
    let topics = &exchange.front().topics;
    let model = &exchange.served().model;
    Sought {
        id,
        requests: topics.requests(model).into(),
        results: topics.results(model).into(),
        partition: sent.partition,
        offset: sent.offset,
        at_unix_ms: sent.at_unix_ms,
    }
}

/// Whether asking again would get the same result: not if infer had no time
/// or no room for the request.
fn is_final(result: &Record) -> bool {
    let headers = ResultHeaders::parse(result.headers.iter());
    !headers.is_ok_and(|headers| {
        matches!(
            headers.status,
            Status::DeadlineExceeded
                | Status::Unavailable
                | Status::ResourceExhausted
                | Status::Cancelled
                | Status::Aborted
        )
    })
}
