//! Waiting for something that another process does, with a deadline and a sentence.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks `probe` again and again until it gives a value.
///
/// # Panics
/// When the deadline passes; `what` completes "waited 60 s for …".
pub fn wait_for<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(
            started.elapsed() < deadline,
            "waited {} s for {what}",
            deadline.as_secs()
        );
        sleep(Duration::from_millis(20));
    }
}
