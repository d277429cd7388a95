//! `millrace check` looks at the destinations of a sink. The sink beside the program under test
//! answers for those.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::line::Line;

#[test]
fn destinations_are_looked_at_and_nothing_is_made() {
    let line = Line::new(&["digits"]);
    let folder = tempfile::tempdir().unwrap();
    let pipeline = |name: &str, path: PathBuf| {
        format!(
            "[[pipelines]]\nname = {name:?}\nmodels = [\"digits\"]\n\
             destination = {{ type = \"sqlite\", path = {path:?} }}\n"
        )
    };
    let good = pipeline("good", folder.path().join("results.db"));
    let bad = pipeline("bad", folder.path().join("nowhere").join("results.db"));
    let config = folder.path().join("sink.toml");
    fs::write(&config, format!("{good}{bad}")).unwrap();
    let command = ["check", "--json", "--config", config.to_str().unwrap()];
    let answer = line.run(&command).refused(1, "must be mended");
    let findings: Value = serde_json::from_slice(&answer.out).unwrap();
    let of = |pipeline: &str| {
        let mut findings = findings.as_array().unwrap().iter();
        let subject = format!("pipeline {pipeline}");
        let found = findings.find(|finding| finding["subject"] == subject.as_str());
        found.unwrap_or_else(|| panic!("nothing of {subject}"))
    };
    assert_eq!(of("good")["verdict"], "ok");
    let said = of("good")["finding"].as_str().unwrap();
    assert!(said.ends_with("will be made at the start"), "{said}");
    assert_eq!(of("bad")["verdict"], "error");
    let said = of("bad")["finding"].as_str().unwrap();
    assert!(said.contains("its folder is not there"), "{said}");
    assert!(!folder.path().join("results.db").exists(), "only looked at");
}
