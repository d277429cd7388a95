//! No secret is ever shown: not in logs at their most talkative, not in
//! errors, not in metrics, not by --check-config.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::{Line, PATIENCE, Process, binary_path, tool, wait_for};

/// What must not be found anywhere; all of it is shown to ingest in some way.
const PASSWORD: &str = "hunter2-kafka-password";
const WRONG_KEY: &str = "mr_wrong-key-of-a-stranger";
const WRONG_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0.c2lnbmF0dXJl";
const BASIC: &str = "aHVudGVyMjpodW50ZXIy";
const IN_BROKEN_FILE: &str = "hunter2-in-a-broken-file";

/// An API key made by the tool, and the file that knows it.
fn new_key(folder: &Path) -> String {
    let made = tool(&["access", "new-key", "checkout", "--models", "digits"]);
    let (key, entry) = made.split_once('\n').expect("a key and its entry");
    fs::write(folder.join("keys.toml"), entry).expect("the folder can be written");
    key.to_owned()
}

fn settings(folder: &Path) -> String {
    let keys = folder.join("keys.toml");
    format!(
        "[access]\napi_keys = {keys:?}\nreload_interval = \"50ms\"\n\
         [telemetry.log]\nlevel = \"trace\"\n\
         [kafka.options]\n\"sasl.password\" = {PASSWORD:?}\n"
    )
}

/// Everything that a caller gets to see, for these headers.
fn ask(ingest: &Process, path: &str, headers: &[(&str, String)]) -> String {
    let client = reqwest::blocking::Client::new();
    let mut request = client.post(ingest.url(path)).body("{}");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().expect("ingest answers");
    format!(
        "{:?}\n{}",
        answer.headers().clone(),
        answer.text().expect("an answer is text")
    )
}

/// What `millrace-ingest` says about settings, right or wrong.
fn check_config(folder: &Path, settings: &str) -> String {
    let file = folder.join("checked.toml");
    fs::write(&file, settings).expect("the folder can be written");
    let output = Command::new(binary_path("millrace-ingest"))
        .args(["--check-config", "--config"])
        .arg(&file)
        .output()
        .expect("ingest starts");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// All logs of the processes that ran in this folder.
fn logs(folder: &Path) -> String {
    let entries = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path());
    let logs = entries.filter(|path| path.extension().is_some_and(|it| it == "log"));
    logs.map(|path| fs::read_to_string(path).expect("a log is text"))
        .collect()
}

/// What --check-config says to right settings and to many that are nearly right.
fn checked_configs(folder: &Path) -> String {
    let mut seen = String::new();
    seen.push_str(&check_config(folder, &settings(folder)));
    fs::write(folder.join("keys.toml"), "").expect("the folder can be written");
    let right = settings(folder);
    for wrong in [
        right.clone(),
        right.replace("sasl.password", "sasl.pasword"),
        right.replace("sasl.password\" =", "sasl.password\""),
        right.replace("[kafka.options]", "[kafka]"),
        right.replace("[kafka.options]", "[access.jwt]"),
        format!("{right}acks = {IN_BROKEN_FILE:?}\n[kafka.more]"),
    ] {
        seen.push_str(&check_config(folder, &wrong));
    }
    seen
}

#[test]
fn no_secret_is_ever_shown() {
    let line = Line::new(&["digits"], 1);
    let folder = line.dir();
    let key = new_key(folder);
    let ingest = line.ingest(&settings(folder));
    let mut seen = String::new();
    let bearer = |secret: &str| ("authorization", format!("Bearer {secret}"));
    let predict = "/v1/models/digits:predict";
    for (path, headers) in [
        (predict, vec![bearer(&key)]),
        ("/v1/models/other:predict", vec![bearer(&key)]),
        (predict, vec![("x-api-key", WRONG_KEY.to_owned())]),
        (predict, vec![bearer(WRONG_TOKEN)]),
        (predict, vec![("authorization", format!("Basic {BASIC}"))]),
        (predict, vec![bearer(&key), ("x-api-key", key.clone())]),
    ] {
        seen.push_str(&ask(&ingest, path, &headers));
    }
    assert!(
        seen.contains("may not predict") && seen.contains("not valid"),
        "{seen}"
    );
    fs::write(
        folder.join("keys.toml"),
        format!("[[keys]]\nsha256 = {IN_BROKEN_FILE:?}"),
    )
    .unwrap();
    wait_for(PATIENCE, "the broken file to be noticed", || {
        (ingest.metric("millrace_ingest_file_stale") > 0.0).then_some(())
    });
    seen.push_str(
        &reqwest::blocking::get(ingest.url("/metrics"))
            .unwrap()
            .text()
            .unwrap(),
    );
    assert!(ingest.terminate().success());
    let log = logs(folder);
    assert!(log.contains("a changed file cannot be used"), "{log}");
    seen.push_str(&log);

    seen.push_str(&checked_configs(folder));
    assert!(seen.contains("sasl.pasword"), "{seen}");
    for secret in [
        PASSWORD,
        WRONG_KEY,
        WRONG_TOKEN,
        BASIC,
        IN_BROKEN_FILE,
        &key,
    ] {
        let lines: Vec<_> = seen.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{secret} is shown: {lines:#?}");
    }
}
