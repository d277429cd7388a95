//! The commands on README's first page run as they stand there.

use std::fs;
use std::os::unix::fs::symlink;

use e2e::{Infer, Line, project_path};

use crate::command_line::{integers, millrace, read_parquet, said};

#[test]
fn the_commands_about_files_run_as_printed() {
    let line = Line::new(&["digits"], 2);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let here = line.dir().join("here");
    fs::create_dir(&here).expect("the folder is writable");
    symlink(project_path("models"), here.join("models")).expect("a link");

    let readme = fs::read_to_string(project_path("README.md")).expect("a README");
    let commands: Vec<Vec<String>> = commands(&readme)
        .into_iter()
        .filter(|words| matches!(words[1].as_str(), "predict" | "produce" | "score"))
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for words in &commands {
        let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let output = millrace(&line, &words).current_dir(&here).output();
        let output = output.expect("the tool runs");
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    let scored = here.join("scored.parquet");
    let rows = read_parquet(scored.to_str().expect("a path of text"));
    assert_eq!(integers(&rows, "id"), Vec::from_iter(0..20));
    let right = integers(&rows, "digit");
    let right = right.iter().zip(integers(&rows, "label"));
    assert!(right.filter(|(digit, label)| *digit == label).count() >= 18);
}

/// The words of every command in a block of code, comments left out, lines put together.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let blocks = markdown.split("```").skip(1).step_by(2);
    let mut commands = Vec::new();
    for block in blocks {
        let block = block.replace("\\\n", " ");
        for line in block.lines() {
            let line = line.split(" #").next().unwrap_or(line);
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            if words.len() > 1 && words[0] == "millrace" {
                commands.push(words);
            }
        }
    }
    commands
}
