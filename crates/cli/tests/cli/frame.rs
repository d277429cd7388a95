//! What all commands have in common: exit codes, errors, completions, manual, closed pipes.

use std::process::Stdio;

use crate::line::Line;
use crate::program::{millrace, run};

#[test]
fn exit_codes_are_as_documented() {
    let codes = [
        (2, vec!["lag", "--over", "yesterday"]),
        (3, vec!["topics", "list", "--config", "/nowhere.toml"]),
        (4, vec!["topics", "list", "--brokers", "127.0.0.1:1"]),
        (5, vec!["up", "--models", "/nowhere"]),
    ];
    for (code, arguments) in codes {
        let (output, text) = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    }
    let line = Line::new(&["digits"]);
    line.run(&["models", "show", "digits"])
        .refused(5, "millrace models list");
    line.run(&["tail", "--once", "fraud"])
        .refused(5, "millrace topics apply --model fraud");
    line.run(&["topics", "check", "--partitions", "7"])
        .refused(1, "--partitions 7");
}

#[test]
fn errors_are_objects_for_programs() {
    let (output, _) = run(&["topics", "list", "--json", "--config", "/nowhere.toml"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exit"], "settings");
    assert!(
        error["error"].as_str().unwrap().contains("/nowhere.toml"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn every_exit_code_is_in_the_documentation() {
    let page = include_str!("../../../../docs/command-line.md");
    for (code, name) in [
        (1, "no"),
        (2, "usage"),
        (3, "settings"),
        (4, "unreachable"),
        (5, "missing"),
        (6, "failed"),
    ] {
        assert!(
            page.contains(&format!("| {code} | `{name}` |")),
            "{code} {name}"
        );
    }
}

#[test]
fn a_pipe_that_is_closed_early_is_no_error() {
    // Everything is written at once, into a pipe that nobody reads any more.
    let mut child = millrace(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn shells_and_manual_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (output, text) = run(&["completions", shell]);
        assert!(
            output.status.success() && text.contains("requeue"),
            "{shell}"
        );
    }
    let folder = tempfile::TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    let (output, text) = run(&["man", "--out", pages.to_str().unwrap()]);
    assert!(output.status.success(), "{text}");
    let page = std::fs::read_to_string(pages.join("millrace-dead-letters-requeue.1")).unwrap();
    assert!(page.contains("mr\\-attempts"), "{page}");
    let (_, first) = run(&["man"]);
    assert!(first.contains(".TH millrace 1"), "{first}");
}
