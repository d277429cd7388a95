//! The rows that take longer: `make faults` runs them beside those of `short`.

mod broker_rows;
mod controls;
mod infer_rows;
mod ingest_rows;
mod member_rows;
mod memory_rows;
mod network_rows;
mod sink_rows;
