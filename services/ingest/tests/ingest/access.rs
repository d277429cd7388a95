//! H81: no, wrong and expired credentials, and the right user for the wrong
//! model, over HTTP.

use std::fs;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::client::{Answer, raw, request};
use super::played::{descriptor, echo};
use super::scene::Scene;

const BODY: &[u8] = br#"{"instances": [[1,2,3,4]]}"#;

/// May do everything with `m` and `m2`, nothing with others.
pub(crate) const KEY: &str = "mr_key-of-checkout";
/// May only read, but every model.
const READER: &str = "mr_key-of-reader";

pub(crate) fn entry(name: &str, key: &str, rest: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[keys]]\nname = {name:?}\nsha256 = {hex:?}\n{rest}\n")
}

/// An ingest with two keys that serves `m` and, to others, `secret-model`.
pub(crate) struct Guarded {
    pub(crate) scene: Scene,
    _files: TempDir,
}

impl Guarded {
    pub(crate) fn start(change: impl FnOnce(&mut millrace_ingest::AccessSettings)) -> Self {
        let files = TempDir::new().unwrap();
        let keys = files.path().join("keys.toml");
        let all = "models = [\"m\", \"m2\"]\nrights = [\"predict\", \"read\", \"control\"]";
        let read = "models = [\"*\"]\nrights = [\"read\"]";
        let text = entry("checkout", KEY, all) + &entry("reader", READER, read);
        fs::write(&keys, text).unwrap();
        let scene = Scene::start(|settings| {
            settings.access.api_keys = Some(keys);
            change(&mut settings.access);
        });
        for model in ["m", "secret-model"] {
            scene.serve(&descriptor(model, &[("x", "FP32", &[-1, 4])]), echo);
        }
        scene.wait_ready();
        let guarded = Self {
            scene,
            _files: files,
        };
        guarded.wait_served("secret-model");
        guarded
    }

    /// `/ready` opens with the first model, so each is waited for.
    fn wait_served(&self, model: &str) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while self
            .get(&format!("/v1/models/{model}"), Some(READER))
            .status
            != 200
        {
            assert!(std::time::Instant::now() < until, "{model} is never served");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn get(&self, path: &str, key: Option<&str>) -> Answer {
        let header = key.map(|key| format!("X-API-Key: {key}"));
        let headers: Vec<&str> = header.as_deref().into_iter().collect();
        raw(self.scene.address, &request("GET", path, &headers, b""))
    }

    fn predict(&self, model: &str, headers: &[&str]) -> Answer {
        let path = format!("/v1/models/{model}:predict");
        let headers = [headers, &["Content-Type: application/json"]].concat();
        raw(self.scene.address, &request("POST", &path, &headers, BODY))
    }
}

fn shared() -> &'static Guarded {
    static SHARED: LazyLock<Guarded> = LazyLock::new(|| Guarded::start(|_| {}));
    &SHARED
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

#[test]
fn a_key_in_either_header_is_answered() {
    let guarded = shared();
    for header in [bearer(KEY), format!("X-API-Key: {KEY}")] {
        let answer = guarded.predict("m", &[&header]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn no_and_wrong_credentials_are_401_and_reach_nothing() {
    let guarded = shared();
    let wrong = bearer("mr_wrong");
    let nearly = bearer(&KEY[..KEY.len() - 1]);
    let both = [bearer(KEY), format!("X-API-Key: {KEY}")];
    let cases: [(&[&str], &str); 6] = [
        (&[], "no credentials were given"),
        (&[&wrong], "credentials are not valid"),
        (&[&nearly], "credentials are not valid"),
        (&[&bearer("a.b.c")], "credentials are not valid"),
        (
            &["Authorization: Basic dXNlcjpwYXNz"],
            "credentials must be given once",
        ),
        (&[&both[0], &both[1]], "credentials must be given once"),
    ];
    for (headers, fragment) in cases {
        let answer = guarded.predict("m", headers);
        answer.check_refusal(401, fragment);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert!(!guarded.scene.has_reached_infer(&answer));
    }
    assert!(
        guarded
            .scene
            .metric("millrace_ingest_rejected_total{reason=\"credentials\"}")
            >= 3.0
    );
}

#[test]
fn the_right_user_for_the_wrong_model_is_403_whether_or_not_it_exists() {
    let guarded = shared();
    for model in ["secret-model", "no-such-model"] {
        let answer = guarded.predict(model, &[&bearer(KEY)]);
        answer.check_refusal(
            403,
            &format!("\"checkout\" may not predict with model {model:?}"),
        );
        assert!(!guarded.scene.has_reached_infer(&answer));
        guarded
            .get(&format!("/v1/models/{model}"), Some(KEY))
            .check_refusal(403, "may not read");
        guarded
            .get(&format!("/v1/models/{model}/metadata"), Some(KEY))
            .check_refusal(403, "may not read");
    }
    guarded
        .predict("m", &[&bearer(READER)])
        .check_refusal(403, "may not predict");
    assert_eq!(
        guarded.get("/v1/models/m/metadata", Some(READER)).status,
        200
    );
}

#[test]
fn a_refusal_names_no_model_of_others() {
    let answer = shared().predict("m2", &[&bearer(KEY)]);
    answer.check_refusal(404, "models served: m");
    assert!(!answer.text().contains("secret-model"), "{}", answer.text());
}

#[test]
fn a_concealed_model_looks_like_one_that_does_not_exist() {
    let guarded = Guarded::start(|access| access.conceal_models = true);
    let about = |model: &str| {
        let answers = [
            guarded.predict(model, &[&bearer(KEY)]),
            guarded.get(&format!("/v1/models/{model}"), Some(KEY)),
            guarded.get(&format!("/v1/models/{model}/metadata"), Some(KEY)),
        ];
        answers.map(|answer| (answer.status, answer.text().replace(model, "MODEL")))
    };
    assert_eq!(about("secret-model"), about("no-such-model"));
    guarded
        .predict("secret-model", &[&bearer(KEY)])
        .check_refusal(404, "Servable not found");
}

#[test]
fn what_load_balancers_ask_needs_no_credentials() {
    let guarded = shared();
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(guarded.get(path, None).status, 200, "{path}");
    }
    for path in [
        "/",
        "/live/",
        "/%6cive",
        "/v1/models",
        "//live",
        "/live/../v1/models/m",
        "/predict",
    ] {
        guarded.get(path, None).check_refusal(401, "no credentials");
    }
    // Even broken credentials do not make an open door shut.
    assert_eq!(guarded.get("/live", Some("mr_wrong")).status, 200);
}

#[test]
fn metrics_can_be_kept_from_strangers() {
    let guarded = Guarded::start(|access| access.open_metrics = false);
    guarded
        .get("/metrics", None)
        .check_refusal(401, "no credentials");
    assert_eq!(guarded.get("/metrics", Some(READER)).status, 200);
}

#[test]
fn optional_credentials_let_strangers_predict() {
    let guarded = Guarded::start(|access| access.required = Some(false));
    assert_eq!(guarded.predict("m", &[]).status, 200);
    guarded
        .predict("m", &[&bearer("mr_wrong")])
        .check_refusal(401, "not valid");
    guarded
        .predict("secret-model", &[&bearer(KEY)])
        .check_refusal(403, "may not");
}
