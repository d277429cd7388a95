//! Results, replies and dead letters: what is sent for each request, and when the request is finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use millrace_claims::Object;
use millrace_kafka::{Failure, Headers, Producer, Record};
use millrace_wire::Status;

use super::desk::Desk;
use super::limit::{Fate, Limit};
use super::outcome::{Answered, Outcome, Refusal, Resend, Settled, Verdict};
use super::porters::{self, Porters};
use super::request::Request;
use crate::batch::Priority;
use crate::fatal::Fatal;
use crate::metrics::ModelMetrics;
use crate::sabotage::{self, Guard};

mod bundle;
mod draft;
mod entry;
mod letter;
mod post;
mod reply;
mod transactor;

use draft::{Luggage, too_large};
use entry::Entry;

pub(crate) use draft::Drafts;
pub(crate) use letter::LetterSize;
pub(crate) use transactor::{Counter, Transactor};

/// What all threads of one model share.
#[derive(Debug)]
pub(crate) struct Results {
    producer: Producer,
    drafts: Arc<Drafts>,
    outlets: Outlets,
    shared: Shared,
}

/// Where the outcomes of each lane leave.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) interactive: Outlet,
    /// Where there is a bulk lane.
    pub(crate) bulk: Option<Outlet>,
}

/// Where the outcomes of one lane leave.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Where everything that must be durable goes under `exactly_once`; else it is sent right away.
    pub(crate) counter: Option<Counter>,
    /// Nothing leaves while it is reached.
    pub(crate) limit: Limit,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) desk: Desk,
    /// Where there is a store for values that are too large for their records.
    pub(crate) porters: Option<Porters>,
    pub(crate) metrics: ModelMetrics,
    pub(crate) fatal: Fatal,
}

/// A request and how many acknowledgements it still waits for.
#[derive(Debug)]
pub(crate) struct Debts {
    request: Arc<Request>,
    open: AtomicUsize,
}

impl Debts {
    fn of(request: &Arc<Request>, acknowledgements: usize) -> Arc<Self> {
        Arc::new(Self {
            request: Arc::clone(request),
            open: AtomicUsize::new(acknowledgements),
        })
    }

    /// One record about the request is durable; with the last one the request is finished.
    fn pay(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.request.finish();
        }
    }
}

impl Results {
    pub(crate) fn new(
        producer: Producer,
        drafts: Arc<Drafts>,
        outlets: Outlets,
        shared: Shared,
    ) -> Self {
        Self {
            producer,
            drafts,
            outlets,
            shared,
        }
    }

    /// The model's name.
    pub(crate) fn model(&self) -> &str {
        self.drafts.model()
    }

    /// Leaves work to the desk; never waits.
    pub(crate) fn hand_in(&self, settled: Settled) {
        self.shared.desk.hand_in(settled);
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.shared.desk
    }

    /// Who fetches and keeps large values, where there is a store for them.
    pub(crate) fn porters(&self) -> Option<&Porters> {
        self.shared.porters.as_ref()
    }

    /// Where the value of a record lies that has none itself.
    ///
    /// # Errors
    /// The refusal of a record whose value cannot be had.
    pub(crate) fn claim_of(&self, record: &Record) -> Result<Option<Object>, Refusal> {
        porters::claim_of(record, self.porters())
    }

    pub(crate) fn metrics(&self) -> &ModelMetrics {
        &self.shared.metrics
    }

    pub(crate) fn fatal(&self) -> &Fatal {
        &self.shared.fatal
    }

    /// Where the outcomes of a lane leave.
    pub(crate) fn outlet(&self, priority: Priority) -> &Outlet {
        let Outlets { interactive, bulk } = &self.outlets;
        match priority {
            Priority::Interactive => interactive,
            Priority::Bulk => bulk.as_ref().unwrap_or(interactive),
        }
    }

    /// Where transactions are made, under `exactly_once`.
    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counter> {
        let Outlets { interactive, bulk } = &self.outlets;
        let outlets = bulk.iter().chain([interactive]);
        outlets.filter_map(|outlet| outlet.counter.as_ref())
    }

    /// Whether its outcome may leave: the partition is still ours, and its lane is read.
    pub(crate) fn is_wanted(&self, request: &Request) -> bool {
        request.is_current() && !self.outlet(request.priority).limit.is_reached()
    }

    /// Sends what has its turn; may wait for room in the producer.
    pub(crate) fn settle(self: &Arc<Self>, settled: Settled) {
        match settled {
            Settled::InTurn(outcome) if sabotage::is_missing(Guard::Order) => self.send(outcome),
            Settled::InTurn(outcome) => {
                let (lane, sequence) =
                    (Arc::clone(&outcome.request.lane), outcome.request.sequence);
                lane.offer(sequence, outcome, |outcome| self.send(outcome));
            }
            Settled::Late(outcome) => self.send(outcome),
            Settled::Again(debts, refusal, Resend::Result) => {
                self.send_error_result(&debts, refusal, Luggage::None)
            }
            Settled::Again(debts, refusal, Resend::Letter(size)) => {
                self.send_letter(debts, refusal, size)
            }
        }
    }

    /// Sends the outcome of a run in its turn. A value that is too large for its topics is put into the store before;
    /// waits while too many are.
    pub(crate) fn conclude(self: &Arc<Self>, outcome: Outcome) {
        let topic_bytes = self.drafts.largest_record();
        match (&outcome.verdict, self.porters()) {
            (Verdict::Answer(answered), Some(porters))
                if porters.takes(answered.value.len(), topic_bytes) =>
            {
                porters.keep(outcome);
            }
            _ => self.settle(Settled::InTurn(outcome)),
        }
    }

    /// Leaves a refusal to the desk.
    pub(crate) fn refuse(&self, request: &Arc<Request>, refusal: Refusal) {
        if let Some(settled) = Settled::refusing(request, refusal) {
            self.hand_in(settled);
        }
    }

    fn send(self: &Arc<Self>, outcome: Outcome) {
        let outlet = self.outlet(outcome.request.priority);
        let reply_only = self.drafts.is_reply_only(&outcome.request);
        let fate = match reply_only {
            true => Fate::Answered,
            false => outcome.fate(),
        };
        if !outlet.limit.admit(fate, Instant::now()) {
            // Dropped with its ticket: the offset stays.
            self.metrics().skipped.inc();
            return;
        }
        let Outcome { request, verdict } = outcome;
        if let Verdict::Refusal(refusal) = &verdict {
            request.fail(&refusal.sentence);
        }
        if reply_only {
            return self.reply_alone(&request, verdict);
        }
        if let Some(counter) = &outlet.counter {
            return self.hand_over(counter, request, verdict);
        }
        match verdict {
            Verdict::Answer(answered) => self.send_answer(request, answered),
            Verdict::Refusal(refusal) => self.send_refusal(&request, refusal),
        }
    }

    /// The caller who waits is answered now; the result is committed with others.
    fn hand_over(self: &Arc<Self>, counter: &Counter, request: Arc<Request>, verdict: Verdict) {
        if request.wants_reply() {
            let (headers, value) = match &verdict {
                Verdict::Answer(answered) => (
                    self.drafts.answer_headers(&request, answered),
                    answered.value.as_slice(),
                ),
                Verdict::Refusal(refusal) => (
                    self.drafts.headers(&request, Some(refusal), Luggage::Whole),
                    [].as_slice(),
                ),
            };
            self.reply(&request, &headers, value);
        }
        match Entry::new(&self.drafts, request, verdict) {
            Ok(entry) => counter.hand_in(entry),
            Err(error) => self.fatal().report(error),
        }
    }

    fn send_answer(self: &Arc<Self>, request: Arc<Request>, answered: Answered) {
        let headers = self.drafts.answer_headers(&request, &answered);
        let value = answered.value;
        let size_bytes = value.len();
        self.reply(&request, &headers, &value);
        let record = self.drafts.result(&request, headers, value);
        let results = Arc::clone(self);
        let sent = Arc::clone(&request);
        if sabotage::is_missing(Guard::Acknowledgement) {
            request.finish();
        }
        let began = Instant::now();
        let outcome = self.post(record, move |delivery| match delivery {
            Ok(()) => {
                results.metrics().produce.observe(began.elapsed());
                results.metrics().count_result(Status::Ok);
                sent.finish();
            }
            Err(error) if error.failure == Failure::Poison => {
                let verdict = Verdict::Refusal(too_large(size_bytes, &error.to_string()));
                results.hand_in(Settled::Late(Outcome {
                    request: sent,
                    verdict,
                }));
            }
            Err(error) => results.undelivered(error),
        });
        if let Err(reason) = outcome {
            self.send_refusal(&request, too_large(size_bytes, &reason));
        }
    }

    fn send_refusal(self: &Arc<Self>, request: &Arc<Request>, refusal: Refusal) {
        let debts = Debts::of(request, if refusal.stage.needs_letter() { 2 } else { 1 });
        let headers = self.drafts.headers(request, Some(&refusal), Luggage::Whole);
        self.reply(request, &headers, &[]);
        self.send_error_result(&debts, refusal.clone(), Luggage::Whole);
        if refusal.stage.needs_letter() {
            self.send_letter(debts, refusal, LetterSize::Whole);
        }
    }

    /// An empty result with the reason in its headers.
    fn send_error_result(self: &Arc<Self>, debts: &Arc<Debts>, refusal: Refusal, luggage: Luggage) {
        let record = self.drafts.error_result(&debts.request, &refusal, luggage);
        let (results, debt, sent) = (Arc::clone(self), Arc::clone(debts), refusal.clone());
        let outcome = self.post(record, move |delivery| match delivery {
            Ok(()) => {
                results.metrics().count_result(sent.status);
                debt.pay();
            }
            Err(error) if error.failure == Failure::Poison && luggage == Luggage::Whole => {
                results.hand_in(Settled::Again(debt, sent, Resend::Result));
            }
            Err(error) => results.undelivered(error),
        });
        match (outcome, luggage) {
            (Ok(()), _) => {}
            (Err(_), Luggage::Whole) => self.send_error_result(debts, refusal, Luggage::None),
            (Err(reason), Luggage::None) => self.unsendable("an empty result", &reason),
        }
    }

    /// A copy of the result for the caller who waits. It is never waited for: the result is in its topic as well.
    fn reply(self: &Arc<Self>, request: &Request, headers: &Headers, value: &[u8]) {
        let partition = match self.drafts.reply_place(request) {
            Ok(Some(partition)) => partition,
            Ok(None) => return,
            Err(()) => return self.metrics().count_lost_reply("refused"),
        };
        let content = (headers.clone(), value.to_vec());
        let record = self.drafts.reply(request, partition, content);
        let results = Arc::clone(self);
        let outcome = self.post(record, move |delivery| match delivery {
            Ok(()) => {
                results.metrics().replies_sent.inc();
            }
            Err(_) => results.metrics().count_lost_reply("failed"),
        });
        if outcome.is_err() {
            self.metrics().count_lost_reply("failed");
        }
    }
}
