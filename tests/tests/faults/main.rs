//! Faults, on a cluster of three nodes, while records flow: what infer promises about results holds through them.
//!
//! A short form runs with all tests; `make faults` sends more records through each fault.

#![allow(
    clippy::print_stdout,
    reason = "each run says how many records went through it"
)]

mod broker_rows;
mod infer_rows;
mod ledger;
mod network_rows;
mod rig;
