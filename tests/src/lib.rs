//! What the end-to-end tests share: real processes, a line of topics per test, test data, and the topics read back.

#![allow(
    clippy::print_stderr,
    reason = "a test that fails shows the logs of its processes"
)]

mod backlog;
mod cluster;
mod collector;
mod custom_ops;
mod digits;
mod line;
mod models;
mod process;
mod proxy;
mod supervisor;
mod tap;
mod wait;

pub use backlog::{Held, check_memory};
pub use cluster::Cluster;
pub use collector::{Collector, Span, SpanPlace};
pub use custom_ops::fatal_operators;
pub use digits::{Digits, digits};
pub use line::{Infer, Line, PATIENCE, project_path};
pub use models::ModelFolder;
pub use process::{Process, Program, binary_path, tool};
pub use proxy::{Api, Proxy, Rule, Side, What};
pub use supervisor::Supervisor;
pub use tap::{Feed, Tap, header};
pub use wait::wait_for;
