//! A request and the records that answer it, which shrink when they are too large for their topics.

use std::sync::Arc;

use millrace_kafka::OutRecord;
use millrace_wire::Status;

use super::draft::{Drafts, Luggage, too_large};
use super::letter::LetterSize;
use crate::metrics::ModelMetrics;
use crate::pipeline::outcome::{Refusal, Verdict};
use crate::pipeline::request::Request;

/// Becomes durable as a whole, together with the request's offset.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) request: Arc<Request>,
    /// The result, then the dead letter if there is one.
    pub(crate) records: Vec<OutRecord>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Answered by a reply alone: there is no record, only the offset.
    Reply,
    Answer {
        size_bytes: usize,
    },
    Refusal {
        refusal: Refusal,
        luggage: Luggage,
        size: LetterSize,
    },
}

impl Form {
    fn of(refusal: Refusal) -> Self {
        Form::Refusal {
            refusal,
            luggage: Luggage::Whole,
            size: LetterSize::Whole,
        }
    }
}

impl Entry {
    /// The records for an outcome, as small as their topics ask for.
    ///
    /// # Errors
    /// When not even the smallest are taken.
    pub(crate) fn new(
        drafts: &Drafts,
        request: Arc<Request>,
        verdict: Verdict,
    ) -> anyhow::Result<Self> {
        let mut entry = match verdict {
            Verdict::Answer(answered) => {
                let size_bytes = answered.value.len();
                let headers = drafts.answer_headers(&request, &answered);
                Self {
                    records: vec![drafts.result(&request, headers, answered.value)],
                    request,
                    form: Form::Answer { size_bytes },
                }
            }
            Verdict::Refusal(refusal) => {
                let form = Form::of(refusal);
                let records = Vec::new();
                let mut entry = Self {
                    request,
                    records,
                    form,
                };
                entry.draw_up(drafts)?;
                entry
            }
        };
        entry.fit(drafts)?;
        Ok(entry)
    }

    /// Only the offset of a request that was replied to.
    pub(crate) fn of_reply(request: Arc<Request>) -> Self {
        Self {
            request,
            records: Vec::new(),
            form: Form::Reply,
        }
    }

    /// Bytes of its records.
    pub(crate) fn size_bytes(&self) -> usize {
        self.records.iter().map(OutRecord::size_bytes).sum()
    }

    /// Puts smaller records in the place of those of which the one at `refused` cannot be written.
    ///
    /// # Errors
    /// When there is nothing smaller.
    pub(crate) fn shrink(
        &mut self,
        drafts: &Drafts,
        refused: usize,
        reason: &str,
    ) -> anyhow::Result<()> {
        match (&mut self.form, refused) {
            (Form::Reply, _) => anyhow::bail!("a reply has no records: {reason}"),
            (Form::Answer { size_bytes }, _) => {
                self.form = Form::of(too_large(*size_bytes, reason));
            }
            (Form::Refusal { luggage, .. }, 0) => {
                anyhow::ensure!(
                    *luggage == Luggage::Whole,
                    "an empty result cannot be sent: {reason}"
                );
                *luggage = Luggage::None;
            }
            (Form::Refusal { size, .. }, _) => match size.smaller() {
                Some(smaller) => *size = smaller,
                None => anyhow::bail!("a dead letter cannot be sent: {reason}"),
            },
        }
        self.draw_up(drafts)?;
        self.fit(drafts)
    }

    fn fit(&mut self, drafts: &Drafts) -> anyhow::Result<()> {
        let mut records = self.records.iter().enumerate();
        let too_large = records.find_map(|(index, it)| Some((index, drafts.check_size(it).err()?)));
        match too_large {
            Some((index, reason)) => self.shrink(drafts, index, &reason),
            None => Ok(()),
        }
    }

    fn draw_up(&mut self, drafts: &Drafts) -> anyhow::Result<()> {
        let Form::Refusal {
            refusal,
            luggage,
            size,
        } = &self.form
        else {
            return Ok(());
        };
        self.records = vec![drafts.error_result(&self.request, refusal, *luggage)];
        if refusal.stage.needs_letter() {
            self.records
                .push(drafts.letter(&self.request, refusal, *size)?);
        }
        Ok(())
    }

    /// It is durable: counts it and finishes the request.
    pub(crate) fn finish(&self, metrics: &ModelMetrics) {
        match &self.form {
            Form::Reply => {}
            Form::Answer { .. } => metrics.count_result(Status::Ok),
            Form::Refusal { refusal, .. } => {
                metrics.count_result(refusal.status);
                if refusal.stage.needs_letter() {
                    metrics.count_dead_letter(refusal.stage.name(), refusal.status.name());
                }
            }
        }
        self.request.finish();
    }
}
