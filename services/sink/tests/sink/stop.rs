//! A clean stop writes what is open, and says so to Kafka.

use crate::rig::{Rig, wait_until};
use crate::stores::{check_exactly_once, visible};

#[test]
fn clean_stop_writes_what_is_open_and_commits() {
    let mut rig = Rig::new();
    rig.rolls = [r#"{ age = "1h" }"#; 2];
    let sink = rig.start("");
    sink.wait_ready();
    rig.send(1_000);
    rig.wait_acknowledged();
    wait_until("everything is read", || {
        ["table", "files"]
            .iter()
            .all(|pipeline| sink.waiting(&rig, pipeline) == 1_000)
    });
    assert!(visible(&rig).is_empty(), "nothing is old enough yet");
    assert!(sink.stop().success());
    check_exactly_once(&rig);
    assert_eq!((rig.lag("table"), rig.lag("files")), (0, 0));
}
