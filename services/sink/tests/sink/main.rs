//! The sink against a real broker, as a real process. `scripts/with-broker` starts one; its
//! address is in `MILLRACE_KAFKA__BROKERS`.
#![allow(
    clippy::unwrap_used,
    reason = "the whole binary is tests, helpers included"
)]

mod dead_letters;
mod kill;
mod outage;
mod rig;
mod sharing;
mod stop;
mod stores;
