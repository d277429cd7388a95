//! `millrace score` may be killed at any moment, and so may infer: the file is the same as one from
//! a run that nothing happened to.

use std::fs;
use std::path::Path;
use std::process::Child;

use e2e::{Infer, Line, PATIENCE, digits, wait_for};

use crate::command_line::{integers, path, read_parquet, run, said, start, succeed, write_images};

const ROWS: usize = 40_000;
const KILLS: usize = 5;

/// Small records and frequent parts, so that there is much to lose or to repeat.
fn arguments<'a>(input: &'a str, out: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["score", input, "--model", "digits", "--out", out];
    arguments.extend(["--rows-per-record", "32", "--in-flight-mib", "1"]);
    arguments.extend(["--checkpoint", "0.05"]);
    arguments
}

#[test]
fn score_killed_five_times_gives_the_same_file_as_one_that_was_not() {
    let line = Line::new(&["digits"], 3);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let input = path(&line, "images.parquet");
    write_images(&input, ROWS);
    let (calm, killed) = (path(&line, "calm.parquet"), path(&line, "killed.parquet"));
    succeed(&line, &arguments(&input, &calm));

    for kill in 0..KILLS {
        let before = rows_done(&killed);
        let mut score = start(&line, &arguments(&input, &killed));
        wait_for(PATIENCE, "another finished part", || {
            assert_running(&line, &mut score, kill);
            (rows_done(&killed) > before).then_some(())
        });
        score.kill().expect("the process is ours to kill");
        score.wait().expect("a killed process ends");
        assert!(!Path::new(&killed).exists(), "kill {kill} came too late");
    }
    let said = succeed(&line, &arguments(&input, &killed));
    assert!(said.contains("by an earlier run"), "{said}");

    let (calm_bytes, killed_bytes) = (fs::read(&calm), fs::read(&killed));
    let (calm_bytes, killed_bytes) = (calm_bytes.expect("a file"), killed_bytes.expect("a file"));
    assert_eq!(calm_bytes.len(), killed_bytes.len());
    assert!(calm_bytes == killed_bytes, "the files differ");
    check_rows(&killed);
    assert!(
        !Path::new(&format!("{killed}.parts")).exists(),
        "nothing is left behind"
    );
}

#[test]
fn score_whose_infer_dies_keeps_what_is_done_and_goes_on_with_the_next_one() {
    let line = Line::new(&["digits"], 2);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let input = path(&line, "images.parquet");
    write_images(&input, ROWS);
    let out = path(&line, "out.parquet");
    let mut arguments = arguments(&input, &out);
    arguments.extend(["--timeout", "15"]);

    let mut score = start(&line, &arguments);
    wait_for(PATIENCE, "a finished part", || {
        assert_running(&line, &mut score, 0);
        (rows_done(&out) > 0).then_some(())
    });
    infer.kill_9();
    let status = score.wait().expect("it ends by itself");
    let log = fs::read_to_string(line.dir().join("millrace.log")).expect("a log");
    assert!(!status.success(), "{log}");
    assert!(log.contains("no answer for 15 s"), "{log}");
    assert!(log.contains("the same command goes on from there"), "{log}");

    // Another input is another job.
    let other = path(&line, "other.parquet");
    write_images(&other, ROWS + 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let mut wrong = arguments.clone();
    wrong[1] = &other;
    let refused = run(&line, &wrong);
    assert!(!refused.status.success());
    let sentence = said(&refused);
    assert!(sentence.contains("the input has changed"), "{sentence}");
    assert!(sentence.contains("--restart"), "{sentence}");

    succeed(&line, &arguments);
    check_rows(&out);
    let again = run(&line, &arguments);
    assert!(
        said(&again).contains("is there already"),
        "{}",
        said(&again)
    );
}

fn assert_running(line: &Line, score: &mut Child, kill: usize) {
    let ended = score.try_wait().expect("our own child can be waited for");
    if let Some(status) = ended {
        let log = fs::read_to_string(line.dir().join("millrace.log")).unwrap_or_default();
        panic!("score ended with {status} before kill {kill}: {log}");
    }
}

/// Rows in finished parts, as the names of the files say.
fn rows_done(out: &str) -> usize {
    let Ok(entries) = fs::read_dir(format!("{out}.parts")) else {
        return 0;
    };
    let rows = |name: &str| {
        let (_, rows) = name.strip_suffix(".arrows")?.rsplit_once('-')?;
        rows.parse::<usize>().ok()
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| rows(&name)).sum()
}

/// Every row is there once, in the order of the input, with the model's own answer.
fn check_rows(out: &str) {
    let batches = read_parquet(out);
    let ids = integers(&batches, "id");
    assert_eq!(ids.len(), ROWS);
    assert!(
        ids.iter().zip(0..).all(|(id, row)| *id == row),
        "the order of the input"
    );
    let expected = digits().reference_labels();
    let labels = integers(&batches, "label");
    for (row, label) in labels.iter().enumerate() {
        assert_eq!(*label, expected[row % expected.len()], "row {row}");
    }
    for batch in &batches {
        let errors = batch.column_by_name("error").expect("a column of errors");
        assert_eq!(errors.null_count(), batch.num_rows());
    }
}
