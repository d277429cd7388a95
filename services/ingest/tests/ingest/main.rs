//! Ingest through its doors: real HTTP in front, a real broker behind, and a
//! thread that plays infer. They need `MILLRACE_KAFKA__BROKERS`.
#![allow(
    clippy::unwrap_used,
    reason = "the whole binary is tests, helpers included"
)]

mod access;
mod addresses;
mod admission;
mod arrow_bodies;
mod client;
mod cluster_serving;
mod control;
mod corpus;
mod deadlines;
mod grpc;
mod idempotency;
mod json_bodies;
mod json_values;
mod later;
mod later_forms;
mod limits;
mod oip;
mod openapi;
mod played;
mod predictions;
mod process;
mod protocol;
mod scene;
mod stopping;
mod tensorflow;
mod tls;
mod trouble;
mod versions;
