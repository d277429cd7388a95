//! An open loop: requests that are due at times of their own, latencies counted from these times,
//! and the HTTP connection that costs the caller least.
//!
//! This crate knows nothing of Kafka, tensors, models, settings or logging: what a request is, its
//! caller says. `millrace bench` and the load generator measure with it.

mod http;
mod latency;
mod run;
mod schedule;

pub use http::{Connection, Request, Response};
pub use latency::{Latencies, Summary};
pub use run::{Load, Outcome, run};
pub use schedule::Schedule;
