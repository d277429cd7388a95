//! What every protocol shares: begin a request, read it, ask infer, hand the answer back.
//!
//! A protocol does `begin → read the body → parse with the signature → ask →
//! write`; everything between those steps, its order and its limits stand here
//! once. Nothing in this folder knows HTTP, gRPC or JSON.

pub(crate) mod admission;
pub(crate) mod catalog;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod follow;
pub(crate) mod head;
pub(crate) mod large;
pub(crate) mod line;
pub(crate) mod metrics;
mod outlet;
pub(crate) mod overload;
pub(crate) mod pending;
mod permission;
pub(crate) mod rate;
pub(crate) mod records;
pub(crate) mod statistics;
pub(crate) mod target;
pub(crate) mod topics;
pub(crate) mod trace_context;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use millrace_claims::Store;
use millrace_kafka::Producer;
use millrace_wire::Limits;
use millrace_wire::json::{JsonLimits, JsonRules, Strictness};

use crate::access::{Access, Right};
use crate::console::Console;
use crate::later::Later;
use crate::openapi::Description;
use crate::settings::Settings;

use admission::Admission;
use catalog::Catalog;
use control::Control;
use large::Large;
use line::Line;
use metrics::Metrics;
use overload::Behind;
use pending::Pending;
use rate::{Rates, TooOften};
use statistics::Statistics;
use topics::Topics;

pub(crate) use error::Error;
pub(crate) use exchange::{Answer, Exchange};
pub(crate) use head::Head;
pub(crate) use target::{Target, Wanted};

/// The running ingest as its protocols see it: one per process, cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    parts: Arc<Parts>,
}

/// What a [`Front`] is made of.
pub(crate) struct Parts {
    pub(crate) access: Access,
    pub(crate) catalog: Catalog,
    pub(crate) line: Line,
    pub(crate) large: Large,
    pub(crate) pending: Pending,
    pub(crate) admission: Admission,
    rates: Option<Rates>,
    pub(crate) metrics: Metrics,
    pub(crate) statistics: Statistics,
    pub(crate) topics: Topics,
    pub(crate) later: Later,
    control: Control,
    pub(crate) console: Console,
    pub(crate) limits: RequestLimits,
    pub(crate) description: Description,
    default_model: Option<String>,
}

/// What a [`Front`] is built from besides its settings.
pub(crate) struct Made {
    pub(crate) access: Access,
    pub(crate) metrics: Metrics,
    pub(crate) producer: Producer,
    pub(crate) later: Later,
    /// Where values are that are too large for their records.
    pub(crate) store: Option<Arc<Store>>,
}

/// What bounds one request.
#[derive(Debug, Clone)]
pub(crate) struct RequestLimits {
    /// From the head to the answer, whatever the caller asks for.
    pub(crate) timeout: Duration,
    /// The largest body as it is sent.
    pub(crate) body_bytes: usize,
    /// The largest body once decompressed; 0 means that none is.
    pub(crate) decompressed_bytes: usize,
    /// The longest silence between two pieces of a body.
    pub(crate) silence: Duration,
    /// Headers of one request, and the bytes of them and the path.
    pub(crate) headers: usize,
    pub(crate) header_bytes: usize,
    pub(crate) json: JsonLimits,
    /// Of the request record, for bodies that are no JSON.
    pub(crate) request: Limits,
    /// Of the reply record.
    pub(crate) reply: Limits,
    /// Requests that may wait for a model.
    pub(crate) max_lag_records: Option<u64>,
    /// Where a proxy says for whom it asks.
    pub(crate) address_header: Option<String>,
}

impl Deref for Front {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Front {
    pub(crate) fn new(settings: &Settings, made: Made) -> Self {
        let limits = &settings.limits;
        let Made {
            access,
            metrics,
            producer,
            later,
            store,
        } = made;
        let pending = Pending::new(metrics.clone());
        let parts = Parts {
            access,
            catalog: Catalog::default(),
            line: Line::new(producer, pending.clone()),
            large: Large::new(store, limits.record_bytes),
            pending,
            admission: Admission::new(limits.in_flight_requests, limits.in_flight_bytes),
            rates: Rates::new(&limits.rate),
            metrics,
            statistics: Statistics::default(),
            topics: Topics::new(&settings.topics.prefix),
            later,
            control: Control::new(settings),
            console: Console::new(settings),
            limits: RequestLimits::of(settings),
            description: Description::of(&settings.access),
            default_model: settings.default_model.clone(),
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Lets a request in, before its body is read.
    ///
    /// # Errors
    /// The first that applies: the caller may not, or not so often, nobody
    /// serves the target, too much waits for it already, the caller's deadline has passed already.
    pub(crate) fn begin(&self, head: Head, target: &Target) -> Result<Exchange, Error> {
        self.permit(&head.caller, Right::Predict, &target.model)?;
        self.count(&head)?;
        let served = self.find_permitted(&head.caller, target)?;
        let limit = self.limits.max_lag_records;
        Behind::check(&served.model, served.backlog_records, limit)?;
        Exchange::begin(self.clone(), head, target, served)
    }

    /// Counts a request against what its caller may.
    ///
    /// # Errors
    /// [`TooOften`]
    pub(crate) fn count(&self, head: &Head) -> Result<(), TooOften> {
        match &self.rates {
            Some(rates) => rates.check(head.caller.known_name(), head.address),
            None => Ok(()),
        }
    }
}

impl RequestLimits {
    pub(crate) fn of(settings: &Settings) -> Self {
        let limits = &settings.limits;
        let reply = Limits {
            max_record_bytes: settings.claims.largest(limits.record_bytes),
            ..Limits::default()
        };
        Self {
            timeout: settings.request_timeout,
            body_bytes: limits.body_bytes,
            decompressed_bytes: limits.decompressed_bytes,
            silence: settings.http.read_timeout,
            headers: limits.headers,
            header_bytes: limits.header_bytes,
            json: JsonLimits {
                max_rows: limits.instances,
                max_elements: limits.elements,
                max_depth: limits.depth,
                rules: rules_of(settings),
                ..JsonLimits::default()
            },
            request: Limits {
                max_rows: limits.instances,
                max_elements: limits.elements,
                ..reply.clone()
            },
            reply,
            max_lag_records: limits.max_lag_records,
            address_header: limits.rate.address_header.clone(),
        }
    }
}

fn rules_of(settings: &Settings) -> JsonRules {
    let strictness = match settings.json.strict {
        true => Strictness::Strict,
        false => Strictness::Lenient,
    };
    JsonRules {
        strictness,
        ..JsonRules::default()
    }
}
