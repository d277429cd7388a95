//! Tests of the OpenVINO engine.
