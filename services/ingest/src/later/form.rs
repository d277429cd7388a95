//! How an answer is written when it is fetched: as its request's protocol would have.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::{self, Format, Method};

use crate::arrow_body::{self, ARROW_STREAM};
use crate::front::error::BadReply;
use crate::front::{Answer, Error, Front};
use crate::http::Signature;
use crate::oip::{Asked, HEADER_LENGTH, content_type};

use super::wanted;

/// The form of an answer; part of a [`super::location::Location`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// TensorFlow Serving's `predictions`.
    Rows,
    /// TensorFlow Serving's `outputs`.
    Columns,
    /// TensorFlow Serving's `results` of classes.
    Classes,
    /// TensorFlow Serving's `results` of numbers.
    Values,
    /// The Open Inference Protocol's answer, with the outputs asked for.
    Oip(Asked),
    /// An Arrow stream of the outputs asked for, as infer wrote it if that is all.
    Arrow(Asked),
}

impl Form {
    /// As it stands in a location.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Rows => "rows".to_owned(),
            Self::Columns => "columns".to_owned(),
            Self::Classes => "classes".to_owned(),
            Self::Values => "values".to_owned(),
            Self::Oip(asked) => wanted::text("oip", asked),
            Self::Arrow(asked) => wanted::text("arrow", asked),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "rows" => Some(Self::Rows),
            "columns" => Some(Self::Columns),
            "classes" => Some(Self::Classes),
            "values" => Some(Self::Values),
            other => match wanted::parse("oip", other) {
                Some(asked) => Some(Self::Oip(asked)),
                None => wanted::parse("arrow", other).map(Self::Arrow),
            },
        }
    }

    /// The same as JSON, for where nothing else can be.
    pub(super) fn into_text(self) -> Self {
        match self {
            Self::Arrow(asked) if asked.outputs.named().is_none() => Self::Rows,
            Self::Arrow(asked) | Self::Oip(asked) => Self::Oip(asked.into_text()),
            text => text,
        }
    }

    /// The form that the caller's `Accept` asks for.
    pub(super) fn wanted(self, request: &HttpRequest) -> Self {
        let own = match self {
            Self::Arrow(_) => arrow_body::Form::Arrow,
            _ => arrow_body::Form::Text,
        };
        match (arrow_body::Form::wanted(request, own), self) {
            (arrow_body::Form::Arrow, Self::Oip(asked)) => Self::Arrow(asked),
            (arrow_body::Form::Arrow, Self::Arrow(asked)) => Self::Arrow(asked),
            (arrow_body::Form::Arrow, _) => Self::Arrow(Asked::everything()),
            (arrow_body::Form::Text, arrow @ Self::Arrow(_)) => arrow.into_text(),
            (arrow_body::Form::Text, text) => text,
        }
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// Outputs that this form cannot show.
    pub(super) fn write(self, answer: Answer, front: &Front) -> Result<Written, Error> {
        let (rules, outputs) = (&front.limits.json.rules, &answer.outputs);
        let mut body = Vec::new();
        let written = match self {
            Self::Arrow(asked) => {
                return Ok(Written {
                    content_type: ARROW_STREAM,
                    header_length: None,
                    signature: None,
                    body: asked.selected(answer)?,
                });
            }
            Self::Oip(asked) => {
                let written = asked.write(&answer, rules)?;
                return Ok(Written {
                    content_type: content_type(&written),
                    header_length: written.header_length,
                    signature: None,
                    body: written.body,
                });
            }
            Self::Rows => json::write_predictions(Format::Row, outputs, rules, &mut body),
            Self::Columns => json::write_predictions(Format::Column, outputs, rules, &mut body),
            Self::Classes => json::write_classifications(outputs, rules, &mut body),
            Self::Values => json::write_regressions(outputs, rules, &mut body),
        };
        written.map_err(BadReply::Outputs)?;
        Ok(Written {
            content_type: "application/json",
            header_length: None,
            signature: None,
            body,
        })
    }
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Row => Self::Rows,
            Format::Column => Self::Columns,
        }
    }
}

impl From<Method> for Form {
    fn from(method: Method) -> Self {
        match method {
            Method::Classify => Self::Classes,
            Method::Regress => Self::Values,
        }
    }
}

/// An answer as bytes.
#[derive(Debug)]
pub(super) struct Written {
    content_type: &'static str,
    /// Bytes of JSON, where raw tensors follow it.
    header_length: Option<usize>,
    /// Who gave the answer.
    pub(super) signature: Option<Signature>,
    pub(super) body: Vec<u8>,
}

impl Written {
    pub(super) fn response(self) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(length) = self.header_length {
            response.insert_header((HEADER_LENGTH, length.to_string()));
        }
        let mut response = response
            .content_type(self.content_type)
            // A result is its caller's alone.
            .insert_header((header::CACHE_CONTROL, "private, no-store"))
            .body(self.body);
        if let Some(signature) = self.signature {
            signature.put(response.headers_mut());
        }
        response
    }
}
