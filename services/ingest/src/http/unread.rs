//! Chunked bodies that nobody reads to their end.
//!
//! The HTTP library reads on after an answer until a chunked body ends, for as
//! long as the caller likes, if the body's reader is gone. While the reader is
//! there it closes the connection instead. So the reader stays until the
//! answer is written.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Bytes;
use tokio_stream::Stream;

/// A body that its handler reads and that outlives the handler.
pub(super) struct Unread {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    payload: Payload,
    is_read: bool,
}

impl Unread {
    /// Keeps the body of a chunked request; other bodies say where they end.
    pub(super) fn of(request: &mut ServiceRequest) -> Option<Self> {
        if !request.headers().contains_key(header::TRANSFER_ENCODING) {
            return None;
        }
        let shared = Rc::new(RefCell::new(Shared {
            payload: request.take_payload(),
            is_read: false,
        }));
        let stream = Reader {
            shared: Rc::clone(&shared),
        };
        request.set_payload(Payload::Stream {
            payload: Box::pin(stream),
        });
        Some(Self { shared })
    }

    /// Lets an answer own what is left of its request's body.
    pub(super) fn until_answered(self, response: ServiceResponse) -> ServiceResponse {
        if self.shared.borrow().is_read {
            return response;
        }
        response.map_body(|_, body| {
            BoxBody::new(Answer {
                body,
                _unread: self,
            })
        })
    }
}

struct Reader {
    shared: Rc<RefCell<Shared>>,
}

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.shared.borrow_mut();
        let polled = Pin::new(&mut shared.payload).poll_next(context);
        shared.is_read |= matches!(polled, Poll::Ready(None));
        polled
    }
}

struct Answer {
    body: BoxBody,
    _unread: Unread,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
