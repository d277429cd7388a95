//! The rows that take longer: `make faults` runs them beside those of `short`.

mod broker_rows;
mod infer_rows;
mod network_rows;
