//! gRPC: the Open Inference Protocol and TensorFlow Serving's API, health and reflection, on one port.
//!
//! Messages with tensors stay bytes until it is known who may and can answer
//! them (`codec`); `millrace_wire::protobuf` then makes a record of them.

mod body;
pub(crate) mod codec;
mod error;
mod examples;
mod health;
mod inference;
mod listen;
mod observe;
mod seen;
mod server;
mod target;
mod tensorflow;
mod timeout;

pub(crate) use error::GrpcError;
pub(crate) use server::{Server, Serving};

/// What `build.rs` made of the folder `proto`.
#[allow(
    clippy::all,
    clippy::too_many_lines,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "generated"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/servers/servers.rs"));
}

/// All files of the folder `proto` and what they import, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
