//! Every query of the dashboards and the alerts asks for what a running line shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use e2e::project_path;
use serde_json::Value;

use crate::metrics::{Sample, documented, promtool, shown};

/// Labels that Prometheus adds by itself.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

/// A metric in a query, with what is asked of its labels.
#[derive(Debug)]
struct Asked {
    metric: String,
    /// Label, operator, value.
    matchers: Vec<(String, String, String)>,
}

fn folder(name: &str) -> PathBuf {
    project_path("deploy/compose").join(name)
}

fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(folder("grafana/dashboards")).expect("the dashboards");
    let read = |file: fs::DirEntry| {
        let name = file.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(file.path()).expect("a dashboard");
        (name, serde_json::from_str(&text).expect("JSON"))
    };
    files.map(|file| read(file.expect("a file"))).collect()
}

/// All queries of a dashboard, those of its variables included.
fn queries_of(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(query) if name == "expr" || name == "query" => {
                        found.push(query.clone());
                    }
                    field => queries_of(field, found),
                }
            }
        }
        Value::Array(fields) => fields.iter().for_each(|field| queries_of(field, found)),
        _ => {}
    }
}

/// The expressions of the rules: whatever stands under `expr`, over several lines or not.
fn rules() -> Vec<String> {
    let text = fs::read_to_string(folder("prometheus/rules.yaml")).expect("the rules");
    let mut expressions: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix("expr:") {
            expressions.push(rest.trim().trim_start_matches(">-").to_owned());
            is_open = rest.contains(">-");
        } else if is_open && line.starts_with("          ") {
            let last = expressions.last_mut().expect("it was begun");
            last.push(' ');
            last.push_str(trimmed);
        } else {
            is_open = false;
        }
    }
    expressions
}

/// The metrics of ours in a query.
fn asked_in(query: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find("millrace_") {
        rest = &rest[at..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let metric = rest[..end].to_owned();
        rest = &rest[end..];
        let mut matchers = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            let (inside, after) = inside.split_once('}').expect("an end of the labels");
            matchers = inside.split(',').map(matcher_of).collect();
            rest = after;
        }
        found.push(Asked { metric, matchers });
    }
    found
}

fn matcher_of(text: &str) -> (String, String, String) {
    let (head, value) = text.trim().split_once('"').expect("a quoted value");
    let name_end = head.find(['=', '!']).expect("an operator");
    let (name, operator) = head.split_at(name_end);
    let value = value.trim_end_matches('"').to_owned();
    (name.trim().to_owned(), operator.to_owned(), value)
}

/// The labels by which a query groups.
fn grouped_in(query: &str) -> Vec<&str> {
    let clauses = query.split("by (").skip(1);
    let inside = clauses.map(|clause| clause.split(')').next().unwrap_or_default());
    inside.flat_map(|it| it.split(',').map(str::trim)).collect()
}

/// The labels that a metric has: as it is shown, or as it is documented if no series is there yet.
fn labels_of(metric: &str) -> Option<BTreeSet<String>> {
    let samples = &shown().samples;
    let shown = samples.iter().find(|sample| sample.name == metric);
    let of_sample = |sample: &Sample| sample.labels.keys().cloned().collect();
    shown.map(of_sample).or_else(|| documented().remove(metric))
}

fn check(place: &str, query: &str) {
    let asked = asked_in(query);
    let mut known: BTreeSet<String> = OF_PROMETHEUS.map(str::to_owned).into();
    for Asked { metric, matchers } in &asked {
        let labels = labels_of(metric);
        let labels = labels.unwrap_or_else(|| panic!("{place}: no service shows {metric}"));
        for (label, operator, value) in matchers {
            let is_there = labels.contains(label) || OF_PROMETHEUS.contains(&&**label);
            assert!(
                is_there,
                "{place}: {metric} has no label {label}, only {labels:?}"
            );
            let mut series = shown().samples.iter().filter(|it| it.name == *metric);
            let has = |sample: &Sample| sample.labels.get(label) == Some(value);
            let is_free = operator != "=" || OF_PROMETHEUS.contains(&&**label);
            assert!(
                is_free || series.any(has),
                "{place}: {metric} is never {label}={value}"
            );
        }
        known.extend(labels);
    }
    for label in grouped_in(query) {
        assert!(
            known.contains(label),
            "{place}: by {label}, only {known:?}\n{query}"
        );
    }
}

#[test]
fn every_query_of_the_dashboards_finds_metrics_and_labels_of_a_running_line() {
    let dashboards = dashboards();
    let names: BTreeSet<&str> = dashboards.iter().map(|(name, _)| &**name).collect();
    let expected = ["kafka.json", "model.json", "overview.json", "sink.json"];
    assert_eq!(names, BTreeSet::from(expected));
    for (name, dashboard) in &dashboards {
        let mut queries = Vec::new();
        queries_of(dashboard, &mut queries);
        assert!(queries.len() > 10, "{name}: {queries:?}");
        for query in queries {
            assert!(!asked_in(&query).is_empty(), "{name}: {query}");
            check(name, &query);
        }
    }
}

#[test]
fn every_alert_finds_metrics_and_labels_of_a_running_line() {
    let rules = rules();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in &rules {
        let asks = !asked_in(rule).is_empty() || rule.starts_with("up{");
        assert!(asks, "{rule}");
        check("rules.yaml", rule);
    }
}

#[test]
fn every_alert_has_its_section_in_the_run_book() {
    let text = fs::read_to_string(folder("prometheus/rules.yaml")).expect("the rules");
    let book = fs::read_to_string(project_path("docs/runbook.md")).expect("the run book");
    let sections: BTreeSet<&str> = book
        .lines()
        .filter_map(|line| line.strip_prefix("## Millrace"))
        .collect();
    let alerts: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: Millrace"))
        .collect();
    assert_eq!(sections, alerts.iter().copied().collect());
    for alert in alerts {
        let anchor = format!("runbook.md#millrace{}\n", alert.to_lowercase());
        assert!(text.contains(&anchor), "{alert} names no section");
    }
}

#[test]
fn promtool_takes_the_configuration_and_the_rules_and_their_tests_pass() {
    for arguments in [
        ["check", "config", "prometheus.yaml"],
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules.test.yaml"],
    ] {
        let output = promtool(&arguments)
            .current_dir(folder("prometheus"))
            .output()
            .expect("`make setup` has fetched promtool");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
