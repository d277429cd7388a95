//! Two sinks on the same partitions: by agreement, and against it.

use crate::process::Process;
use crate::rig::{Rig, wait_until};
use crate::stores::check_exactly_once;

#[test]
fn two_sinks_share_the_partitions() {
    let mut rig = Rig::new();
    let first = rig.start("");
    rig.send(500);
    let second = rig.start("");
    let rows = |sink: &Process, pipeline: &str| {
        sink.metric(&format!(
            "millrace_sink_rows_total{{pipeline=\"{pipeline}\"}}"
        ))
    };
    wait_until("both have partitions in both pipelines", || {
        rig.send(10);
        let works = |sink| rows(sink, "table") > 0 && rows(sink, "files") > 0;
        works(&first) && works(&second)
    });
    assert!(first.stop().success());
    rig.send(500);
    check_exactly_once(&rig);
}

#[test]
fn sink_that_slept_while_another_took_over_writes_nothing_more() {
    let mut rig = Rig::new();
    // Long enough that it sleeps with records in hand, and not in the middle of a transaction.
    let quick = std::mem::replace(&mut rig.rolls, [r#"{ age = "5s" }"#; 2]);
    let sleeper = rig.start("");
    rig.send(300);
    wait_until("the first sink has records in hand", || {
        ["table", "files"]
            .iter()
            .all(|pipeline| sleeper.waiting(&rig, pipeline) > 0)
    });
    sleeper.signal("STOP");
    rig.send(300);
    rig.rolls = quick;
    let successor = rig.start("");
    check_exactly_once(&rig);
    sleeper.signal("CONT");
    rig.send(300);
    check_exactly_once(&rig);
    wait_until("the sleeper is well again or gone", || {
        sleeper.get("/ready").contains("true") || sleeper.get("/live").is_empty()
    });
    assert!(successor.stop().success());
    rig.send(300);
    check_exactly_once(&rig);
}
