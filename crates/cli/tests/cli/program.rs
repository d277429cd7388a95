//! Runs the program and looks at what it says.

use std::process::{Command, Output};

/// The program as it was built with these tests, about to be started with these arguments.
pub(crate) fn millrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(arguments);
    command
}

/// Runs it to its end; what it printed, as text.
pub(crate) fn run(arguments: &[&str]) -> (Output, String) {
    let output = millrace(arguments).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&said).into_owned();
    (output, text)
}

#[test]
fn help_names_every_command() {
    let (output, text) = run(&["--help"]);
    assert!(output.status.success(), "{text}");
    for command in ["topics", "models", "dead-letters", "lag", "tail", "check"] {
        assert!(text.contains(command), "{command} is missing in: {text}");
    }
}

#[test]
fn unknown_command_is_refused_with_a_sentence() {
    let (output, text) = run(&["mill"]);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("unrecognized subcommand"), "{text}");
}
