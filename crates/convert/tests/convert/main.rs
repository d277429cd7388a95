//! Tests of the crate by its public door.
#![allow(clippy::unwrap_used)]

mod caffe;
