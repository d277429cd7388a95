//! Tests of the wire formats through the crate's public door.

mod avro;
mod encoding;
mod forge;
mod golden;
mod headers;
mod hostile;
mod mutation;
mod rows;
mod signature;
mod vectors;
