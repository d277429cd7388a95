//! Tests of the wire formats through the crate's public door.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod avro;
mod claims;
mod control;
mod encoding;
mod examples;
mod forge;
mod golden;
mod headers;
mod hostile;
mod mutation;
mod protobuf;
mod rows;
mod signature;
mod sparse;
mod vectors;
