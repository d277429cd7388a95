//! `millrace replay`: past and live requests through another version, without a trace in what the line answers; a
//! replay that is killed goes on, and its report is that of one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command};

use e2e::{PATIENCE, Tap, header, wait_for};
use millrace_kafka::Record;
use serde_json::Value;

use crate::command_line::{path, run, said, start};
use crate::replay_scene::{Scene, by_version, check_lineage, check_once_and_in_order, probe};

const EXACTLY_ONCE: &str = "delivery = \"exactly_once\"";

/// The counts of a report, which do not depend on when it was made. Its stretch does: `end` lies behind the copies of
/// earlier replays, which are passed over.
fn counts(report: &Value) -> BTreeMap<&str, Value> {
    let keys = [
        "results",
        "compared",
        "agreeing",
        "agreement",
        "top1",
        "apart",
        "failures",
        "largest_differences",
    ];
    keys.map(|key| (key, report[key].clone())).into()
}

/// Two hundred requests, one that has expired and one that is no Arrow; all of them answered.
fn answered(scene: &Scene, letters: &Tap) -> Vec<Record> {
    scene.send(0..200);
    let expired = [("mr-id", "200"), ("mr-deadline", "1000")];
    scene.feed.send(Some(1), Some(probe([-1.0; 4])), &expired);
    scene
        .feed
        .send(Some(2), Some(b"no Arrow".to_vec()), &[("mr-id", "201")]);
    scene.feed.flush();
    let answered = scene.results.wait_for(202);
    letters.wait_for(1);
    check_lineage(&by_version(&answered, "1"), "1");
    answered
}

fn check_report(report: &Value, answered: &[Record]) {
    assert_eq!(
        (&report["results"], &report["compared"]),
        (&202.into(), &200.into())
    );
    assert_eq!(
        (&report["agreeing"], &report["agreement"]),
        (&40.into(), &0.2.into())
    );
    assert_eq!(report["top1"]["agreement"], 1.0, "2x + 1 keeps the order");
    assert_eq!(report["apart"]["original_failed"], 1, "it had expired");
    assert_eq!(report["apart"]["both_failed"], 1, "it is no Arrow");
    let largest = &report["largest_differences"][0];
    assert_eq!(
        (&largest["key"], &largest["amount"]),
        (&"key-199".into(), &200.0.into())
    );
    assert_eq!(
        (&largest["before"], &largest["now"]),
        (&"199".into(), &"399".into())
    );
    let of_199 = answered
        .iter()
        .find(|it| header(it, "mr-id") == Some("199"));
    let coordinates = of_199.and_then(|it| header(it, "mr-source"));
    assert_eq!(largest["request"].as_str(), coordinates);
    assert!(
        report["latency"]["p50_ms"]
            .as_f64()
            .is_some_and(|ms| ms > 0.0)
    );
}

fn replay_leaves_the_line_alone(settings: &str) {
    let scene = Scene::new(settings);
    let letters = Tap::open(&scene.line, "dead-letters");
    let answered = answered(&scene, &letters);
    let report = scene.report("probe@2", "results.shadow", &["--from", "beginning"]);
    check_report(&report, &answered);

    let shadow = scene.tap("results.shadow").wait_for(202);
    check_once_and_in_order(&shadow, 202);
    check_lineage(&by_version(&shadow, "2")[..200], "2");
    // A version that fails is counted and leaves no dead letter either; a label names a version, too.
    let failing = scene.report("probe@3", "results.third", &[]);
    let failures = &failing["failures"]["INVALID_ARGUMENT"];
    assert_eq!(
        (&failing["apart"]["failed"], failures),
        (&1.into(), &2.into())
    );
    let strict = scene.replay("probe:next", "results.shadow", &["--require", "0.9"]);
    let refused = run(&scene.line, &strict);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));

    // The line goes on as if nothing had been: its next answer is the next record of its topics.
    scene.send(202..203);
    let records = scene.results.wait_for(203);
    assert_eq!(
        records.len(),
        203,
        "nothing but what the line itself was asked"
    );
    assert_eq!(letters.records().len(), 1);
}

#[test]
fn a_replay_reports_exactly_and_leaves_results_and_dead_letters_alone() {
    replay_leaves_the_line_alone("");
}

#[test]
fn a_replay_leaves_the_line_alone_under_exactly_once_too() {
    replay_leaves_the_line_alone(EXACTLY_ONCE);
}

#[test]
fn a_replay_that_is_killed_goes_on_and_writes_nothing_twice() {
    let scene = Scene::new("");
    scene.send(0..600);
    scene.results.wait_for(600);
    let stretch = ["--until", "end", "--in-flight", "8"];
    let calm = scene.report("probe@2", "results.calm", &stretch);
    let mut slow = scene.replay("probe@2", "results.killed", &stretch);
    slow.extend(["--rate", "150"]);
    let mut before = 0;
    for kill in 0..3 {
        let mut replay = start(&scene.line, &slow);
        let killed = scene.tap("results.killed");
        wait_for(PATIENCE, "further results", || {
            assert_running(&scene, &mut replay, kill);
            (killed.records().len() > before).then_some(())
        });
        replay.kill().expect("the process is ours to kill");
        replay.wait().expect("a killed process ends");
        before = killed.records().len();
        assert!(before < 600, "kill {kill} came too late");
    }
    let rest = scene.replay("probe@2", "results.killed", &stretch);
    let ended = run(&scene.line, &rest);
    assert!(ended.status.success(), "{}", said(&ended));
    assert!(
        said(&ended).contains("going on with replay"),
        "{}",
        said(&ended)
    );
    let report: Value = serde_json::from_slice(&ended.stdout).expect("the report is JSON");
    assert_eq!(counts(&report), counts(&calm));
    check_once_and_in_order(&scene.tap("results.killed").wait_for(600), 600);
    assert_eq!(scene.results.records().len(), 600);
}

#[test]
fn live_requests_are_followed_until_an_interrupt_and_reported() {
    let scene = Scene::new("");
    let file = path(&scene.line, "report.json");
    let arguments = ["--follow", "--from", "beginning", "--out", &file];
    let mut replay = start(
        &scene.line,
        &scene.replay("probe@2", "results.live", &arguments),
    );
    let live = scene.tap("results.live");
    for round in 0..3 {
        scene.send(round * 20..(round + 1) * 20);
        wait_for(PATIENCE, "live results", || {
            assert_running(&scene, &mut replay, round);
            (live.records().len() >= (round + 1) * 20).then_some(())
        });
    }
    scene.results.wait_for(60);
    interrupt(&replay);
    let status = replay.wait().expect("it ends by itself");
    let log = fs::read_to_string(scene.line.dir().join("millrace.log")).unwrap_or_default();
    assert!(status.success(), "{log}");
    let report = fs::read(&file).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    assert_eq!(
        (&report["results"], &report["compared"]),
        (&60.into(), &60.into())
    );
    assert_eq!(report["agreeing"], 12);
    check_once_and_in_order(&live.records(), 60);
    assert_eq!(scene.results.records().len(), 60);
}

#[test]
fn a_replay_refuses_the_lines_own_topics_and_an_empty_stretch() {
    let scene = Scene::new("");
    for own in ["results.probe", "requests.other", "replies", "dead-letters"] {
        let refused = run(&scene.line, &scene.replay("probe@2", own, &[]));
        assert_eq!(refused.status.code(), Some(2), "{own}: {}", said(&refused));
    }
    let empty = run(&scene.line, &scene.replay("probe@2", "results.shadow", &[]));
    assert_eq!(empty.status.code(), Some(6));
    assert!(said(&empty).contains("no request"), "{}", said(&empty));
    let nobody = run(&scene.line, &scene.replay("probe@9", "results.shadow", &[]));
    assert_eq!(nobody.status.code(), Some(5), "{}", said(&nobody));
}

fn assert_running(scene: &Scene, replay: &mut Child, round: usize) {
    if let Some(status) = replay.try_wait().expect("our own child can be waited for") {
        let log = fs::read_to_string(scene.line.dir().join("millrace.log")).unwrap_or_default();
        panic!("replay ended with {status} in round {round}: {log}");
    }
}

/// As Ctrl-C does.
fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}
