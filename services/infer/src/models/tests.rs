//! Tests of the model folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Found, ModelError, ModelSource, scan, sha256};
use crate::settings::Settings;

/// A folder with these files, each holding its text.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn settings(path: &Path, names: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.models.path = path.to_owned();
    settings.models.names = names.iter().map(|name| (*name).to_owned()).collect();
    settings
}

fn found(files: &[(&str, &str)], names: &[&str]) -> Result<Vec<Found>, ModelError> {
    scan(&settings(folder(files).path(), names))
}

fn only(files: &[(&str, &str)]) -> Result<ModelSource, ModelError> {
    let mut found = found(files, &[]).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).source
}

fn complaint(files: &[(&str, &str)]) -> String {
    format!("{:#}", anyhow::Error::from(only(files).unwrap_err()))
}

#[test]
fn the_latest_version_by_number_is_served() {
    let source = only(&[
        ("m/9/model.onnx", ""),
        ("m/10/model.onnx", ""),
        ("m/next/model.onnx", ""),
    ])
    .unwrap();
    assert_eq!((source.name.as_str(), source.version), ("m", 10));
    assert!(source.file.ends_with("m/10/model.onnx"));
}

#[test]
fn every_model_is_found_and_files_and_hidden_folders_are_not_models() {
    let files = [
        ("b/1/model.onnx", ""),
        ("a/1/model.onnx", ""),
        ("README.md", ""),
        (".git/x", ""),
        ("__pycache__/x", ""),
    ];
    let names: Vec<String> = found(&files, &[])
        .unwrap()
        .into_iter()
        .map(|found| found.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn only_the_named_models_are_served() {
    let files = [("b/1/model.onnx", ""), ("a/1/model.onnx", "")];
    assert_eq!(found(&files, &["b"]).unwrap().len(), 1);
    let error = found(&files, &["c"]).unwrap_err().to_string();
    assert!(error.contains("\"c\"") && error.contains("a, b"), "{error}");
}

#[test]
fn a_folder_without_models_is_refused_and_says_what_is_expected() {
    let error = found(&[("notes.txt", "")], &[]).unwrap_err().to_string();
    assert!(error.contains("<name>/<version>/model.onnx"), "{error}");
    let error = scan(&settings(Path::new("/no/such/folder"), &[]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("/no/such/folder"), "{error}");
}

#[test]
fn a_model_with_a_fault_does_not_hide_the_others() {
    let found = found(&[("good/1/model.onnx", ""), ("bad/model.onnx", "")], &[]).unwrap();
    assert!(found[0].source.is_err());
    assert!(found[1].source.is_ok());
}

#[test]
fn faults_of_one_model_say_what_to_do() {
    assert!(complaint(&[("m/model.onnx", "")]).contains("m/1/model.onnx"));
    assert!(complaint(&[("m/1/weights.bin", "")]).contains("holds no model.onnx"));
    assert!(complaint(&[("m/1/model.onnx", ""), ("m/1/model.xml", "")]).contains("model.xml"));
    assert!(complaint(&[("a b/1/model.onnx", "")]).contains("a b"));
    assert!(
        complaint(&[("m/1/model.onnx", ""), ("m/model.toml", "version = 2")])
            .contains("no version 2")
    );
}

#[test]
fn model_toml_changes_the_general_settings() {
    let toml = "version = 1\n[batch]\nmax_rows = 7\nmax_delay = \"5ms\"\n[engine]\nthreads = 2\ninstances = 3";
    let options = only(&[
        ("m/1/model.onnx", ""),
        ("m/2/model.onnx", ""),
        ("m/model.toml", toml),
    ])
    .unwrap()
    .options;
    let defaults = Settings::default();
    assert_eq!(options.version, Some(1));
    assert_eq!(
        (options.batch.max_rows, options.batch.max_bytes),
        (Some(7), defaults.batch.max_bytes)
    );
    assert_eq!(options.batch.max_delay, Duration::from_millis(5));
    assert_eq!((options.engine.threads, options.engine.instances), (2, 3));
}

#[test]
fn model_toml_with_an_unknown_key_or_an_impossible_value_is_refused_by_name() {
    let complaint = |toml: &str| complaint(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]);
    assert!(complaint("[batch]\nmaxrows = 7").contains("maxrows"));
    assert!(complaint("[engine]\nthreads = 0").contains("engine.threads"));
    assert!(complaint("[batch").contains("model.toml"));
}

#[test]
fn weights_are_identified_by_their_sha256() {
    let folder = folder(&[("m/1/model.onnx", "abc")]);
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(
        sha256(&folder.path().join("m/1/model.onnx")).unwrap(),
        expected
    );
}
