//! The start-up crate from outside: over HTTP, with signals, and in processes of its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its child process talks by printing"
)]

mod admin;
mod child;
mod process;
