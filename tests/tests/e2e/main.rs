//! One file per promise, each on a real broker with real processes.

mod bad_records;
mod broker_stopped;
mod command_line;
mod crash_loop;
mod digit_records;
mod format_models;
mod formats;
mod http_round_trip;
mod images;
mod import_rules;
mod infer_stopped;
mod ingest_killed;
mod model_repository;
mod not_ready;
mod order;
mod predict;
mod produce;
mod python_arrow;
mod readme_commands;
mod score_formats;
mod score_killed;
mod secrets;
mod sink_killed;
mod up;
