//! A small OpenTelemetry collector: takes what OTLP/HTTP brings as protobuf, and keeps it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use prost::Message;

use crate::line::PATIENCE;
use crate::wait::wait_for;

/// A place in a trace: the trace's id and the span's, in hexadecimal.
pub type SpanPlace = (String, String);

/// A span as a collector sees it.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the process.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub place: SpanPlace,
    /// The id of its parent; empty for the first of a trace.
    pub parent: String,
    /// 1 internal, 2 server, 4 producer, 5 consumer.
    pub kind: i32,
    /// What it is linked to.
    pub links: Vec<SpanPlace>,
    /// Names and values of attributes, all as text.
    pub attributes: Vec<(String, String)>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub end_ns: u64,
}

/// What was received so far; ends with the test's process.
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    /// Services and the names of their metrics.
    metrics: Vec<(String, String)>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let received = Arc::<Mutex<Received>>::default();
        let keep = Arc::clone(&received);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let keep = Arc::clone(&keep);
                thread::spawn(move || serve(&connection, &keep));
            }
        });
        Self { address, received }
    }

    /// The section `telemetry` for a service that sends here every trace that it begins, and metrics.
    pub fn settings(&self) -> String {
        format!(
            "[telemetry]\notlp_endpoint = \"http://{}\"\nmetrics_interval = \"500ms\"\n",
            self.address
        )
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received().spans.clone()
    }

    /// Waits until `find` finds something among the spans.
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&[Span]) -> Option<T>) -> T {
        wait_for(PATIENCE, what, || find(&self.spans()))
    }

    /// Services that sent metrics, and the names of those.
    pub fn metrics(&self) -> Vec<(String, String)> {
        self.received().metrics.clone()
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().expect("no connection panics")
    }
}

impl Span {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        Some(&attributes.find(|(it, _)| it == name)?.1)
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(connection: &TcpStream, keep: &Mutex<Received>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut size_bytes = 0;
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).ok()?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                size_bytes = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; size_bytes];
        reader.read_exact(&mut body).ok()?;
        let is_taken = take(
            &path,
            &body,
            &mut keep.lock().expect("no connection panics"),
        );
        let status = if is_taken.is_some() {
            "200 OK"
        } else {
            "400 Bad Request"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let mut writer = connection;
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

fn take(path: &str, body: &[u8], received: &mut Received) -> Option<()> {
    match path {
        "/v1/traces" => {
            let request = ExportTraceServiceRequest::decode(body).ok()?;
            for resource in request.resource_spans {
                let service = service_of(resource.resource.as_ref());
                let scopes = resource.scope_spans.into_iter();
                let spans = scopes.flat_map(|scope| scope.spans);
                let spans = spans.map(|span| span_of(&service, span));
                received.spans.extend(spans);
            }
        }
        "/v1/metrics" => {
            let request = ExportMetricsServiceRequest::decode(body).ok()?;
            for resource in request.resource_metrics {
                let service = service_of(resource.resource.as_ref());
                let scopes = resource.scope_metrics.into_iter();
                let metrics = scopes.flat_map(|scope| scope.metrics);
                let named = metrics.map(|metric| (service.clone(), metric.name));
                received.metrics.extend(named);
            }
        }
        _ => return None,
    }
    Some(())
}

fn service_of(resource: Option<&Resource>) -> String {
    let attributes = resource
        .map(|it| it.attributes.as_slice())
        .unwrap_or_default();
    let name = attributes.iter().find(|it| it.key == "service.name");
    name.map(text_of).unwrap_or_default()
}

fn text_of(attribute: &KeyValue) -> String {
    let value = attribute.value.as_ref();
    match value.and_then(|it| it.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(whole)) => whole.to_string(),
        other => format!("{other:?}"),
    }
}

fn span_of(service: &str, span: OtlpSpan) -> Span {
    let links = span.links.iter();
    let links = links.map(|link| (hex(&link.trace_id), hex(&link.span_id)));
    let attributes = span.attributes.iter();
    let attributes = attributes.map(|it| (it.key.clone(), text_of(it)));
    Span {
        service: service.to_owned(),
        place: (hex(&span.trace_id), hex(&span.span_id)),
        parent: hex(&span.parent_span_id),
        kind: span.kind,
        links: links.collect(),
        attributes: attributes.collect(),
        failure: span.status.map(|status| status.message),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        name: span.name,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
