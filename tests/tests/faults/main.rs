//! Faults, on a cluster of three nodes, while records flow: what infer promises about results holds through them.
//!
//! `make test` runs the rows of `short`; `make faults` all of them, with more records.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "each run says how many records went through it"
)]

mod callers;
mod full;
mod ledger;
mod records;
mod replica;
mod report;
mod rig;
mod scenes;
mod short;
mod silence;
