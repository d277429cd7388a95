//! The description holds: every operation in it is there, is answered as it
//! says, and is kept from whoever may not ask it.

use serde_json::Value;

use super::access::{Guarded, KEY};
use super::client::{Answer, get, post, raw, request};
use super::scene::shared;

/// A place where no result is.
const NOWHERE: &str = "000102030405060708090a0b0c0d0e0f-0-0-1-rows";

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

struct Operation {
    method: String,
    path: String,
    description: Value,
}

impl Operation {
    /// Every operation of an ingest's own description.
    fn all(document: &Value) -> Vec<Self> {
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in METHODS {
                let Some(description) = methods.get(method) else {
                    continue;
                };
                all.push(Self {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    description: description.clone(),
                });
            }
        }
        all
    }

    /// Open to all: it asks for no security, whatever the document asks for.
    fn is_open(&self) -> bool {
        self.description["security"] == serde_json::json!([{}])
    }

    /// The request for a model, with the example body if there is one.
    fn request(&self, model: &str, headers: &[&str]) -> Vec<u8> {
        let path = self
            .path
            .replace("{model}", model)
            .replace("{version}", "1");
        let path = path
            .replace("{label}", "stable")
            .replace("{location}", NOWHERE);
        let content = &self.description["requestBody"]["content"]["application/json"];
        let body = match &content["example"] {
            Value::Null => String::new(),
            example => example.to_string(),
        };
        let headers = [headers, &["Content-Type: application/json"]].concat();
        request(&self.method, &path, &headers, body.as_bytes())
    }

    #[track_caller]
    fn check_described(&self, answer: &Answer) {
        let (method, path) = (&self.method, &self.path);
        let status = answer.status.to_string();
        let described = &self.description["responses"][&status];
        assert!(
            described.is_object(),
            "{method} {path} answers {status}: {}",
            answer.text()
        );
        let sentence = answer.text();
        assert!(
            !sentence.contains("no such path"),
            "{method} {path}: {sentence}"
        );
        assert_ne!(answer.status, 405, "{method} {path}");
    }
}

fn document(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200);
    answer.json()
}

#[test]
fn every_described_operation_is_there_and_answers_as_described() {
    let scene = shared();
    let document = document(&get(scene.address, "/openapi.json"));
    let all = Operation::all(&document);
    assert!(all.len() > 20, "{}", all.len());
    for operation in all {
        for model in ["m", "no-such-model"] {
            let answer = raw(scene.address, &operation.request(model, &[]));
            operation.check_described(&answer);
        }
    }
}

#[test]
fn every_operation_that_is_not_open_wants_credentials() {
    let guarded = Guarded::start(|access| access.open_metrics = false);
    let document = document(&get(guarded.scene.address, "/openapi.json"));
    for operation in Operation::all(&document) {
        let answer = raw(guarded.scene.address, &operation.request("m", &[]));
        let (method, path) = (&operation.method, &operation.path);
        assert_eq!(
            answer.status == 401,
            !operation.is_open(),
            "{method} {path}: {}",
            answer.status
        );
    }
}

#[test]
fn no_operation_on_a_model_serves_whoever_may_not_use_it() {
    let guarded = Guarded::start(|_| {});
    let document = document(&get(guarded.scene.address, "/openapi.json"));
    let header = format!("X-API-Key: {KEY}");
    for operation in Operation::all(&document) {
        let answer = raw(
            guarded.scene.address,
            &operation.request("secret-model", &[&header]),
        );
        let (method, path) = (&operation.method, &operation.path);
        if operation.path.contains("{model}") {
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        }
        let text = answer.text();
        let tells = text.contains("secret-model") && !operation.path.contains("{model}");
        assert!(!tells, "{method} {path} tells of another's model: {text}");
    }
}

#[test]
fn the_page_takes_nothing_from_elsewhere() {
    let scene = shared();
    for path in ["/docs", "/docs/page.css", "/docs/page.js"] {
        let answer = get(scene.address, path);
        assert_eq!(answer.status, 200);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        let text = answer.text();
        for foreign in [
            "http://",
            "https://",
            "@import",
            "innerHTML",
            "eval(",
            "onclick=",
            "style=",
        ] {
            assert!(!text.contains(foreign), "{path} has {foreign}");
        }
    }
    get(scene.address, "/docs/../Cargo.toml").check_refusal(404, "no such path");
}

/// Found by Schemathesis: it was taken for an empty body.
#[test]
fn a_repository_index_is_not_asked_for_by_nonsense() {
    let address = shared().address;
    for body in ["\0", "[]", "true", "{\"ready\": 1}", "{", &" ".repeat(8192)] {
        let answer = post(address, "/v2/repository/index", body);
        answer.check_refusal(400, "body must be empty or an object");
    }
    assert_eq!(post(address, "/v2/repository/index", "{}").status, 200);
}
