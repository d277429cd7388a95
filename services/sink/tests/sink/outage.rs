//! A destination that is out of order for a while is waited for.

use rusqlite::Connection;

use crate::rig::{Rig, names_in, wait_until};
use crate::stores::check_exactly_once;

#[test]
fn locked_database_makes_the_sink_unready_until_it_is_free() {
    let mut rig = Rig::new();
    let sink = rig.start("");
    rig.send(100);
    check_exactly_once(&rig);
    sink.wait_ready();
    let other = Connection::open(rig.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    rig.send(100);
    wait_until("the sink says what is wrong", || {
        let ready = sink.get("/ready");
        ready.contains("pipeline table destination") && ready.contains("locked")
    });
    other.execute_batch("ROLLBACK").unwrap();
    check_exactly_once(&rig);
    sink.wait_ready();
}

#[test]
fn vanished_folder_ends_the_process_and_nothing_is_lost() {
    let mut rig = Rig::new();
    let sink = rig.start("");
    rig.send(100);
    check_exactly_once(&rig);
    let moved = rig.folder.path().join("moved");
    std::fs::rename(rig.files(), &moved).unwrap();
    rig.send(100);
    wait_until("the sink ends", || sink.get("/live").is_empty());
    assert!(!rig.files().exists(), "no files in the wrong place");
    std::fs::rename(&moved, rig.files()).unwrap();
    let _sink = rig.start("");
    check_exactly_once(&rig);
}

/// A file system that was unmounted leaves its empty mount point behind.
#[test]
fn folder_that_became_another_one_gets_no_files() {
    let mut rig = Rig::new();
    let sink = rig.start("");
    rig.send(100);
    check_exactly_once(&rig);
    let moved = rig.folder.path().join("moved");
    std::fs::rename(rig.files(), &moved).unwrap();
    std::fs::create_dir(rig.files()).unwrap();
    rig.send(100);
    wait_until("the sink ends", || sink.get("/live").is_empty());
    let strays = names_in(&rig.files());
    assert!(strays.is_empty(), "files in the wrong place: {strays:?}");
    std::fs::remove_dir(rig.files()).unwrap();
    std::fs::rename(&moved, rig.files()).unwrap();
    let _sink = rig.start("");
    check_exactly_once(&rig);
}
