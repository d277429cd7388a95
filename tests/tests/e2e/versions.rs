//! Versions by number and by label, the canary's share, and what operators ask for at run time.

use std::collections::{BTreeMap, HashMap};

use e2e::{Feed, Line, ModelFolder, PATIENCE, Tap, header, wait_for};
use millrace_wire::avro::{Canary, ModelControl, ModelState};

use crate::digit_records::image_record;
use crate::hot_swap::{descriptors, wait_state};

/// Versions 1 and 2, both served, `stable` the older one.
const BOTH: &str = "[versions]\npolicy = \"all\"\nlabels = { stable = 1, next = 2 }\n";

struct Scene {
    line: Line,
    models: ModelFolder,
    feed: Feed,
    results: Tap,
    told: Tap,
}

impl Scene {
    fn new() -> Self {
        let line = Line::new(&["digits"], 1);
        let models = ModelFolder::new();
        models.put("digits", 1);
        models.put("digits", 2);
        models.say("digits", BOTH);
        Self {
            feed: Feed::new(&line, "requests.digits"),
            results: Tap::open(&line, "results.digits"),
            told: Tap::open(&line, "models"),
            line,
            models,
        }
    }

    /// Sends one image; the version that answered, or the refusal.
    fn ask(&self, headers: &[(&str, &str)]) -> Result<i64, String> {
        let before = self.results.records().len();
        self.feed.send(None, Some(image_record(before)), headers);
        let record = self.results.wait_for(before + 1).remove(before);
        match header(&record, "mr-error") {
            Some(error) => Err(error.to_owned()),
            None => Ok(header(&record, "mr-version")
                .and_then(|it| it.parse().ok())
                .expect("a version")),
        }
    }

    /// Writes a record of the control topic and waits until the replica goes by it.
    fn control(&self, offset: i64, change: impl FnOnce(&mut ModelControl)) {
        let mut control = ModelControl::of("digits");
        change(&mut control);
        let feed = Feed::new(&self.line, "control");
        feed.send_keyed(
            "digits",
            Some(control.encode().expect("it can be written")),
            &[],
        );
        feed.flush();
        wait_for(PATIENCE, "the replica to follow", || {
            let told = descriptors(&self.told, "digits");
            told.values()
                .all(|it| it.control_offset >= offset)
                .then_some(())
        });
    }
}

#[test]
fn records_find_their_version_by_number_by_label_and_by_default() {
    let scene = Scene::new();
    let mut infer = scene.line.infer_over(scene.models.path(), "");
    infer.wait_ready();
    wait_state(&scene.told, ("digits", 1), ModelState::Available);
    wait_state(&scene.told, ("digits", 2), ModelState::Available);
    assert_eq!(scene.ask(&[]), Ok(1), "stable is the default");
    assert_eq!(scene.ask(&[("mr-version", "2")]), Ok(2));
    assert_eq!(scene.ask(&[("mr-label", "next")]), Ok(2));
    let refusal = scene.ask(&[("mr-label", "beta")]).unwrap_err();
    assert!(refusal.contains("next, stable"), "{refusal}");
    let refusal = scene.ask(&[("mr-version", "7")]).unwrap_err();
    assert!(refusal.contains("versions 1, 2"), "{refusal}");

    scene
        .models
        .say("digits", &BOTH.replace("stable = 1", "stable = 2"));
    wait_for(PATIENCE, "stable to move", || {
        let told = descriptors(&scene.told, "digits");
        told[&2].labels.contains(&"stable".to_owned()).then_some(())
    });
    assert_eq!(scene.ask(&[]), Ok(2));
}

#[test]
fn operators_move_labels_and_unload_a_model_at_run_time() {
    let scene = Scene::new();
    let mut infer = scene.line.infer_over(scene.models.path(), "");
    infer.wait_ready();
    let stable = |version| BTreeMap::from([("stable".to_owned(), Some(version))]);
    scene.control(0, |control| control.labels = stable(2));
    assert_eq!(scene.ask(&[]), Ok(2));

    scene.control(1, |control| control.unloaded = true);
    for version in [1, 2] {
        let told = wait_state(&scene.told, ("digits", version), ModelState::End);
        assert_eq!(told.reason, "unloaded on request");
    }
    // What comes meanwhile waits in its topic.
    scene
        .feed
        .send(None, Some(image_record(0)), &[("mr-id", "patient")]);
    scene.feed.flush();
    scene.control(2, |control| control.labels = stable(2));
    let records = scene.results.wait_for(2);
    assert_eq!(header(&records[1], "mr-id"), Some("patient"));
    assert_eq!(header(&records[1], "mr-status"), Some("OK"));
}

#[test]
fn the_canary_gets_its_share_and_a_key_stays_with_its_version() {
    const KEYS: usize = 600;
    let scene = Scene::new();
    let mut infer = scene.line.infer_over(scene.models.path(), "");
    infer.wait_ready();
    wait_state(&scene.told, ("digits", 2), ModelState::Available);
    scene.control(0, |control| {
        control.canary = Some(Canary {
            label: "next".to_owned(),
            percent: 25,
        });
    });
    assert_eq!(descriptors(&scene.told, "digits")[&2].canary_percent, 25);
    for number in 0..2 * KEYS {
        let key = (number % KEYS).to_string();
        scene.feed.send_keyed(&key, Some(image_record(number)), &[]);
    }
    let mut versions: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
    for record in scene.results.wait_for(2 * KEYS) {
        let version = header(&record, "mr-version").expect("a version").to_owned();
        versions
            .entry(record.key.expect("a key"))
            .or_default()
            .push(version);
    }
    assert!(
        versions
            .values()
            .all(|of_key| of_key.len() == 2 && of_key[0] == of_key[1])
    );
    let share = versions.values().filter(|of_key| of_key[0] == "2").count();
    // 150 expected; five standard deviations of a binomial are 53.
    assert!(share.abs_diff(KEYS / 4) < 53, "{share} of {KEYS} keys");
    assert_eq!(scene.ask(&[("mr-label", "stable")]), Ok(1));
}
