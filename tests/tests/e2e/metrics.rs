//! What a running line shows at `/metrics`: by the rules of Prometheus, as it is documented, and it adds up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use e2e::{Feed, Infer, Line, PATIENCE, Process, digits, project_path, wait_for};
use serde_json::json;

use crate::digit_records::image_record;

/// Requests that are answered.
const ANSWERED: usize = 12;

/// Families of what does not happen on this line; a family without series is not shown.
const EVENTS: [&str; 7] = [
    "millrace_claims_attempts_total",
    "millrace_claims_bytes_total",
    "millrace_ingest_file_reloads_total",
    "millrace_ingest_file_stale",
    "millrace_ingest_replies_unmatched_total",
    "millrace_kafka_client_errors_total",
    "millrace_sink_reloads_total",
];

/// One sample: its name, its labels, its value.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// What three services showed after records of all kinds had gone through the line, and none was left in it.
pub(crate) struct Shown {
    /// In the classic format, of ingest, infer and sink.
    classic: [String; 3],
    open: [String; 3],
    /// Of all three.
    pub(crate) samples: Vec<Sample>,
}

/// The same for all tests: a line is a lot of work.
pub(crate) fn shown() -> &'static Shown {
    static SHOWN: OnceLock<Shown> = OnceLock::new();
    SHOWN.get_or_init(show)
}

fn show() -> Shown {
    let line = Line::new(&["digits"], 2);
    let database = line.dir().join("rows.sqlite");
    let files = line.dir().join("files");
    let pipelines = format!(
        "[[pipelines]]\nname = \"rows\"\nmodels = [\"digits\"]\n\
         destination = {{ type = \"sqlite\", path = {database:?} }}\n\
         [[pipelines]]\nname = \"files\"\nmodels = [\"digits\"]\nroll = {{ age = \"200ms\" }}\n\
         destination = {{ type = \"files\", url = {files:?} }}\n"
    );
    let mut services = [
        line.ingest(""),
        line.infer(Infer::default()),
        line.sink(&pipelines),
    ];
    for service in &mut services {
        service.wait_ready();
    }
    let client = reqwest::blocking::Client::new();
    let predict = |body: String| {
        let url = services[0].url("/v1/models/digits:predict");
        let answer = client.post(url).body(body).send().expect("an answer");
        answer.status().as_u16()
    };
    for index in 0..ANSWERED {
        let body = json!({"instances": [{"image": digits().json(index)}]});
        assert_eq!(predict(body.to_string()), 200);
    }
    assert_eq!(predict("no JSON".to_owned()), 400);
    // Two that infer refuses, one that only sink does, and one of a producer that is not ingest.
    let requests = Feed::new(&line, "requests.digits");
    requests.send(None, Some(b"no Arrow".to_vec()), &[]);
    requests.send(None, None, &[]);
    requests.send(None, Some(image_record(0)), &[]);
    requests.flush();
    let results = Feed::new(&line, "results.digits");
    results.send(None, Some(b"no result".to_vec()), &[]);
    results.flush();
    wait_until_still(&services);
    let scrape = |accept: &str| {
        services.each_ref().map(|service| {
            let request = client.get(service.url("/metrics")).header("accept", accept);
            let answer = request.send().expect("an answer");
            answer.text().expect("text")
        })
    };
    let classic = scrape("text/plain");
    let samples = classic.iter().flat_map(|text| samples_of(text)).collect();
    Shown {
        open: scrape("application/openmetrics-text"),
        classic,
        samples,
    }
}

/// Waits until every record is where it ends.
fn wait_until_still([_, infer, sink]: &[Process; 3]) {
    let (answers, results) = ((ANSWERED + 3) as f64, (ANSWERED + 4) as f64);
    wait_for(PATIENCE, "all results", || {
        (infer.metric("millrace_infer_results_total") >= answers).then_some(())
    });
    wait_for(PATIENCE, "all rows in two destinations", || {
        (sink.metric("millrace_sink_records_total") >= 2.0 * results).then_some(())
    });
    wait_for(PATIENCE, "nothing in flight", || {
        let in_flight = |it: &Process| it.metric("millrace_kafka_in_flight_records");
        (in_flight(infer) + in_flight(sink) == 0.0).then_some(())
    });
}

/// Reads the classic format strictly: every sample belongs to the family declared before it, and says no more than
/// the format has.
fn samples_of(text: &str) -> Vec<Sample> {
    let (mut family, mut kind) = (String::new(), String::new());
    let mut declared = BTreeSet::new();
    let mut helped = String::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a sentence after the name");
            assert!(help.len() > 5, "{line}");
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect("a type after the name");
            assert_eq!(name, helped, "no HELP before {line}");
            assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
            assert!(declared.insert(name.to_owned()), "{name} is declared twice");
            (family, kind) = (name.to_owned(), of.to_owned());
        } else {
            let sample = sample_of(line);
            let suffix = sample.name.strip_prefix(&family);
            let fits = match &*kind {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix.unwrap_or("-")),
                _ => suffix == Some(""),
            };
            assert!(fits, "{line} after the {kind} {family}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
            assert!(sample.value >= 0.0, "{line}");
            samples.push(sample);
        }
    }
    samples
}

fn sample_of(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = head.split_once('{').unwrap_or((head, "}"));
    let labels = labels.strip_suffix('}').expect("an end of the labels");
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once("=\"").expect("a label's value");
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample {
        name: name.to_owned(),
        labels: pairs.collect(),
        value: value.parse().expect("a number"),
    }
}

/// The name of a sample's family, as it is documented.
fn family_of(name: &str) -> &str {
    let of_histogram = ["_bucket", "_sum", "_count"];
    let stripped = of_histogram.iter().find_map(|end| name.strip_suffix(end));
    stripped
        .filter(|it| it.ends_with("_seconds") || it.ends_with("_rows"))
        .unwrap_or(name)
}

/// Names and labels in docs/metrics.md; `…_bytes` beside another name stands for the same name with another end.
pub(crate) fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(project_path("docs/metrics.md")).expect("the page");
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `millrace_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty());
        let labels: BTreeSet<String> = labels.map(str::to_owned).collect();
        let mut first = "";
        for name in cells[1].split(',').map(|it| it.trim().trim_matches('`')) {
            let name = match name.strip_prefix('…') {
                None => {
                    first = name;
                    name.to_owned()
                }
                Some(end) => longest_sibling(first, end),
            };
            all.insert(name, labels.clone());
        }
    }
    all
}

/// `millrace_infer_queue_rows` and `_bytes` make `millrace_infer_queue_bytes`.
fn longest_sibling(first: &str, end: &str) -> String {
    let parts = |text: &str| text.matches('_').count();
    let mut stem = first;
    for _ in 0..parts(end) {
        stem = stem.rsplit_once('_').expect("a longer name").0;
    }
    format!("{stem}{end}")
}

#[test]
fn every_metric_is_documented_with_its_labels_and_every_documented_one_is_there() {
    let shown = shown();
    let documented = documented();
    for sample in &shown.samples {
        let family = family_of(&sample.name);
        let labels = documented.get(family);
        let labels = labels.unwrap_or_else(|| panic!("docs/metrics.md has no {family}"));
        let given: BTreeSet<String> = sample.labels.keys().cloned().collect();
        let given: BTreeSet<String> = given.into_iter().filter(|it| it != "le").collect();
        assert_eq!(given, *labels, "{}", sample.name);
    }
    for name in documented.keys().filter(|name| !EVENTS.contains(&&***name)) {
        let declared = format!("# TYPE {name} ");
        let is_there = shown.classic.iter().any(|text| text.contains(&declared));
        assert!(
            is_there,
            "no service shows {name}, which docs/metrics.md has"
        );
    }
}

#[test]
fn labels_have_few_values_whatever_was_sent() {
    let mut values: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for sample in &shown().samples {
        for (label, value) in sample.labels.iter().filter(|(label, _)| *label != "le") {
            let known = values.entry((&sample.name, label)).or_default();
            known.insert(value);
            assert!(known.len() <= 20, "{}: {label} has {known:?}", sample.name);
        }
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    for text in &shown().classic {
        let mut child = promtool(&["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`make setup` has fetched promtool");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("promtool reads");
        drop(stdin);
        let output = child.wait_with_output().expect("promtool ends");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

/// Prometheus' own tool.
pub(crate) fn promtool(arguments: &[&str]) -> Command {
    let mut command = Command::new(project_path(".native/promtool/promtool"));
    command.args(arguments);
    command
}

#[test]
fn open_metrics_end_with_their_mark_and_say_the_same_counters() {
    let shown = shown();
    for (open, classic) in shown.open.iter().zip(&shown.classic) {
        assert!(open.ends_with("\n# EOF\n"));
        let names = |text: &str, end: &str| {
            let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
            let counters = declared.filter_map(|it| it.strip_suffix(" counter"));
            counters
                .map(|it| format!("{it}{end}"))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(names(open, "_total"), names(classic, ""));
    }
}

/// The sum of all samples of this name whose labels have these values.
fn sum(name: &str, wanted: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        let mut wanted = wanted.iter();
        let has = |(label, value): &(&str, &str)| {
            sample
                .labels
                .get(*label)
                .is_some_and(|it| it.ends_with(value))
        };
        sample.name == name && wanted.all(has)
    };
    let samples = shown().samples.iter();
    samples.filter(fits).map(|sample| sample.value).sum()
}

#[test]
fn what_was_accepted_is_what_was_answered_or_dead_lettered_and_nothing_is_left() {
    let answered = (ANSWERED + 1) as f64;
    let accepted = sum(
        "millrace_kafka_produced_records_total",
        &[("topic", ".requests.digits"), ("result", "ok")],
    );
    // Three more came from a producer whose counters nobody shows.
    let accepted = accepted + 3.0;
    assert_eq!(accepted, answered + 2.0);
    let infer = [("group", ".infer.digits")];
    assert_eq!(sum("millrace_infer_records_total", &[]), accepted);
    assert_eq!(
        sum("millrace_kafka_consumed_records_total", &infer),
        accepted
    );
    assert_eq!(sum("millrace_infer_results_total", &[]), accepted);
    let ended = |end| {
        sum(
            "millrace_kafka_ended_records_total",
            &[infer[0], ("end", end)],
        )
    };
    assert_eq!(
        (ended("done"), ended("abandoned"), ended("late")),
        (accepted, 0.0, 0.0)
    );
    let ok = sum("millrace_infer_results_total", &[("status", "OK")]);
    let letters = sum("millrace_infer_dead_letters_total", &[]);
    assert_eq!((ok, letters), (answered, 2.0));
    assert_eq!(accepted, ok + letters);
    for pipeline in ["rows", "files"] {
        let of = [("pipeline", pipeline)];
        assert_eq!(sum("millrace_sink_records_total", &of), accepted + 1.0);
        assert_eq!(sum("millrace_sink_rows_total", &of), accepted);
        assert_eq!(sum("millrace_sink_dead_letters_total", &of), 1.0);
    }
    for nothing in [
        "millrace_kafka_in_flight_records",
        "millrace_kafka_in_flight_bytes",
        "millrace_kafka_lag_seconds",
        "millrace_kafka_oldest_unfinished_seconds",
        "millrace_infer_queue_rows",
        "millrace_infer_queue_bytes",
        "millrace_ingest_pending",
        "millrace_ingest_held_bytes",
        "millrace_kafka_producer_queue_bytes",
    ] {
        assert_eq!(sum(nothing, &[]), 0.0, "{nothing}");
    }
}

#[test]
fn every_stage_has_timed_what_went_through_it() {
    for (name, least) in [
        ("millrace_ingest_request_duration_seconds", ANSWERED),
        ("millrace_ingest_parse_seconds", ANSWERED),
        ("millrace_ingest_wait_seconds", ANSWERED),
        ("millrace_infer_decode_seconds", ANSWERED),
        ("millrace_infer_queue_wait_seconds", ANSWERED),
        ("millrace_infer_engine_seconds", 1),
        ("millrace_infer_encode_seconds", 1),
        ("millrace_infer_produce_seconds", ANSWERED),
        ("millrace_sink_write_seconds", 2),
        ("millrace_sink_commit_seconds", 2),
        ("millrace_sink_delay_seconds", 2),
    ] {
        let count = sum(&format!("{name}_count"), &[]);
        let least = least as f64;
        assert!(count >= least, "{name}: {count}");
        assert!(sum(&format!("{name}_sum"), &[]) > 0.0, "{name}");
    }
    let states: Vec<&Sample> = shown()
        .samples
        .iter()
        .filter(|it| it.name == "millrace_infer_model_state" && it.value == 1.0)
        .collect();
    assert_eq!(states.len(), 1, "{states:?}");
    assert_eq!(states[0].labels["state"], "available");
}
