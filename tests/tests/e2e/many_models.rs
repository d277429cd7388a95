//! Many models in one process: models come and go, and memory for some of them is enough for all.

use std::fs;

use e2e::{Feed, Line, ModelFolder, PATIENCE, Tap, header, project_path, wait_for};
use millrace_wire::avro::ModelState;

use crate::digit_records::image_record;
use crate::hot_swap::{descriptors, wait_state};

const MODELS: [&str; 4] = ["a", "b", "c", "d"];

fn model_bytes() -> u64 {
    let file = project_path("models/digits/1/model.onnx");
    fs::metadata(file)
        .expect("the digits model is in the project")
        .len()
}

/// Sends one image to a model and waits for its answer.
fn ask(line: &Line, model: &str, number: usize) {
    let results = Tap::open(line, &format!("results.{model}"));
    let id = format!("{model}-{number}");
    let feed = Feed::new(line, &format!("requests.{model}"));
    feed.send(None, Some(image_record(number)), &[("mr-id", &id)]);
    wait_for(PATIENCE, &format!("an answer to {id}"), || {
        let records = results.records();
        let record = records
            .iter()
            .find(|record| header(record, "mr-id") == Some(&id))?;
        assert_eq!(
            header(record, "mr-status"),
            Some("OK"),
            "{:?}",
            header(record, "mr-error")
        );
        Some(())
    });
}

/// How many models have no engines at the moment.
fn asleep(told: &Tap) -> usize {
    let is_asleep = |model: &&&str| {
        let told = descriptors(told, model);
        told.get(&1)
            .is_some_and(|it| it.reason.starts_with("unloaded for memory"))
    };
    MODELS.iter().filter(is_asleep).count()
}

#[test]
fn models_beyond_the_memory_budget_are_unloaded_and_come_back_with_their_next_record() {
    let line = Line::new(&MODELS, 1);
    let models = ModelFolder::new();
    for model in MODELS {
        models.put(model, 1);
    }
    let told = Tap::open(&line, "models");
    let budget = model_bytes() * 5 / 2;
    let mut infer = line.infer_over(models.path(), &format!("memory_budget = {budget}"));
    infer.wait_ready();
    for model in MODELS {
        wait_state(&told, (model, 1), ModelState::Available);
    }
    wait_for(PATIENCE, "two models to be unloaded", || {
        (asleep(&told) == 2).then_some(())
    });
    for number in 0..3 {
        for model in MODELS {
            ask(&line, model, number);
        }
    }
    wait_for(PATIENCE, "two models to be unloaded", || {
        (asleep(&told) == 2).then_some(())
    });
    // The two that were asked last are those that are loaded.
    assert!(
        descriptors(&told, "a")[&1]
            .reason
            .starts_with("unloaded for memory")
    );
    assert_eq!(descriptors(&told, "d")[&1].reason, "");
}

#[test]
fn a_model_larger_than_the_budget_says_so_and_the_others_are_served() {
    let line = Line::new(&["a", "b"], 1);
    let models = ModelFolder::new();
    models.put("a", 1);
    models.put("b", 1);
    models.say("b", "[versions]\nmemory = 1000000000\n");
    let told = Tap::open(&line, "models");
    let budget = model_bytes() * 2;
    let mut infer = line.infer_over(models.path(), &format!("memory_budget = {budget}"));
    infer.wait_ready();
    let failed = wait_state(&told, ("b", 1), ModelState::Failed);
    assert!(
        failed.reason.contains("models.memory_budget"),
        "{}",
        failed.reason
    );
    ask(&line, "a", 0);
}

#[test]
fn models_appear_and_vanish_while_the_process_runs() {
    let line = Line::new(&["a", "b"], 1);
    let models = ModelFolder::new();
    models.put("a", 1);
    let told = Tap::open(&line, "models");
    let mut infer = line.infer_over(models.path(), "");
    infer.wait_ready();
    ask(&line, "a", 0);

    models.put("b", 1);
    ask(&line, "b", 0);

    models.remove("a");
    wait_for(PATIENCE, "a tombstone for model a", || {
        let records = told.records();
        let of_a = records.iter().rev().find(|record| {
            record
                .key
                .as_deref()
                .is_some_and(|key| key.starts_with(b"a/1/"))
        });
        of_a.is_some_and(|record| record.value.is_none())
            .then_some(())
    });
    ask(&line, "b", 1);
    models.put("a", 2);
    ask(&line, "a", 1);
}
