//! A backlog waits in Kafka, not in memory. The form with 1 GB runs with `make faults`.

use e2e::{Line, check_memory};

#[test]
fn memory_stays_within_its_budget_under_a_backlog() {
    check_memory(&Line::new(&["slow"], 4), 150);
}
