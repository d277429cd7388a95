//! The command line as its users meet it: the built program, its answers and its exit codes.
//! One module per command; those that need a broker find it in `MILLRACE_KAFKA__BROKERS`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and unwrap says where"
)]

mod control;
mod data;
mod dead_letters;
mod destinations;
mod frame;
mod line;
mod looking;
mod program;
mod tail;
