//! The sink against a real broker, as a real process. `scripts/with-broker` starts one; its
//! address is in `MILLRACE_KAFKA__BROKERS`.
#![allow(
    clippy::unwrap_used,
    reason = "the whole binary is tests, helpers included"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its scene has failed"
)]

mod bucket;
mod databases;
mod dead_letters;
mod faults;
mod formats;
mod kill;
mod outage;
mod pipelines;
mod process;
mod python;
mod rig;
mod sharing;
mod stop;
mod stores;
mod topics;
