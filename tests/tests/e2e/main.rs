//! One file per promise, each on a real broker with real processes.

mod bad_records;
mod broker_stopped;
mod digit_records;
mod http_round_trip;
mod import_rules;
mod infer_stopped;
mod ingest_killed;
mod not_ready;
mod order;
mod python_arrow;
mod secrets;
mod sink_killed;
mod up;
