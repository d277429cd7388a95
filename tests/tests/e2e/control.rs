//! What operators ask for at the command line and over HTTP is what callers get, once the command has returned.

use e2e::{Line, ModelFolder, PATIENCE, Process, digits, wait_for};
use serde_json::{Value, json};

use crate::command_line::{run, said, succeed};

/// An ingest in front of an infer with a model folder of its own.
struct Scene {
    line: Line,
    models: ModelFolder,
    _infer: Process,
    ingest: Process,
    client: reqwest::blocking::Client,
}

/// Who answered: the version, and the SHA-256 of its weights.
type Answerer = (String, String);

impl Scene {
    /// Serves the versions of `digits` that are put there, as `model.toml` says.
    fn new(versions: &[i64], model_toml: &str) -> (Self, Vec<String>) {
        let line = Line::new(&["digits"], 2);
        let models = ModelFolder::new();
        let weights = versions
            .iter()
            .map(|version| models.put("digits", *version));
        let weights = weights.collect();
        models.say("digits", model_toml);
        let mut infer = line.infer_over(models.path(), "");
        let mut ingest = line.ingest("[control]\nenabled = true");
        infer.wait_ready();
        ingest.wait_ready();
        let client = reqwest::blocking::Client::builder().timeout(PATIENCE);
        let scene = Self {
            line,
            models,
            _infer: infer,
            ingest,
            client: client.build().expect("a client can be made"),
        };
        (scene, weights)
    }

    /// Asks about one image; who answered, or the status and the sentence.
    fn ask(&self, place: &str) -> Result<Answerer, (u16, String)> {
        let body = json!({"instances": [{"image": digits().json(0)}]}).to_string();
        let url = self
            .ingest
            .url(&format!("/v1/models/digits{place}:predict"));
        let answer = self.client.post(url).body(body).send();
        let answer = answer.expect("ingest answers");
        let header = |name| {
            let value = answer.headers().get(name).and_then(|it| it.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (version, weights) = (header("mr-version"), header("mr-weights-sha256"));
        match answer.status().as_u16() {
            200 => Ok((version, weights)),
            status => Err((status, answer.text().expect("the answer is text"))),
        }
    }

    /// Asks again until ingest has read what infer published.
    fn ask_until(&self, place: &str, is_right: impl Fn(&Result<Answerer, (u16, String)>) -> bool) {
        wait_for(PATIENCE, "the right answer", || {
            is_right(&self.ask(place)).then_some(())
        });
    }

    fn models(&self, arguments: &[&str]) -> String {
        succeed(&self.line, &[&["models"], arguments].concat())
    }

    fn listed(&self) -> Vec<Value> {
        let text = self.models(&["list", "--json"]);
        serde_json::from_str(&text).expect("the tool prints JSON")
    }

    fn repository(&self, verb: &str) -> u16 {
        let path = format!("/v2/repository/models/digits/{verb}");
        let answer = self.client.post(self.ingest.url(&path)).send();
        answer.expect("ingest answers").status().as_u16()
    }
}

#[test]
fn labels_and_a_canary_hold_when_the_command_has_returned() {
    let (scene, weights) = Scene::new(&[1, 2], "[versions]\npolicy = \"all\"\n");
    scene.models(&["labels", "set", "digits", "stable", "1"]);
    assert_eq!(scene.ask(""), Ok(("1".to_owned(), weights[0].clone())));
    scene.models(&["labels", "set", "digits", "next", "2"]);
    scene.ask_until("/labels/next", |it| {
        it == &Ok(("2".into(), weights[1].clone()))
    });
    scene.models(&["canary", "digits", "next", "100"]);
    assert_eq!(scene.ask(""), Ok(("2".to_owned(), weights[1].clone())));
    assert_eq!(scene.ask("/versions/1").map(|it| it.0), Ok("1".to_owned()));
    let listed = scene.listed();
    assert_eq!(listed[1]["labels"], json!(["next"]), "{listed:?}");
    assert_eq!(listed[1]["canary_percent"], 100, "{listed:?}");
    assert_eq!(listed[1]["weights_sha256"], json!(weights[1]), "{listed:?}");
    scene.models(&["canary", "digits", "--off"]);
    assert_eq!(scene.ask("").map(|it| it.0), Ok("1".to_owned()));

    let set = ["models", "labels", "set", "digits", "stable", "7"];
    let unknown = run(&scene.line, &set);
    assert_eq!(unknown.status.code(), Some(5));
    let sentence = said(&unknown);
    assert!(
        sentence.contains("1 (AVAILABLE), 2 (AVAILABLE)"),
        "{sentence}"
    );
}

#[test]
fn a_label_that_is_set_back_is_the_way_back_to_an_older_version() {
    let (scene, weights) = Scene::new(&[1], "");
    assert_eq!(scene.ask("").map(|it| it.1), Ok(weights[0].clone()));
    let newer = scene.models.put("digits", 2);
    scene.ask_until("", |it| it.as_ref().is_ok_and(|it| it.1 == newer));
    scene.models(&["labels", "set", "digits", "stable", "1", "--ahead"]);
    assert_eq!(scene.ask("").map(|it| it.1), Ok(weights[0].clone()));
    scene.models(&["labels", "remove", "digits", "stable"]);
    assert_eq!(scene.ask("").map(|it| it.1), Ok(newer));
}

#[test]
fn a_version_that_cannot_be_loaded_is_told_and_changes_nothing() {
    let (scene, weights) = Scene::new(&[1], "[versions]\npolicy = [1]\n");
    scene.models.put_bytes("digits", 2, b"no model at all");
    let set = [
        "models", "labels", "set", "digits", "stable", "2", "--ahead",
    ];
    let failed = run(&scene.line, &set);
    assert_eq!(failed.status.code(), Some(6), "{}", said(&failed));
    assert!(said(&failed).contains("version 2"), "{}", said(&failed));
    assert_eq!(scene.ask("").map(|it| it.1), Ok(weights[0].clone()));
}

#[test]
fn a_model_is_unloaded_and_loaded_at_the_command_line_and_over_http() {
    let (scene, _) = Scene::new(&[1], "");
    scene.models(&["unload", "digits"]);
    assert_eq!(scene.listed()[0]["state"], "END");
    scene.ask_until("", |it| {
        it.as_ref()
            .is_err_and(|it| it.0 == 404 && it.1.contains("unloaded on request"))
    });
    assert_eq!(scene.repository("load"), 200);
    assert_eq!(scene.ask("").map(|it| it.0), Ok("1".to_owned()));
    assert_eq!(scene.repository("unload"), 200);
    assert!(scene.ask("").is_err_and(|it| it.0 == 404));
    scene.models(&["load", "digits", "--timeout", "100"]);
    scene.ask_until("", |it| it.is_ok());
}
