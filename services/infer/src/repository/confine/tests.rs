//! Tests of what a model may name, with protobufs made by hand.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn varint(mut value: usize) -> Vec<u8> {
    let low = |value: usize| u8::try_from(value & 0x7f).unwrap();
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(low(value) | 0x80);
        value >>= 7;
    }
    bytes.push(low(value));
    bytes
}

/// A field that holds bytes.
fn field(number: usize, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint((number << 3) | 2);
    bytes.extend(varint(content.len()));
    bytes.extend(content);
    bytes
}

fn entry(key: &str, value: &str) -> Vec<u8> {
    let content = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
    field(13, &content)
}

/// A tensor with its data in a file.
fn tensor(location: &str) -> Vec<u8> {
    // dims, data type, name, raw data, and where the data is.
    [
        vec![8, 3, 16, 1],
        field(8, b"weights"),
        field(9, &[0; 300]),
        entry("location", location),
        entry("offset", "0"),
    ]
    .concat()
}

/// The places of a model that may hold a tensor with such a location.
fn models(location: &str) -> Vec<(&'static str, Vec<u8>)> {
    let tensor = tensor(location);
    let initializer = field(5, &tensor);
    let constant = field(1, &field(5, &field(5, &tensor)));
    let sparse = field(15, &field(1, &tensor));
    let branch = field(1, &field(5, &field(6, &initializer)));
    let branches = field(1, &field(5, &field(11, &branch)));
    let graph = |graph: &[u8]| [vec![8, 9], field(2, b"test"), field(7, graph)].concat();
    vec![
        ("initializer", graph(&initializer)),
        ("attribute", graph(&constant)),
        ("sparse", graph(&sparse)),
        ("subgraph", graph(&branch)),
        ("subgraph in a subgraph", graph(&branches)),
        ("tensors", graph(&field(1, &field(5, &field(10, &tensor))))),
        (
            "sparse attribute",
            graph(&field(1, &field(5, &field(22, &field(2, &tensor))))),
        ),
        (
            "function",
            field(25, &field(7, &field(5, &field(5, &tensor)))),
        ),
        (
            "default of a function",
            field(25, &field(11, &field(5, &tensor))),
        ),
        ("training", field(20, &field(1, &initializer))),
    ]
}

fn folder(model: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), model).unwrap();
    folder
}

fn check(folder: &Path) -> Result<BTreeSet<String>, ModelError> {
    check_content(folder, Format::Onnx, "model.onnx")
}

#[test]
fn external_data_is_found_wherever_a_model_holds_tensors() {
    for (place, model) in models("data/weights.bin") {
        let folder = folder(&model);
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/weights.bin"), "").unwrap();
        let named = check(folder.path()).unwrap();
        assert_eq!(Vec::from_iter(named), ["data/weights.bin"], "{place}");
    }
}

#[test]
fn external_data_outside_of_the_folder_is_refused_wherever_it_stands() {
    for location in [
        "../secret",
        "/etc/passwd",
        "a/../../x",
        "",
        "*/_ORT_MEM_ADDR_/*",
        "none",
    ] {
        for (place, model) in models(location) {
            let error = check(folder(&model).path()).unwrap_err();
            assert!(
                matches!(error, ModelError::Outside { .. }),
                "{place} {location}: {error}"
            );
        }
    }
}

#[test]
fn the_real_models_of_the_project_are_walked() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for model in ["digits", "everything"] {
        assert!(check(&models.join(model).join("1")).unwrap().is_empty());
    }
}

#[test]
fn files_that_are_no_model_are_refused_and_nothing_worse() {
    let model = models("weights.bin").remove(0).1;
    for length in 0..model.len() {
        let folder = folder(&model[..length]);
        fs::write(folder.path().join("weights.bin"), "").unwrap();
        let _ = check(folder.path());
    }
    let deep = (0..60).fold(Vec::new(), |graph, _| {
        field(1, &field(5, &field(6, &graph)))
    });
    let huge = [varint((7 << 3) | 2), varint(usize::MAX >> 1), vec![1, 2]].concat();
    let endless = vec![0xff; 20];
    for (what, content) in [
        ("deep", field(7, &deep)),
        ("huge", huge),
        ("endless", endless),
        ("text", b"no model".to_vec()),
        ("cut", model[..model.len() - 1].to_vec()),
    ] {
        let error = check(folder(&content).path()).unwrap_err();
        assert!(
            matches!(error, ModelError::Malformed { .. }),
            "{what}: {error}"
        );
    }
}

#[test]
fn links_may_stay_in_the_repository_and_not_leave_it() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "").unwrap();
    let root = tempfile::tempdir().unwrap();
    let version = root.path().join("m/1");
    fs::create_dir_all(&version).unwrap();
    fs::write(root.path().join("shared.bin"), "").unwrap();
    symlink("../../shared.bin", version.join("inside.bin")).unwrap();
    symlink(outside.path().join("secret"), version.join("outside.bin")).unwrap();
    symlink(outside.path(), version.join("folder")).unwrap();
    let check = |file: &str| check_links(root.path(), &version, &[file.to_owned()]);
    check("inside.bin").unwrap();
    for file in ["outside.bin", "folder/secret"] {
        let error = check(file).unwrap_err().to_string();
        assert!(error.contains("outside of the repository"), "{error}");
    }
}

#[test]
fn documents_with_a_type_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        fs::write(folder.path().join("a.xml"), text).unwrap();
        check_content(folder.path(), Format::OpenVinoIr, "a.xml")
    };
    assert!(check("<?xml version=\"1.0\"?><net/>").is_ok());
    let entity = "<!DocType net [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><net/>";
    assert!(check(entity).is_err());
}
