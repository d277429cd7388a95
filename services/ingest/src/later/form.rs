//! How an answer is written when it is fetched: as its request's protocol would have.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use millrace_wire::json::{self, Format};
use millrace_wire::oip::{self, Outputs};

use crate::arrow_body::{self, ARROW_STREAM};
use crate::front::error::BadReply;
use crate::front::{Answer, Error, Front};
use crate::oip::OipError;

/// The form of an answer; part of a [`super::location::Location`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// TensorFlow Serving's `predictions`.
    Rows,
    /// TensorFlow Serving's `outputs`.
    Columns,
    /// The Open Inference Protocol's answer with all outputs as JSON.
    Oip,
    /// The Arrow stream as infer wrote it.
    Arrow,
}

const ALL: [Form; 4] = [Form::Rows, Form::Columns, Form::Oip, Form::Arrow];

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Columns => "columns",
            Self::Oip => "oip",
            Self::Arrow => "arrow",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|form| form.name() == name)
    }

    /// The same as JSON, for where nothing else can be.
    pub(super) fn into_text(self) -> Self {
        match self {
            Self::Arrow => Self::Rows,
            text => text,
        }
    }

    /// The form that the caller's `Accept` asks for.
    pub(super) fn wanted(self, request: &HttpRequest) -> Self {
        let own = match self {
            Self::Arrow => arrow_body::Form::Arrow,
            Self::Rows | Self::Columns | Self::Oip => arrow_body::Form::Text,
        };
        match arrow_body::Form::wanted(request, own) {
            arrow_body::Form::Arrow => Self::Arrow,
            arrow_body::Form::Text => self.into_text(),
        }
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// Outputs that this form cannot show.
    pub(super) fn write(self, answer: Answer, front: &Front) -> Result<Written, Error> {
        let format = match self {
            Self::Arrow => {
                return Ok(Written {
                    content_type: ARROW_STREAM,
                    body: answer.outputs.into_payload(),
                });
            }
            Self::Oip => {
                return Ok(Written {
                    content_type: "application/json",
                    body: oip_answer(&answer, front)?,
                });
            }
            Self::Rows => Format::Row,
            Self::Columns => Format::Column,
        };
        let mut body = Vec::new();
        let rules = &front.limits.json.rules;
        json::write_predictions(format, &answer.outputs, rules, &mut body)
            .map_err(BadReply::Outputs)?;
        Ok(Written {
            content_type: "application/json",
            body,
        })
    }
}

fn oip_answer(answer: &Answer, front: &Front) -> Result<Vec<u8>, OipError> {
    let who = oip::Answer {
        model: &answer.model,
        version: answer.version,
        id: None,
    };
    let written = oip::write_infer(
        &who,
        &answer.outputs,
        &Outputs::default(),
        &front.limits.json.rules,
    );
    Ok(written.map_err(OipError::Response)?.body)
}

impl From<Format> for Form {
    fn from(format: Format) -> Self {
        match format {
            Format::Row => Self::Rows,
            Format::Column => Self::Columns,
        }
    }
}

/// An answer as bytes.
#[derive(Debug)]
pub(super) struct Written {
    content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Written {
    pub(super) fn response(self) -> HttpResponse {
        HttpResponse::Ok()
            .content_type(self.content_type)
            // A result is its caller's alone.
            .insert_header((header::CACHE_CONTROL, "private, no-store"))
            .body(self.body)
    }
}
