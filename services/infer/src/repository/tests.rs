//! Tests of the model folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{ModelEntry, ModelError, ModelSource, Policy, Repository};
use crate::engine::EngineKind;
use crate::settings::{Delivery, Settings};

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
    let folder = folder(&[
        ("m/9/model.onnx", ""),
        ("m/10/model.onnx", ""),
        ("m/next/model.onnx", ""),
    ]);
    let repository = Repository::open(&settings(folder.path(), &[])).unwrap();
    let found = repository.scan().unwrap();
    let source = repository
        .fetch("m", found[0].wanted().unwrap()[0])
        .unwrap();
    assert_eq!((source.name.as_str(), source.version), ("m", 10));
    assert!(
        source
            .open()
            .unwrap()
            .files
            .main
            .ends_with("m/10/model.onnx")
    );
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
    assert!(
        complaint(&[("m/1/weights.bin", "")]).contains("holds no model: there is only weights.bin")
    );
    assert!(complaint(&[("m/1/model.onnx", ""), ("m/1/model.pt", "")]).contains("model.pt"));
    assert!(complaint(&[("a b/1/model.onnx", "")]).contains("a b"));
    assert!(complaint(&[("m.bulk/1/model.onnx", "")]).contains("are bulk lanes"));
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
fn model_toml_says_how_the_models_records_are_read() {
    let toml = "delivery = \"exactly_once\"\n[bulk]\nenabled = true";
    let options = only(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]);
    let reading = options.unwrap().options.reading;
    assert_eq!(reading.delivery, Delivery::ExactlyOnce);
    assert!(reading.bulk.enabled);
    assert_eq!(reading.bulk.weight, Settings::default().bulk.weight);
    let wrong = |toml: &str| complaint(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]);
    assert!(wrong("delivery = \"twice\"").contains("exactly_once"));
    assert!(wrong("[bulk]\nweight = 91").contains("bulk.weight"));
}

#[test]
fn model_toml_with_an_unknown_key_or_an_impossible_value_is_refused_by_name() {
    let complaint = |toml: &str| complaint(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]);
    assert!(complaint("[batch]\nmaxrows = 7").contains("maxrows"));
    assert!(complaint("[engine]\nthreads = 0").contains("engine.threads"));
    assert!(complaint("[batch").contains("model.toml"));
}

#[test]
fn complaints_about_model_toml_name_line_key_and_what_would_be_right() {
    let complaint = |toml: &str| complaint(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]);
    for (toml, parts) in [
        (
            "[batch]\nmaxrows = 7",
            ["line 2", "did you mean \"max_rows\"?"],
        ),
        (
            "[bach]\nmax_rows = 7",
            ["\"bach\"", "did you mean \"batch\"?"],
        ),
        ("colour = 1", ["\"colour\"", "there are: version"]),
        (
            "[batch]\nmax_rows = \"x\"",
            ["max_rows = \"x\"", "expected a whole number"],
        ),
        (
            "engine = \"tensorrt\"",
            ["\"tensorrt\" is no engine", "onnx, openvino, torch"],
        ),
        (
            "[versions]\npolicy = \"newest\"",
            ["\"newest\"", "\"latest(n)\""],
        ),
        (
            "[versions]\npolicy = 3",
            ["policy = 3", "a list of versions"],
        ),
        (
            "[versions.labels]\nstable = \"two\"",
            ["stable = \"two\"", "a whole number"],
        ),
        (
            "[versions.canary]\nlabel = \"new\"\npercent = 5",
            ["versions.canary.label", "\"new\""],
        ),
        (
            "[encryption]\nformat = \"cluster-serving\"",
            ["encryption.salt", "is not set"],
        ),
        (
            "[encryption]\nsalt = \"x\"",
            ["encryption.format", "cluster-serving"],
        ),
        (
            "[encryption]\nkey_bits = 64",
            ["encryption.key_bits", "128 or 256"],
        ),
        ("version = 1.5", ["version = 1.5", "a whole number"]),
    ] {
        let error = complaint(toml);
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{toml}: {error}"
        );
        assert!(
            !error.contains('\n') && error.contains("m/model.toml"),
            "{error}"
        );
    }
}

#[test]
fn engine_is_a_name_or_a_section() {
    for toml in ["engine = \"openvino\"", "[engine]\nkind = \"openvino\""] {
        let source = only(&[("m/1/model.onnx", ""), ("m/model.toml", toml)]).unwrap();
        assert_eq!(source.options.kind, Some(EngineKind::OpenVino));
        assert_eq!(source.held.detected.kind, EngineKind::OpenVino);
    }
}

#[test]
fn several_files_have_one_digest_that_covers_each() {
    let digest = |bin: &str| {
        let files = [
            ("m/1/a.xml", "<net/>"),
            ("m/1/a.bin", bin),
            ("m/1/notes", ""),
        ];
        only(&files).unwrap().sha256
    };
    // What `sha256sum a.bin a.xml | sha256sum` says.
    let expected = "830f555d9987216afdc2afcae018d761324fb6bd13ae7e0cd1d1e3c2827fb4e6";
    assert_eq!(digest("weights"), expected);
    assert_ne!(digest("weights"), digest("weightz"));
}

#[test]
fn checksums_beside_a_model_are_held() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let check = |sums: &str| {
        let files = [("m/1/model.tflite", "abc"), ("m/1/SHA256SUMS", sums)];
        only(&files).map(|_| ()).map_err(|error| error.to_string())
    };
    check(&format!("{abc}  model.tflite\n")).unwrap();
    let error = check(&format!("{}  model.tflite\n", abc.replace('b', "c"))).unwrap_err();
    assert!(
        error.contains("model.tflite has the SHA-256 ba78"),
        "{error}"
    );
    assert!(
        check("")
            .unwrap_err()
            .contains("does not list model.tflite")
    );
    assert!(check("rubbish").unwrap_err().contains("line 1"));
}

#[test]
fn weights_are_identified_by_their_sha256() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let source = only(&[("m/1/model.tflite", "abc")]).unwrap();
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
    let folder = folder(&[("m/1/model.tflite", "abc")]);
    let repository = Repository::open(&settings(folder.path(), &[])).unwrap();
    let entry = || repository.scan().unwrap()[0].versions[0].clone();
    let before = entry();
    assert_eq!(before, entry());
    let source = repository.fetch("m", &before).unwrap();
    let open = source.open().unwrap();
    fs::write(folder.path().join("m/1/model.tflite"), "abcd").unwrap();
    assert_ne!(before, entry());
    for error in [
        open.check_unchanged().unwrap_err(),
        source.open().unwrap_err(),
        repository.fetch("m", &before).unwrap_err(),
    ] {
        assert!(error.to_string().contains("new version number"), "{error}");
    }
}

/// A version folder with a small model of Caffe.
fn caffe_folder() -> TempDir {
    let served = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/convert/served/caffe/1");
    let folder = tempfile::tempdir().unwrap();
    let version = folder.path().join("m/1");
    fs::create_dir_all(&version).unwrap();
    for file in ["deploy.prototxt", "weights.caffemodel"] {
        fs::copy(served.join(file), version.join(file)).unwrap();
    }
    folder
}

/// Fetches and opens the only version; answers where the model for the engine lies.
fn opened(settings: &Settings) -> Result<std::path::PathBuf, ModelError> {
    let repository = Repository::open(settings)?;
    let found = repository.scan()?;
    let source = repository.fetch(&found[0].name, found[0].wanted()?[0])?;
    Ok(source.open()?.files.main)
}

#[test]
fn a_caffe_model_becomes_onnx_once_and_is_kept() {
    let (folder, cache) = (caffe_folder(), tempfile::tempdir().unwrap());
    let mut settings = settings(folder.path(), &[]);
    settings.models.cache = cache.path().to_owned();
    let first = opened(&settings).unwrap();
    assert!(first.starts_with(cache.path()));
    let made = fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(opened(&settings).unwrap(), first);
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), made);

    // What was kept is not believed when it was changed.
    let good = fs::read(&first).unwrap();
    fs::write(&first, "other").unwrap();
    assert_eq!(fs::read(opened(&settings).unwrap()).unwrap(), good);
}

#[test]
fn a_layer_that_is_not_known_is_named_with_its_file() {
    let (folder, cache) = (caffe_folder(), tempfile::tempdir().unwrap());
    let mut settings = settings(folder.path(), &[]);
    settings.models.cache = cache.path().to_owned();
    let text = folder.path().join("m/1/deploy.prototxt");
    let changed = fs::read_to_string(&text).unwrap().replace("LRN", "Warp");
    fs::write(&text, changed).unwrap();
    let error = format!("{:#}", anyhow::Error::from(opened(&settings).unwrap_err()));
    for word in ["deploy.prototxt", "Warp", "not known"] {
        assert!(error.contains(word), "{error}");
    }
}
