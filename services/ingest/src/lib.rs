//! Ingest: HTTP in, Kafka out, and the reply back to the caller who waits.
//!
//! A request is checked against the signature that infer published, encoded as
//! one Arrow record, produced to the model's request topic, and answered when
//! the reply with its id arrives on this replica's reply partition. Ingest
//! never talks to infer and knows nothing about engines.

mod admission;
mod app;
mod body;
mod catalog;
mod error;
mod follow;
mod line;
mod metrics;
mod observe;
mod pending;
mod predict;
mod routes;
mod settings;
mod state;
mod trace_context;

pub use app::App;
pub use settings::{HttpSettings, LimitSettings, RepliesSettings, Settings, TopicSettings};
