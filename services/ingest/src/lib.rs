//! Ingest: requests in over HTTP and gRPC, Kafka out, and the reply back to the caller who waits.
//!
//! A request is checked against the signature that infer published, encoded as
//! one Arrow record, produced to the model's request topic, and answered when
//! the reply with its id arrives on this replica's reply partition. Ingest
//! never talks to infer and knows nothing about engines.
//!
//! `front` is what all protocols share; `http` is what those over HTTP share;
//! every other folder is one protocol or one concern.

mod access;
mod app;
mod arrow_body;
mod cluster_serving;
mod console;
mod front;
mod grpc;
mod http;
mod later;
mod loopback;
mod oip;
mod openapi;
mod settings;
mod tensorflow;

pub use access::ask_ready;
pub use app::App;
pub use settings::{
    AccessSettings, ConsoleSettings, ControlSettings, CorsSettings, GrpcSettings, HttpSettings,
    JsonSettings, JwtSettings, LimitSettings, RateSettings, RepliesSettings, ResultSettings,
    Settings, TlsSettings, TopicSettings,
};
