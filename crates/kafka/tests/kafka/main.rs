//! The crate against a real broker, named by `MILLRACE_KAFKA__BROKERS`, and
//! for outages against librdkafka's mock cluster.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the whole binary is tests, helpers included"
)]

mod administering;
mod backpressure;
mod consuming;
mod following;
mod leaving;
mod outages;
mod producing;
mod reading;
mod rebalancing;
mod rewriting;
mod securing;
mod support;
mod transacting;
