//! One trace leads from a request to its row in a database, through Kafka, with links where many records go together.

use std::collections::BTreeSet;
use std::slice;

use e2e::{Collector, Feed, Infer, Line, PATIENCE, Process, Span, Tap, digits, header, wait_for};
use serde_json::json;

use crate::digit_records::image_record;

const CALLERS_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLERS_SPAN: &str = "b7ad6b7169203331";
/// OTLP's numbers for kinds of spans.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

struct Scene {
    line: Line,
    collector: Collector,
    infer: Process,
    ingest: Process,
    sink: Process,
}

/// A line whose services all send their spans to one collector.
fn scene(infer_settings: &str) -> Scene {
    let line = Line::new(&["digits"], 1);
    let collector = Collector::start();
    let telemetry = collector.settings();
    let infer = line.infer(Infer {
        settings: &format!("{infer_settings}\n{telemetry}"),
        ..Infer::default()
    });
    let ingest = line.ingest(&telemetry);
    let sink = line.sink(&format!("{telemetry}\n{}", pipeline(&line)));
    let mut scene = Scene {
        line,
        collector,
        infer,
        ingest,
        sink,
    };
    scene.infer.wait_ready();
    scene.ingest.wait_ready();
    scene.sink.wait_ready();
    scene
}

/// Results wait for a second, so that they are written together.
fn pipeline(line: &Line) -> String {
    let database = line.dir().join("rows.sqlite");
    format!(
        "[[pipelines]]\nname = \"rows\"\nmodels = [\"digits\"]\nroll = {{ age = \"1s\" }}\n\
         destination = {{ type = \"sqlite\", path = {database:?} }}\n"
    )
}

fn predict(scene: &Scene, traceparent: Option<&str>, body: &serde_json::Value) -> u16 {
    let client = reqwest::blocking::Client::new();
    let mut request = client.post(scene.ingest.url("/v1/models/digits:predict"));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
        request = request.header("tracestate", "vendor=1");
    }
    let answer = request.body(body.to_string()).send().expect("an answer");
    answer.status().as_u16()
}

fn rows(scene: &Scene) -> i64 {
    let database = scene.line.dir().join("rows.sqlite");
    let open =
        rusqlite::Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    let count = |it: rusqlite::Connection| {
        it.query_row("SELECT count(*) FROM results", [], |row| row.get(0))
    };
    open.and_then(count).unwrap_or(0)
}

/// The only span of this name.
fn only(spans: &[Span], service: &str, name: &str) -> Option<Span> {
    let is_it = |span: &&Span| span.service == service && span.name == name;
    let found: Vec<&Span> = spans.iter().filter(is_it).collect();
    assert!(found.len() < 2, "{name}: {found:?}");
    found.first().copied().cloned()
}

#[test]
fn one_trace_leads_from_http_to_the_database_row_and_to_the_reply() {
    let scene = scene("");
    let image = json!({"instances": [{"image": digits().json(0)}]});
    let caller = format!("00-{CALLERS_TRACE}-{CALLERS_SPAN}-01");
    assert_eq!(predict(&scene, Some(&caller), &image), 200);
    wait_for(PATIENCE, "the row", || (rows(&scene) == 1).then_some(()));
    let topic = scene.line.topic("requests.digits");
    let names = [
        ("millrace-ingest", "predict digits".to_owned(), SERVER),
        ("millrace-ingest", format!("send {topic}"), PRODUCER),
        ("millrace-infer", "process digits".to_owned(), CONSUMER),
        ("millrace-infer", "batch digits".to_owned(), INTERNAL),
        ("millrace-sink", "write rows".to_owned(), CONSUMER),
    ];
    let spans = names.map(|(service, name, kind)| {
        let what = format!("the span {name:?} of {service}");
        let find = |spans: &[Span]| only(spans, service, &name);
        let span = scene.collector.wait_for(&what, find);
        assert_eq!(span.kind, kind, "{span:?}");
        assert_eq!(span.place.0, CALLERS_TRACE, "{span:?}");
        assert!(
            span.start_ns <= span.end_ns && span.start_ns > 0,
            "{span:?}"
        );
        assert_eq!(span.failure, None);
        span
    });
    let [server, producer, process, batch, write] = &spans;
    assert_eq!(server.parent, CALLERS_SPAN);
    assert_eq!(producer.parent, server.place.1);
    assert_eq!(process.parent, producer.place.1);
    assert_eq!(batch.parent, process.place.1);
    assert_eq!(write.parent, process.place.1);
    for many in [batch, write] {
        assert_eq!(
            many.links.as_slice(),
            slice::from_ref(&process.place),
            "{many:?}"
        );
    }
    assert_eq!(process.attribute("messaging.kafka.offset"), Some("0"));
    assert_eq!(batch.attribute("millrace.batch.rows"), Some("1"));
    assert_eq!(scene.collector.spans().len(), spans.len());
    check_headers(&scene, process);
}

/// Result and reply name the place of the span that made them, and carry on what the caller's system added.
fn check_headers(scene: &Scene, process: &Span) {
    let (trace, span) = &process.place;
    let here = format!("00-{trace}-{span}-01");
    for topic in ["results.digits", "replies"] {
        let records = Tap::open(&scene.line, topic).wait_for(1);
        assert_eq!(header(&records[0], "traceparent"), Some(&*here), "{topic}");
        assert_eq!(header(&records[0], "tracestate"), Some("vendor=1"));
    }
}

#[test]
fn a_batch_is_linked_to_every_record_in_it_and_so_is_a_write() {
    const RECORDS: usize = 6;
    let line = Line::new(&["digits"], 1);
    let collector = Collector::start();
    let telemetry = collector.settings();
    let feed = Feed::new(&line, "requests.digits");
    // All of them are there before anybody reads; one of them is not to be recorded.
    for index in 0..=RECORDS {
        let flags = u8::from(index != RECORDS);
        let trace = format!("00-{:032x}-{:016x}-{flags:02x}", index + 1, 77);
        let headers = [("traceparent", trace.as_str())];
        feed.send(None, Some(image_record(index)), &headers);
    }
    feed.flush();
    let mut sink = line.sink(&format!("{telemetry}\n{}", pipeline(&line)));
    let mut infer = line.infer(Infer {
        settings: &telemetry,
        ..Infer::default()
    });
    infer.wait_ready();
    sink.wait_ready();

    let of = |name: &'static str| move |span: &&Span| span.name == name;
    let spans = collector.wait_for("every record in a batch and in a write", |spans| {
        let links = |name| {
            let named = spans.iter().filter(of(name));
            named.map(|span| span.links.len()).sum::<usize>()
        };
        let is_complete = spans.iter().filter(of("process digits")).count() == RECORDS
            && links("batch digits") == RECORDS
            && links("write rows") == RECORDS;
        is_complete.then(|| spans.to_vec())
    });
    let processes = spans.iter().filter(of("process digits"));
    let processes: BTreeSet<_> = processes.map(|span| span.place.clone()).collect();
    for name in ["batch digits", "write rows"] {
        let named: Vec<&Span> = spans.iter().filter(of(name)).collect();
        let links: BTreeSet<_> = named.iter().flat_map(|span| span.links.clone()).collect();
        assert_eq!(links, processes, "{name}");
        for span in named {
            let first = span.links.first().expect("there is none without a record");
            assert_eq!(
                (&span.place.0, &span.parent),
                (&first.0, &first.1),
                "{name}"
            );
        }
    }
    let writes = spans.iter().filter(of("write rows")).count();
    assert!(writes < RECORDS, "{writes} writes for {RECORDS} records");
    let unrecorded = format!("{:032x}", RECORDS + 1);
    assert!(spans.iter().all(|span| span.place.0 != unrecorded));
    check_metrics_over_otlp(&collector);
}

/// The collector has the metrics as well.
fn check_metrics_over_otlp(collector: &Collector) {
    for (service, metric) in [
        ("millrace-infer", "millrace_infer_engine_seconds"),
        ("millrace-infer", "millrace_kafka_lag_seconds"),
        ("millrace-sink", "millrace_sink_rows"),
    ] {
        let wanted = (service.to_owned(), metric.to_owned());
        wait_for(PATIENCE, &format!("{metric} by OTLP"), || {
            collector.metrics().contains(&wanted).then_some(())
        });
    }
}

#[test]
fn what_fails_says_so_in_its_trace_and_in_a_log_of_json_with_the_traces_id() {
    let log = "[telemetry.log]\nformat = \"json\"\nlevel = \"info,millrace_infer=debug\"";
    let scene = scene(log);
    let feed = Feed::new(&scene.line, "requests.digits");
    let trace = format!("00-{CALLERS_TRACE}-{CALLERS_SPAN}-01");
    feed.send(None, Some(b"no Arrow".to_vec()), &[("traceparent", &trace)]);
    feed.flush();
    let span = scene.collector.wait_for("the refusal", |spans| {
        only(spans, "millrace-infer", "process digits")
    });
    assert_eq!(span.place.0, CALLERS_TRACE);
    assert!(span.failure.is_some_and(|why| !why.is_empty()));
    let line = wait_for(PATIENCE, "the line of the log", || {
        let log = scene.infer.log();
        let mut lines = log.lines().map(str::to_owned);
        lines.find(|line| line.contains("record refused"))
    });
    let line: serde_json::Value = serde_json::from_str(&line).expect("one JSON object a line");
    assert_eq!(line["trace_id"], CALLERS_TRACE, "{line}");
    assert_eq!(line["level"], "DEBUG");
}
