//! The store of values that are too large for their records: a shared folder or a bucket.
//!
//! It holds bytes under names that say the day and what they hash to, so writing the same value again writes the same
//! object, and nothing is ever replaced by something else. Everything here blocks: it is called by threads that may wait.

mod bucket;
mod day;
mod error;
mod folder;
mod metrics;
mod object;
mod open;
mod patience;
mod settings;
mod shelf;
mod store;

pub use error::ClaimError;
pub use metrics::Metrics;
pub use object::Object;
pub use patience::Unclaimed;
pub use settings::ClaimSettings;
pub use store::{Purged, Store};
