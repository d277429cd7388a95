//! Models out of a bucket, and encrypted ones, answer as the same model in a folder does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use e2e::{Feed, Line, Process, Tap, digits, header, project_path};

use crate::digit_records::image_record;
use crate::infer_stopped::check_label;

const KEY: &str = "correct horse battery staple";

/// Starts infer with these settings of `[models]`.
fn infer(line: &Line, models: &str) -> Process {
    let library = project_path(".native/onnxruntime/libonnxruntime.so");
    let settings = format!(
        "[kafka]\nbrokers = {:?}\n[topics]\nprefix = {:?}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [engine]\nlibrary = {library:?}\n[models]\n{models}\n",
        line.brokers(),
        line.topic("x").trim_end_matches(".x"),
    );
    Process::start("millrace-infer", "admin.port_file", line.dir(), &settings)
}

/// Sends a few images and compares labels with the reference.
fn check_answers(line: &Line) {
    let feed = Feed::new(line, "requests.digits");
    let results = Tap::open(line, "results.digits");
    let labels = digits().reference_labels();
    for index in 0..5 {
        feed.send(
            Some(0),
            Some(image_record(index)),
            &[("mr-id", &index.to_string())],
        );
    }
    feed.flush();
    for record in &results.wait_for(5) {
        assert_eq!(
            header(record, "mr-status"),
            Some("OK"),
            "{:?}",
            header(record, "mr-error")
        );
        check_label(record, &labels);
    }
}

/// A moto server with one bucket, `results`; ends with this value.
pub(crate) struct S3(Child);

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn s3() -> (S3, String) {
    let mut child = Command::new(project_path(".venv/bin/python"))
        .arg(project_path("services/sink/tests/s3_server.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scripts/setup has made .venv");
    let mut endpoint = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output)
        .read_line(&mut endpoint)
        .expect("moto starts");
    (S3(child), endpoint.trim().to_owned())
}

#[test]
fn models_of_a_bucket_are_served() {
    let (_s3, endpoint) = s3();
    let file = fs::read(project_path("models/digits/1/model.onnx")).expect("the model is there");
    let put = format!("{endpoint}/results/team/digits/1/model.onnx");
    let put = reqwest::blocking::Client::new().put(put).body(file).send();
    assert!(put.expect("moto answers").status().is_success());
    let line = Line::new(&["digits"], 1);
    let cache = line.dir().join("cache");
    let models = format!(
        "path = \"s3://results/team\"\ncache = {cache:?}\n[models.options]\nendpoint = {endpoint:?}\n\
         allow_http = \"true\"\nregion = \"us-east-1\"\naccess_key_id = \"key\"\nsecret_access_key = \"secret\""
    );
    infer(&line, &models).wait_ready();
    let mut process = infer(&line, &models);
    process.wait_ready();
    check_answers(&line);
}

#[test]
fn an_encrypted_model_is_served_and_its_plain_file_is_gone() {
    let line = Line::new(&["digits"], 1);
    let folder = line.dir().join("models/digits/1");
    fs::create_dir_all(&folder).expect("a folder");
    let key = line.dir().join("key");
    fs::write(&key, KEY).expect("a file");
    let sealed = Command::new(e2e::binary_path("millrace"))
        .args(["models", "encrypt"])
        .arg(project_path("models/digits/1/model.onnx"))
        .arg("--key-file")
        .arg(&key)
        .arg("--output")
        .arg(folder.join("model.onnx.enc"))
        .status();
    assert!(sealed.expect("the tool runs").success());
    let plain = line.dir().join("plain");
    let models = format!(
        "path = {:?}\nkey_file = {key:?}\ndecrypted = {plain:?}",
        line.dir().join("models")
    );
    let mut process = infer(&line, &models);
    process.wait_ready();
    check_answers(&line);
    let left: Vec<_> = fs::read_dir(&plain).expect("it was used").collect();
    assert!(left.is_empty(), "{left:?}");

    fs::write(&key, "another key that is long").expect("a file");
    let other = infer(&line, &models);
    let why = e2e::wait_for(e2e::PATIENCE, "the reason", || {
        let text = reqwest::blocking::get(other.url("/ready"))
            .ok()?
            .text()
            .ok()?;
        text.contains("the key is not the one").then_some(text)
    });
    assert!(
        why.contains("model.onnx.enc") && !why.contains("another key"),
        "{why}"
    );
}
