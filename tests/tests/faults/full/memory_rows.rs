//! Memory under a backlog that is many times what infer may hold.

use e2e::{Line, check_memory};

use crate::rig::{Delivery, Rig};

#[test]
fn memory_stays_within_its_budget_under_a_backlog_of_a_gigabyte() {
    let rig = Rig::new(Delivery::AtLeastOnce);
    check_memory(&Line::on(rig.cluster().brokers(), &["slow"], 4), 1_024);
}
