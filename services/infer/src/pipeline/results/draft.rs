//! The records that answer a request: its result, and its dead letter where it needs one. Nothing is sent here.

use std::sync::Arc;

use millrace_kafka::{Headers, OutRecord};
use millrace_wire::Status;
use millrace_wire::headers::{self, Claim, ReplyTo, ResultHeaders};

use super::letter::{LetterSize, dead_letter};
use crate::pipeline::outcome::{Answered, Refusal, Stage};
use crate::pipeline::request::Request;
use crate::topics::ModelTopics;

/// Headers that speak to us, or that we write anew; all others are passed on.
const OUR_HEADERS: [&str; 16] = [
    headers::CLAIM,
    headers::CLAIM_LENGTH,
    headers::CLAIM_SHA256,
    headers::ID,
    headers::REPLY_TO,
    headers::REPLY_ONLY,
    headers::DEADLINE,
    headers::VERSION,
    headers::LABEL,
    headers::SIGNATURE,
    headers::CONTENT_TYPE,
    headers::MODEL,
    headers::STATUS,
    headers::ERROR,
    headers::SOURCE,
    headers::WEIGHTS_SHA256,
];

/// Whether a result carries what the request brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luggage {
    /// The request's key and unknown headers.
    Whole,
    /// Nothing: with it, the result was too large.
    None,
}

/// Knows the topics of a model.
#[derive(Debug)]
pub(crate) struct Drafts {
    model: String,
    topics: ModelTopics,
}

impl Drafts {
    pub(crate) fn new(model: &str, topics: ModelTopics) -> Self {
        Self {
            model: model.to_owned(),
            topics,
        }
    }

    /// The model's name.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Where the reply goes; `None` if no caller waits.
    ///
    /// # Errors
    /// The place is not on the topic of replies.
    pub(crate) fn reply_place(&self, request: &Request) -> Result<Option<i32>, ()> {
        if request.headers.reply_to_error.is_some() {
            return Err(());
        }
        let Some(ReplyTo { topic, partition }) = &request.headers.reply_to else {
            return Ok(None);
        };
        let replies = &self.topics.replies;
        let is_ours = **topic == *replies.topic && *partition < replies.partitions;
        is_ours.then_some(Some(*partition)).ok_or(())
    }

    /// Whether the reply is all that is wanted: no result, no dead letter.
    pub(crate) fn is_reply_only(&self, request: &Request) -> bool {
        let is_asked_for = request.record.headers.get_first(headers::REPLY_ONLY);
        is_asked_for.is_some() && matches!(self.reply_place(request), Ok(Some(_)))
    }

    /// The reply record.
    pub(crate) fn reply(
        &self,
        request: &Request,
        partition: i32,
        (headers, value): (Headers, Vec<u8>),
    ) -> OutRecord {
        OutRecord {
            topic: Arc::clone(&self.topics.replies.topic),
            partition: Some(partition),
            key: Some(request.id().into_bytes()),
            value: Some(value),
            headers,
        }
    }

    /// The largest record that both results and replies take.
    pub(crate) fn largest_record(&self) -> usize {
        let ModelTopics {
            results, replies, ..
        } = &self.topics;
        results.max_record_bytes.min(replies.max_record_bytes)
    }

    /// The headers of an answer, with those of its value in the store.
    pub(crate) fn answer_headers(&self, request: &Request, answered: &Answered) -> Headers {
        let mut headers = self.headers(request, None, Luggage::Whole);
        for (name, value) in answered.claim.iter().flat_map(Claim::to_pairs) {
            headers.push(name, Some(value));
        }
        headers
    }

    /// A result with these headers.
    pub(crate) fn result(&self, request: &Request, headers: Headers, value: Vec<u8>) -> OutRecord {
        OutRecord {
            topic: Arc::clone(&self.topics.results.topic),
            partition: Some(request.record.partition % self.topics.results.partitions.max(1)),
            key: request.record.key.clone(),
            value: Some(value),
            headers,
        }
    }

    /// An empty result with the reason in its headers.
    pub(crate) fn error_result(
        &self,
        request: &Request,
        refusal: &Refusal,
        luggage: Luggage,
    ) -> OutRecord {
        let headers = self.headers(request, Some(refusal), luggage);
        let mut record = self.result(request, headers, Vec::new());
        record.key = record.key.filter(|_| luggage == Luggage::Whole);
        record
    }

    /// The headers of a result.
    pub(crate) fn headers(
        &self,
        request: &Request,
        refusal: Option<&Refusal>,
        luggage: Luggage,
    ) -> Headers {
        let served = request.served.as_deref();
        let ours = ResultHeaders {
            id: request.id(),
            model: self.model.clone(),
            version: served.map(|served| served.version),
            weights_sha256: served.map(|served| served.sha256.clone()),
            status: refusal.map_or(Status::Ok, |refusal| refusal.status),
            error: refusal.map(|refusal| refusal.sentence.clone()),
            source: request.source(),
        };
        let pairs = ours.to_pairs();
        let mut all = Headers::with_capacity(pairs.len() + request.record.headers.len());
        for (name, value) in pairs {
            all.push(name, Some(value));
        }
        let passed_on = &request.record.headers;
        let is_bearable = passed_on.len() <= headers::MAX_HEADERS
            && passed_on.size_bytes() <= headers::MAX_HEADER_BYTES;
        let place = request.place();
        if luggage == Luggage::Whole && is_bearable {
            for (name, value) in passed_on.iter() {
                let is_renewed = name == headers::TRACEPARENT && place.is_some();
                if !OUR_HEADERS.contains(&name) && !is_renewed {
                    all.push(name.to_owned(), value.map(<[u8]>::to_vec));
                }
            }
        }
        if let Some(place) = place.filter(|_| luggage == Luggage::Whole) {
            all.push_text(headers::TRACEPARENT, place.traceparent());
        }
        all
    }

    /// The dead letter of a request.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn letter(
        &self,
        request: &Request,
        refusal: &Refusal,
        size: LetterSize,
    ) -> anyhow::Result<OutRecord> {
        let letter = dead_letter(request, refusal, size, &self.model);
        Ok(OutRecord {
            topic: Arc::clone(&self.topics.dead_letters.topic),
            partition: None,
            key: letter.key.clone(),
            value: Some(letter.encode()?),
            headers: Headers::new(),
        })
    }

    /// Whether the record's topic takes it; a larger one would take those down that share its batch.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn check_size(&self, record: &OutRecord) -> Result<(), String> {
        let ModelTopics {
            results,
            replies,
            dead_letters,
            ..
        } = &self.topics;
        let target = [results, replies, dead_letters]
            .into_iter()
            .find(|target| Arc::ptr_eq(&target.topic, &record.topic));
        let limit_bytes = target.map_or(usize::MAX, |target| target.max_record_bytes);
        let size_bytes = record.size_bytes();
        if size_bytes <= limit_bytes {
            return Ok(());
        }
        let topic = &record.topic;
        Err(format!(
            "topic {topic} takes {limit_bytes} bytes, the record has {size_bytes}"
        ))
    }
}

/// Why a result does not arrive that the broker does not take.
pub(super) fn too_large(size_bytes: usize, reason: &str) -> Refusal {
    let sentence = format!(
        "the result of {size_bytes} bytes cannot be sent: {reason}; set claims.url and it goes to a store"
    );
    Refusal::new(Status::OutOfRange, Stage::Result, sentence)
}
