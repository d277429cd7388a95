//! `kill -9` at any time loses and doubles nothing.

use crate::rig::{PARTITIONS, Rig, kills, wait_until};
use crate::stores::{check_exactly_once, table_rows, visible};

const RECORDS: i32 = 5_000;

#[test]
fn killed_sink_loses_and_doubles_nothing() {
    let mut rig = Rig::new();
    // A lasting name lets the next process have the partitions at once.
    let settings = "instance = \"0\"";
    for round in 0..kills() {
        let sink = rig.start(settings);
        let (rows, files) = (table_rows(&rig).len(), visible(&rig).len());
        rig.send(RECORDS / kills());
        if round % 3 == 0 {
            rig.send_poison();
        }
        // Dies somewhere in the work: by turns soon after rows, or after files, appear.
        wait_until("the sink has written something", || match round % 2 {
            0 => table_rows(&rig).len() > rows,
            _ => visible(&rig).len() > files,
        });
        let moment = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 4;
        std::thread::sleep(std::time::Duration::from_millis(moment));
        sink.kill();
    }
    let sink = rig.start(settings);
    check_exactly_once(&rig);
    assert!(
        rig.dead_letters(2).len() >= 2,
        "every poison record is a dead letter"
    );
    assert!(sink.stop().success());
    check_exactly_once(&rig);
}

#[test]
fn sink_killed_before_its_first_file_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.send(30);
    rig.wait_acknowledged();
    for _ in 0..3 {
        let sink = rig.start("instance = \"0\"");
        wait_until("the sink answers", || !sink.get("/live").is_empty());
        sink.kill();
    }
    let _sink = rig.start("instance = \"0\"");
    check_exactly_once(&rig);
    assert!(visible(&rig).len() >= usize::try_from(PARTITIONS).unwrap());
}
