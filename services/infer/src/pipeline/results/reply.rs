//! Requests whose reply is all that is wanted, as a replay's: no result, no dead letter, only the offset.

use std::sync::Arc;

use millrace_kafka::{DeliveryError, Failure};

use super::draft::{Luggage, too_large};
use super::entry::Entry;
use super::{Counter, Outcome, Request, Results, Settled, Verdict};

impl Results {
    /// Sends the reply. It is the only copy there will be, so the request is finished once the broker has it; under
    /// `exactly_once` its offset is committed in its turn, as those of others are.
    pub(super) fn reply_alone(self: &Arc<Self>, request: &Arc<Request>, verdict: Verdict) {
        let Ok(Some(partition)) = self.drafts.reply_place(request) else {
            return self.lose(request);
        };
        let (headers, value, size_bytes) = match verdict {
            Verdict::Answer(answered) => {
                let headers = self.drafts.answer_headers(request, &answered);
                let size_bytes = answered.value.len();
                (headers, answered.value, Some(size_bytes))
            }
            Verdict::Refusal(refusal) => {
                let headers = self.drafts.headers(request, Some(&refusal), Luggage::Whole);
                (headers, Vec::new(), None)
            }
        };
        let record = self.drafts.reply(request, partition, (headers, value));
        let (results, sent) = (Arc::clone(self), Arc::clone(request));
        let posted = self.post(record, move |delivery| match delivery {
            Ok(()) => {
                results.metrics().replies_sent.inc();
                if results.counter(&sent).is_none() {
                    sent.finish();
                }
            }
            Err(error) => results.unreplied(&sent, size_bytes, error),
        });
        match (posted, size_bytes) {
            (Ok(()), _) => self.count_in(request),
            (Err(reason), Some(bytes)) => {
                self.reply_alone(request, Verdict::Refusal(too_large(bytes, &reason)));
            }
            (Err(_), None) => self.lose(request),
        }
    }

    fn unreplied(&self, request: &Arc<Request>, size_bytes: Option<usize>, error: DeliveryError) {
        match (error.failure, size_bytes) {
            (Failure::Poison, Some(bytes)) => self.hand_in(Settled::Late(Outcome {
                request: Arc::clone(request),
                verdict: Verdict::Refusal(too_large(bytes, &error.to_string())),
            })),
            (Failure::Poison, None) => self.lose(request),
            _ => self.undelivered(error),
        }
    }

    /// Not even a refusal can be sent: the request is over all the same.
    fn lose(&self, request: &Arc<Request>) {
        self.metrics().count_lost_reply("failed");
        match self.counter(request) {
            Some(_) => self.count_in(request),
            None => request.finish(),
        }
    }

    fn counter(&self, request: &Request) -> Option<&Counter> {
        self.outlet(request.priority).counter.as_ref()
    }

    /// Lets the offset become part of the next transaction, where there are any.
    fn count_in(&self, request: &Arc<Request>) {
        if let Some(counter) = self.counter(request) {
            counter.hand_in(Entry::of_reply(Arc::clone(request)));
        }
    }
}
