//! A result as server-sent events: a comment while it is pending, then one event.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::web::Bytes;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::front::Error;

use super::fetch::Fetch;

/// How often a silent stream says that it is alive.
const BEAT: Duration = Duration::from_secs(15);

/// Answers with a stream that ends with the result, or after `max_wait`, when
/// the client asks again by itself.
///
/// # Errors
/// Whatever can be said before the stream begins.
pub(super) async fn answer(fetch: Fetch, max_wait: Duration) -> Result<HttpResponse, Error> {
    let fetch = fetch.into_text();
    let first = fetch.find(Duration::ZERO).await?;
    let rest: Rest = match first {
        Some(result) => {
            let written = fetch.written(result).await?;
            Box::pin(std::future::ready(event("result", &written.body)))
        }
        None => Box::pin(last_event(fetch, max_wait)),
    };
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(Events {
            rest: Some(rest),
            beat,
        }))
}

async fn last_event(fetch: Fetch, max_wait: Duration) -> Vec<u8> {
    let outcome = match fetch.find(max_wait).await {
        Ok(Some(result)) => fetch.written(result).await.map(Some),
        Ok(None) => Ok(None),
        // The client asks again when the stream ends.
        Err(error) if Fetch::may_go_on(&error) => Ok(None),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Some(written)) => event("result", &written.body),
        Ok(None) => event("pending", b"{}"),
        Err(error) => {
            let body = serde_json::json!({
                "status": error.http_status(),
                "error": error.to_string(),
            });
            event("error", body.to_string().as_bytes())
        }
    }
}

fn event(name: &str, data: &[u8]) -> Vec<u8> {
    let mut event = format!("event: {name}\n").into_bytes();
    for line in data.split(|byte| *byte == b'\n' || *byte == b'\r') {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event
}

type Rest = Pin<Box<dyn Future<Output = Vec<u8>>>>;

/// The body: beats until the last event. Dropping it ends the wait.
struct Events {
    rest: Option<Rest>,
    beat: Interval,
}

impl MessageBody for Events {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(event) = rest.as_mut().poll(context) {
            self.rest = None;
            return Poll::Ready(Some(Ok(event.into())));
        }
        let beat = self.beat.poll_tick(context);
        beat.map(|_| Some(Ok(Bytes::from_static(b": pending\n\n"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_marked() {
        let event = event("result", b"{\n1}");
        assert_eq!(event, b"event: result\ndata: {\ndata: 1}\n\n");
    }
}
