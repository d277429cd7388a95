//! Pipelines come, change and go while the sink runs, and so do topics.

use std::fs;

use crate::process::Process;
use crate::rig::{Rig, wait_until};

fn pipeline(rig: &Rig, name: &str, from: &str, more: &str) -> String {
    let url = rig.folder.path().join(name);
    format!(
        "[[pipelines]]\nname = {name:?}\n{from}\nroll = {{ age = \"50ms\" }}\n{more}\n\
         [pipelines.destination]\ntype = \"files\"\nformat = \"csv\"\nurl = {url:?}\n"
    )
}

fn rows(sink: &Process, pipeline: &str) -> u64 {
    sink.metric(&format!(
        "millrace_sink_rows_total{{pipeline=\"{pipeline}\"}}"
    ))
}

fn reloads(sink: &Process, outcome: &str) -> u64 {
    sink.metric(&format!(
        "millrace_sink_reloads_total{{outcome=\"{outcome}\"}}"
    ))
}

/// Replaces the pipelines in the settings of a running sink.
fn change(sink: &Process, pipelines: &str) {
    let text = fs::read_to_string(sink.config()).unwrap();
    let head = text.split("[[pipelines]]").next().unwrap();
    fs::write(sink.config(), format!("{head}{pipelines}")).unwrap();
}

const DIGITS: &str = "models = [\"digits\"]";

#[test]
fn pipelines_are_added_changed_and_removed_without_a_restart() {
    let mut rig = Rig::new();
    let (a, b) = (
        pipeline(&rig, "a", DIGITS, ""),
        pipeline(&rig, "b", DIGITS, ""),
    );
    let sink = rig.start_with("", &a);
    rig.send(30);
    wait_until("the first pipeline works", || rows(&sink, "a") == 30);
    change(&sink, &format!("{a}{b}"));
    wait_until("the second pipeline works", || rows(&sink, "b") == 30);
    let renamed = r#"columns = [{ name = "y", as = "why" }]"#;
    change(
        &sink,
        &format!("{}{b}", pipeline(&rig, "a", DIGITS, renamed)),
    );
    wait_until("the change is applied", || reloads(&sink, "applied") == 2);
    rig.send(30);
    wait_until("both work", || {
        rows(&sink, "a") == 60 && rows(&sink, "b") == 60
    });
    let newest = newest_header(&rig, "a");
    assert!(newest.ends_with(",why"), "{newest}");
    change(&sink, &a);
    sink.signal("HUP");
    wait_until("the second pipeline is gone", || {
        reloads(&sink, "applied") == 3
    });
    rig.send(30);
    wait_until("the first pipeline works on", || rows(&sink, "a") == 90);
    sink.wait_ready();
    assert_eq!(rows(&sink, "b"), 60);
    assert!(sink.stop().success());
}

/// The line of names of the last file of partition 0.
fn newest_header(rig: &Rig, name: &str) -> String {
    let folder = rig.folder.path().join(name).join(rig.topic());
    let names = crate::rig::names_in(&folder);
    let of_first = |name: &&String| !name.starts_with('.') && name.contains("-00000-");
    let newest = names.iter().filter(of_first).max().unwrap();
    let text = fs::read_to_string(folder.join(newest)).unwrap();
    text.lines().next().unwrap().to_owned()
}

#[test]
fn broken_settings_change_nothing_and_are_reported() {
    let mut rig = Rig::new();
    let a = pipeline(&rig, "a", DIGITS, "");
    let sink = rig.start_with("", &a);
    rig.send(30);
    wait_until("the pipeline works", || rows(&sink, "a") == 30);
    change(&sink, "[[pipelines]]\nname = \"a\"\n");
    wait_until("the broken file is refused", || {
        reloads(&sink, "refused") == 1
    });
    let taken = rig.folder.path().join("taken");
    fs::write(&taken, "a file, not a folder").unwrap();
    change(
        &sink,
        &format!("{a}{}", pipeline(&rig, "taken", DIGITS, "")),
    );
    wait_until("the bad destination is refused", || {
        reloads(&sink, "refused") == 2
    });
    rig.send(30);
    wait_until("the pipeline works on", || rows(&sink, "a") == 60);
    assert!(sink.stop().success());
}

#[test]
fn topic_that_matches_the_pattern_joins_later() {
    let mut rig = Rig::new();
    let pattern = format!("pattern = \"^{}\\\\.results\\\\.\"", rig.prefix);
    let all = pipeline(&rig, "all", &pattern, "");
    let sink = rig.start_with("", &all);
    rig.send(30);
    wait_until("the first topic is read", || rows(&sink, "all") == 30);
    rig.add_topic("results.letters");
    rig.send_to("results.letters", 10);
    wait_until("the new topic is read", || rows(&sink, "all") == 40);
    assert!(sink.stop().success());
}
