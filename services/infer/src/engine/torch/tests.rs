//! Tests of the libtorch engine.
