//! The sink against a real broker, as a real process. `scripts/with-broker` starts one; its
//! address is in `MILLRACE_KAFKA__BROKERS`.

mod dead_letters;
mod kill;
mod outage;
mod rig;
mod sharing;
mod stop;
mod stores;
