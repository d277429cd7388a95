//! The one place where an error becomes an HTTP answer: `{"error": "sentence"}`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use millrace_wire::json;

use crate::front::Error;

/// Header with the id under which a request can be found in logs and topics.
pub(crate) const X_REQUEST_ID: &str = "x-request-id";

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(retry_after) = self.retry_after() {
            // Rounded up: who comes at that time is welcome.
            let seconds = retry_after.as_millis().div_ceil(1000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = allow(self) {
            response.insert_header((header::ALLOW, allow));
        }
        if let Self::Access(error) = self
            && let Some(challenge) = error.challenge()
        {
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response
            .content_type("application/json")
            .body(json::error_body(&self.to_string()))
    }
}

/// The methods that a path takes, for whoever came with another.
fn allow(error: &Error) -> Option<&'static str> {
    match error {
        Error::Http(error) => error.allow(),
        Error::Tensorflow(error) => error.allow(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::Status;

    use super::*;
    use crate::http::HttpError;

    /// The body of an answer that says `sentence`.
    fn body_of(sentence: &str) -> Vec<u8> {
        let failed = Error::Failed {
            status: Status::Internal,
            sentence: sentence.to_owned(),
        };
        let body = failed.error_response().into_body();
        actix_web::body::MessageBody::try_into_bytes(body)
            .unwrap()
            .to_vec()
    }

    #[test]
    fn a_body_is_json_whatever_the_sentence() {
        for sentence in [
            "",
            "plain",
            "a\"b\\c",
            "\u{0}\u{1b}[31m\n",
            "<script>&",
            "ü…\u{2028}",
        ] {
            let body = body_of(sentence);
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(parsed["error"], sentence);
            let stray = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
            assert!(!body.iter().any(stray), "{body:?}");
        }
    }

    #[test]
    fn a_sentence_of_any_length_fits_512_bytes() {
        for long in [
            "x".repeat(1 << 20),
            "\u{0}".repeat(4096),
            "\u{10ffff}".repeat(4096),
        ] {
            let body = body_of(&long);
            assert!(body.len() <= 512, "{}", body.len());
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }

    #[test]
    fn a_refused_method_is_told_which_one_is_allowed() {
        let error = Error::from(HttpError::MethodNotAllowed {
            method: "GET".into(),
            allow: "POST",
        });
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers().get(header::ALLOW).unwrap(), "POST");
    }

    #[test]
    fn who_may_try_again_is_told_when() {
        let error = Error::Failed {
            status: Status::Unavailable,
            sentence: "x".into(),
        };
        let response = error.error_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
    }
}
