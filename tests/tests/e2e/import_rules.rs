//! Imports run one way, and each library that shapes the design has one owner.

use std::collections::BTreeMap;
use std::process::Command;

use e2e::project_path;
use serde_json::Value;

const LIBRARIES: [&str; 7] = [
    "millrace-wire",
    "millrace-convert",
    "millrace-kafka",
    "millrace-boot",
    "millrace-openloop",
    "millrace-vault",
    "millrace-claims",
];
const SERVICES: [&str; 3] = ["millrace-ingest", "millrace-infer", "millrace-sink"];
const TOOLS: [&str; 2] = ["millrace-cli", "millrace-load"];
/// The end-to-end tests: only they may import a service, since they test them.
const TESTS: &str = "e2e";

/// Crates that only these packages may import, in code or in tests. A trailing `*` stands for any ending.
const OWNERS: [(&str, &[&str]); 7] = [
    ("rdkafka*", &["millrace-kafka"]),
    ("apache-avro", &["millrace-wire"]),
    // The reference that results are compared with is the bare engine.
    ("ort*", &["millrace-infer", "millrace-load", TESTS]),
    ("openvino*", &["millrace-infer"]),
    ("tch", &["millrace-infer"]),
    // The tests read what a collector would get.
    ("opentelemetry*", &["millrace-boot", TESTS]),
    ("config", &["millrace-boot"]),
];

#[test]
fn imports_follow_the_rules() {
    let broken: Vec<String> = workspace_imports()
        .iter()
        .flat_map(|(package, imports)| {
            imports
                .iter()
                .filter_map(|import| broken_rule(package, import))
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_package_has_a_place_in_the_rules() {
    let packages = workspace_imports();
    assert!(packages.len() > LIBRARIES.len() + SERVICES.len());
    for package in packages.keys() {
        let known = [&LIBRARIES[..], &SERVICES, &TOOLS, &[TESTS]].concat();
        assert!(
            known.contains(&package.as_str()),
            "{package} has no import rule"
        );
    }
}

#[test]
fn forbidden_imports_are_found() {
    let forbidden = [
        ("millrace-wire", "millrace-kafka"),
        ("millrace-boot", "millrace-wire"),
        ("millrace-openloop", "millrace-kafka"),
        ("millrace-convert", "millrace-wire"),
        ("millrace-claims", "millrace-kafka"),
        ("millrace-infer", "millrace-ingest"),
        ("millrace-cli", "millrace-sink"),
        ("millrace-load", "millrace-infer"),
        ("millrace-boot", "e2e"),
        ("millrace-sink", "rdkafka"),
        ("millrace-sink", "rdkafka-sys"),
        ("millrace-kafka", "apache-avro"),
        ("millrace-ingest", "opentelemetry-proto"),
        ("millrace-infer", "config"),
        ("e2e", "rdkafka"),
    ];
    for (package, import) in forbidden {
        assert!(
            broken_rule(package, import).is_some(),
            "{package} -> {import} passed"
        );
    }
    for (package, import) in [
        ("e2e", "ort"),
        ("e2e", "millrace-infer"),
        ("millrace-cli", "millrace-wire"),
    ] {
        assert_eq!(broken_rule(package, import), None);
    }
}

/// A sentence when `package` must not import `import`.
fn broken_rule(package: &str, import: &str) -> Option<String> {
    let ours = import == TESTS || import.starts_with("millrace-");
    let allowed = if ours {
        package == TESTS || (!LIBRARIES.contains(&package) && LIBRARIES.contains(&import))
    } else {
        let rule = OWNERS.iter().find(|(pattern, _)| matches(pattern, import));
        rule.is_none_or(|(_, owners)| owners.contains(&package))
    };
    (!allowed).then(|| {
        format!("{package} must not import {import}; see the import rules in ARCHITECTURE.md")
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// The direct imports of each package of the workspace, those of its tests included.
fn workspace_imports() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(project_path("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let imports = list(&package["dependencies"]);
            (name(package), imports.iter().map(name).collect())
        })
        .collect()
}
