//! A model that ends its process does not end the service: what it died of is tried alone, and given up if it ends that
//! process too. Infer runs as it does in a container: whenever it has ended, it is started again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::buffer::Buffer;
use e2e::{Feed, Infer, Line, Supervisor, Tap, fatal_operators, header};
use millrace_wire::avro::{DeadLetter, ModelDescriptor, ModelState};
use millrace_wire::{DType, Tensor, encode_tensors};

const RECORDS: u16 = 40;
/// Which of them is bad.
const BAD: u16 = 17;
/// Values of `tests/custom_ops/fatal.c`.
const CRASHES: f32 = 666.0;
const HANGS: f32 = 999.0;
const TAKES_TWO_SECONDS: f32 = 555.0;
/// The first time, the second time, and one more.
const MOST_STARTS: usize = 3;

#[test]
fn a_record_that_crashes_the_model_is_dead_lettered_and_all_others_are_answered() {
    let (letter, error) = bad_record_among_good(CRASHES, "");
    assert!(error.contains("signal 11 (SIGSEGV)"), "{error}");
    assert_eq!(letter.attempts, 3);
}

#[test]
fn a_record_that_hangs_the_model_is_dead_lettered_and_all_others_are_answered() {
    let (_, error) = bad_record_among_good(HANGS, "max_run_time = \"1s\"");
    assert!(error.contains("after 1 s"), "{error}");
}

/// Sends one bad record among many; its dead letter and the error that its sender is told.
fn bad_record_among_good(value: f32, engine: &str) -> (DeadLetter, String) {
    let line = Line::new(&["fatal"], 1);
    let results = Tap::open(&line, "results.fatal");
    let dead = Tap::open(&line, "dead-letters");
    let feed = Feed::new(&line, "requests.fatal");
    for number in 0..RECORDS {
        let value = if number == BAD { value } else { number.into() };
        send(&feed, number, value);
    }
    feed.flush();
    let mut infer = supervised(&line, &["fatal"], engine);
    let answered = infer.wait_for("an answer to every record", || {
        let answered = ids(&results);
        (answered.len() == usize::from(RECORDS)).then_some(answered)
    });
    let letters = infer.wait_for("a dead letter", || {
        let letters = dead.records();
        (!letters.is_empty()).then_some(letters)
    });
    assert_eq!(answered.len(), usize::from(RECORDS));
    assert_eq!(infer.starts, MOST_STARTS);
    let mut error = String::new();
    for result in results.records() {
        let is_bad = header(&result, "mr-id") == Some(BAD.to_string().as_str());
        let status = if is_bad { "INTERNAL" } else { "OK" };
        assert_eq!(header(&result, "mr-status"), Some(status));
        if is_bad {
            header(&result, "mr-error")
                .unwrap_or_default()
                .clone_into(&mut error);
        }
    }
    let infer = infer.into_process();
    let log = infer.log();
    assert!(infer.terminate().success(), "a clean stop:\n{log}");
    assert_eq!(runs(line.dir()).len(), 0, "a clean stop leaves nothing");
    assert_eq!(dead.records().len(), 1);
    let value = letters[0].value.as_ref().expect("a dead letter");
    let letter = DeadLetter::decode(value).expect("dead letters decode");
    assert_eq!(
        (letter.stage.as_str(), letter.offset),
        ("infer", i64::from(BAD))
    );
    (letter, error)
}

#[test]
fn killing_infer_twice_at_the_same_record_condemns_nobody() {
    let line = Line::new(&["fatal"], 1);
    let results = Tap::open(&line, "results.fatal");
    let dead = Tap::open(&line, "dead-letters");
    let feed = Feed::new(&line, "requests.fatal");
    for number in 0..8 {
        send(
            &feed,
            number,
            if number == 0 { TAKES_TWO_SECONDS } else { 1.0 },
        );
    }
    feed.flush();
    let mut infer = supervised(&line, &["fatal"], "");
    let mut killed = HashSet::new();
    for _ in 0..2 {
        let process = infer.wait_for("a batch to be running", || running(line.dir(), &killed));
        killed.insert(process);
        infer = infer.kill_9();
    }
    infer.wait_for("an answer to every record", || {
        (ids(&results).len() == 8).then_some(())
    });
    for result in results.records() {
        assert_eq!(header(&result, "mr-status"), Some("OK"));
    }
    assert!(dead.records().is_empty(), "nobody is condemned");
    let log = infer.into_process().log();
    assert!(log.contains("alone it is answered"), "{log}");
}

#[test]
fn a_model_that_crashes_at_load_is_given_up_and_the_others_are_served() {
    let line = Line::new(&["echo", "fatal_at_load"], 1);
    let results = Tap::open(&line, "results.echo");
    let models = Tap::open(&line, "models");
    let feed = Feed::new(&line, "requests.echo");
    send(&feed, 1, 1.0);
    feed.flush();
    let mut infer = supervised(&line, &["echo", "fatal_at_load"], "");
    let reason = infer.wait_for("the model to be given up", || {
        let records = models.records();
        records.iter().find_map(|record| {
            let descriptor = ModelDescriptor::decode(record.value.as_ref()?).ok()?;
            let is_it = descriptor.model == "fatal_at_load";
            (is_it && descriptor.state == ModelState::Failed).then_some(descriptor.reason)
        })
    });
    assert!(
        reason.contains("2 processes died") && reason.contains("SIGSEGV"),
        "{reason}"
    );
    infer.wait_for("the other model's answer", || {
        (!results.records().is_empty()).then_some(())
    });
    assert_eq!(infer.starts, MOST_STARTS);
    // It is not tried again: the next process says the same at once and lives.
    infer = infer.kill_9();
    send(&feed, 2, 2.0);
    infer.wait_for("another answer", || {
        ids(&results).contains("2").then_some(())
    });
    assert_eq!(infer.starts, MOST_STARTS + 1);
}

fn supervised(line: &Line, names: &[&str], engine: &str) -> Supervisor {
    let operators = fatal_operators(line.dir());
    let settings = line.infer_settings(Infer {
        models: "tests/models",
        names,
        max_rows: 8,
        ..Infer::default()
    });
    let settings = settings.replace("[engine]\n", &format!("[engine]\n{engine}\n"));
    // The group knows it again and need not wait until the process before has timed out.
    let settings = settings.replace("[consumer]\n", "[consumer]\ninstance_id = \"only\"\n");
    let settings = format!(
        "drain_deadline = \"1s\"\n{settings}\n[engine.onnx]\ncustom_ops = [{operators:?}]\n"
    );
    Supervisor::start(line.dir(), settings)
}

fn send(feed: &Feed, number: u16, value: f32) {
    let values = Buffer::from_vec(vec![value, 0.0, 0.0, 0.0]);
    let row = Tensor::fixed("x", DType::Float32, vec![1, 4], values).expect("a row of four");
    let record = encode_tensors(&[row]).expect("a tensor encodes");
    feed.send(None, Some(record), &[("mr-id", &number.to_string())]);
}

fn ids(results: &Tap) -> HashSet<String> {
    let records = results.records();
    let ids = records.iter().filter_map(|record| header(record, "mr-id"));
    ids.map(str::to_owned).collect()
}

/// The parts of the state folder that belong to processes.
fn runs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join("state")) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_run = |path: &PathBuf| path.to_string_lossy().contains("/run-");
    paths.filter(is_run).collect()
}

/// The part of a process, other than those that are gone, in which a batch is running.
fn running(dir: &Path, gone: &HashSet<PathBuf>) -> Option<PathBuf> {
    let is_running = |run: &PathBuf| {
        let files = fs::read_dir(run).into_iter().flatten();
        let mut journals = files.filter_map(|file| fs::read(file.ok()?.path()).ok());
        journals.any(|journal| journal.first() == Some(&1))
    };
    runs(dir)
        .into_iter()
        .find(|run| !gone.contains(run) && is_running(run))
}
