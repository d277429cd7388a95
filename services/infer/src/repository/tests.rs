//! Tests of the model folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{ModelEntry, ModelError, ModelSource, Policy, Repository};
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

fn scan(settings: &Settings) -> Result<Vec<ModelEntry>, ModelError> {
    Repository::open(settings)?.scan()
}

fn found(files: &[(&str, &str)], names: &[&str]) -> Result<Vec<ModelEntry>, ModelError> {
    scan(&settings(folder(files).path(), names))
}

/// Fetches the highest wanted version of the only model.
fn only(files: &[(&str, &str)]) -> Result<ModelSource, ModelError> {
    let folder = folder(files);
    let repository = Repository::open(&settings(folder.path(), &[])).unwrap();
    let found = repository.scan().unwrap();
    assert_eq!(found.len(), 1);
    let wanted = found[0].wanted()?;
    repository.fetch(&found[0].name, wanted.last().unwrap())
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
    assert!(source.files.main.ends_with("m/10/model.onnx"));
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
    assert!(found[0].wanted().is_err());
    assert!(found[1].wanted().is_ok());
}

#[test]
fn faults_of_one_model_say_what_to_do() {
    assert!(complaint(&[("m/model.onnx", "")]).contains("m/1/"));
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
    assert_eq!(options.versions.policy, Policy::Only(vec![1]));
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
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let source = only(&[("m/1/model.onnx", "abc")]).unwrap();
    assert_eq!((source.sha256.as_str(), source.size_bytes), (expected, 3));
}

#[test]
fn the_policy_says_which_versions_are_served() {
    let wanted = |toml: &str| -> Result<Vec<i64>, String> {
        let files = [
            ("m/1/model.onnx", ""),
            ("m/2/model.onnx", ""),
            ("m/10/model.onnx", ""),
            ("m/model.toml", toml),
        ];
        let found = found(&files, &[]).unwrap().remove(0);
        let wanted = found.wanted();
        wanted
            .map(|entries| entries.into_iter().map(|entry| entry.version).collect())
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    };
    assert_eq!(wanted("").unwrap(), [10]);
    assert_eq!(wanted("version = 2").unwrap(), [2]);
    let policy = |policy: &str| wanted(&format!("[versions]\npolicy = {policy}"));
    assert_eq!(policy("\"latest(2)\"").unwrap(), [2, 10]);
    assert_eq!(policy("\"latest(9)\"").unwrap(), [1, 2, 10]);
    assert_eq!(policy("\"all\"").unwrap(), [1, 2, 10]);
    assert_eq!(policy("[10, 1]").unwrap(), [1, 10]);
    assert!(policy("[3]").unwrap_err().contains("no version 3"));
    assert!(policy("\"newest\"").unwrap_err().contains("\"newest\""));
    assert!(policy("[]").unwrap_err().contains("versions.policy"));
}

#[test]
fn a_version_whose_files_change_has_another_fingerprint_and_is_not_read_any_more() {
    let folder = folder(&[("m/1/model.onnx", "abc")]);
    let repository = Repository::open(&settings(folder.path(), &[])).unwrap();
    let entry = || repository.scan().unwrap()[0].versions[0].clone();
    let before = entry();
    assert_eq!(before, entry());
    let source = repository.fetch("m", &before).unwrap();
    let open = source.open().unwrap();
    fs::write(folder.path().join("m/1/model.onnx"), "abcd").unwrap();
    assert_ne!(before, entry());
    for error in [
        open.check_unchanged().unwrap_err(),
        source.open().unwrap_err(),
        repository.fetch("m", &before).unwrap_err(),
    ] {
        assert!(error.to_string().contains("new version number"), "{error}");
    }
}
