//! What the end-to-end tests share: real processes, a line of topics per test, test data, and the topics read back.

#![allow(
    clippy::print_stderr,
    reason = "a test that fails shows the logs of its processes"
)]

mod digits;
mod line;
mod process;
mod tap;
mod wait;

pub use digits::{Digits, digits};
pub use line::{Infer, Line, PATIENCE, project_path};
pub use process::{Process, binary_path, tool};
pub use tap::{Feed, Tap, header};
pub use wait::wait_for;
