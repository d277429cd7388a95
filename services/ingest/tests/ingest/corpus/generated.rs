//! Requests too many or too large for files.

mod arrow;
mod front;
mod json;

/// The requests of a row that has no file; empty if nobody makes them.
pub(super) fn requests(name: &str) -> Vec<Vec<u8>> {
    // One function per protocol: each knows its own rows.
    for make in [arrow::requests, json::requests, front::requests] {
        if let Some(requests) = make(name) {
            return requests;
        }
    }
    Vec::new()
}
