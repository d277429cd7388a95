//! The benchmark: real processes on a real broker, an open loop for latency, paired runs for rates, every answer
//! checked. See `load/NOTES.md` for figures and for what was tried.

pub mod check;
pub mod compute;
pub mod cpu;
pub mod delivery;
pub mod line;
pub mod machine;
pub mod networks;
pub mod options;
pub mod predict;
pub mod probe;
pub mod process;
pub mod ratio;
pub mod reference;
pub mod report;
pub mod rows;
pub mod samples;
pub mod stream;
pub mod swap;
pub mod telemetry;

use std::io::Write as _;

/// A line about the progress, beside the report.
pub fn say(line: &str) {
    // Without anybody to read it there is nothing to be said.
    let _ = writeln!(std::io::stderr(), "{line}");
}
