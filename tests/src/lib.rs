//! What the end-to-end tests share: real processes, a line of topics per test, test data, and the topics read back.

#![allow(clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod digits;
mod line;
mod process;
mod tap;
mod wait;

pub use digits::{Digits, digits};
pub use line::{Line, PATIENCE, project_path};
pub use process::Process;
pub use tap::{Feed, Tap, header};
pub use wait::wait_for;
