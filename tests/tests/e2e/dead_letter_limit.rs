//! When dead letters become the rule, reading ends: few letters, offsets stay, and after the mend all is answered.

use std::fs;
use std::time::{Duration, Instant};

use e2e::{Feed, Line, ModelFolder, PATIENCE, Process, Tap, header, project_path, wait_for};
use serde_json::Value;

use crate::bad_records::row_of;
use crate::command_line::succeed;

const RECORDS: usize = 300;

/// A model that takes images, and many records that hold none.
struct Scene {
    line: Line,
    models: ModelFolder,
    results: Tap,
    dead: Tap,
    infer: Process,
}

impl Scene {
    fn new(delivery: &str, pause: &str) -> Self {
        let line = Line::new(&["m"], 1);
        let models = ModelFolder::new();
        models.put("m", 1);
        models.say("m", &format!("delivery = {delivery:?}"));
        let feed = Feed::new(&line, "requests.m");
        for number in 0..RECORDS {
            feed.send(None, Some(row_of(2.0)), &[("mr-id", &number.to_string())]);
        }
        feed.flush();
        let limit = format!("[dead_letters]\nmin_count = 20\npause = {pause:?}\ntrial_records = 5");
        Self {
            results: Tap::open(&line, "results.m"),
            dead: Tap::open(&line, "dead-letters"),
            infer: line.infer_over(models.path(), &limit),
            line,
            models,
        }
    }

    fn ready(&self) -> (u16, String) {
        let answer = reqwest::blocking::get(self.infer.url("/ready")).expect("infer answers");
        (answer.status().as_u16(), answer.text().expect("text"))
    }

    fn wait_stopped(&self) {
        wait_for(PATIENCE, "reading to end", || {
            let (status, body) = self.ready();
            (status == 503 && body.contains("dead letters are the rule")).then_some(())
        });
    }

    /// Serves a version that can read the records.
    fn mend(&self) {
        let affine = project_path("tests/models/affine/1/model.onnx");
        let bytes = fs::read(affine).expect("the probe is there");
        self.models.put_bytes("m", 2, &bytes);
    }

    fn answered(&self) -> usize {
        let records = self.results.records();
        let is_ok = |record: &&_| header(record, "mr-status") == Some("OK");
        records.iter().filter(is_ok).count()
    }
}

#[test]
fn all_records_poison_ends_reading_and_after_the_mend_all_are_answered_at_least_once() {
    stopped_and_mended("at_least_once");
}

#[test]
fn all_records_poison_ends_reading_and_after_the_mend_all_are_answered_exactly_once() {
    stopped_and_mended("exactly_once");
}

fn stopped_and_mended(delivery: &str) {
    let scene = Scene::new(delivery, "10min");
    scene.wait_stopped();
    assert_eq!(scene.dead.wait_for(20).len(), 20, "no more than the limit");
    wait_for(
        PATIENCE,
        "the offset of the first record that was not answered",
        || {
            let lag = succeed(
                &scene.line,
                &["lag", "--over", "0s", "--partitions", "--json"],
            );
            let lag: Vec<Value> = serde_json::from_str(&lag).expect("the tool prints JSON");
            let committed = &lag.first()?["committed"];
            assert!(committed.as_i64().is_none_or(|it| it <= 20), "{committed}");
            (*committed == 20).then_some(())
        },
    );
    assert_eq!(scene.infer.metric("millrace_infer_reading_stopped"), 1.0);
    let shown = succeed(&scene.line, &["models", "show", "m"]);
    assert!(shown.contains("dead letters are the rule"), "{shown}");

    scene.mend();
    let good = RECORDS - 20;
    wait_for(PATIENCE, "all others to be answered", || {
        (scene.answered() >= good).then_some(())
    });
    assert_eq!(scene.infer.metric("millrace_infer_reading_stopped"), 0.0);
    assert_eq!(scene.dead.records().len(), 20);
    wait_for(PATIENCE, "infer to be ready again", || {
        (scene.ready().0 == 200).then_some(())
    });
    succeed(&scene.line, &["dead-letters", "requeue", "--all", "--yes"]);
    wait_for(PATIENCE, "the letters to be answered", || {
        (scene.answered() >= RECORDS).then_some(())
    });
    assert_eq!(scene.answered(), RECORDS, "none twice");
}

#[test]
fn reading_is_tried_again_with_a_few_records_after_each_pause() {
    let begun = Instant::now();
    let scene = Scene::new("at_least_once", "2s");
    scene.wait_stopped();
    // Three of five are too many: so many letters leave at each attempt.
    let letters = wait_for(PATIENCE, "three attempts", || {
        let letters = scene.dead.records().len();
        (letters >= 29).then_some(letters)
    });
    let pauses = usize::try_from(begun.elapsed().as_secs() / 2).expect("it is small");
    assert!(
        letters <= 20 + 3 * (pauses + 1),
        "{letters} letters in {pauses} pauses"
    );
    assert!(begun.elapsed() > Duration::from_secs(6));
}
