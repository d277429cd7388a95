//! What goes to an OpenTelemetry collector, over OTLP/HTTP with protobuf.

mod metrics;
mod spans;
mod totals;

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::blocking::Client;

pub(crate) use metrics::{MetricExport, unix_ns};
pub(crate) use spans::{Exporter, Queue};
pub(crate) use totals::totals;

/// How long a collector may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// Where a collector is, and who speaks to it.
#[derive(Debug)]
pub(crate) struct Address {
    endpoint: String,
    service: &'static str,
}

/// A collector that is spoken to, from a thread of its own: the client must not be in an async runtime.
#[derive(Debug)]
struct Collector {
    address: Address,
    instance: String,
    client: Client,
}

impl Address {
    /// `endpoint` is the collector's base URL.
    pub(crate) fn new(endpoint: &str, service: &'static str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            service,
        }
    }

    /// Makes the client; `None`, and a line in the log, if that is impossible.
    fn connect(self) -> Option<Collector> {
        let client = Client::builder().timeout(ANSWER_DEADLINE).build();
        let client = client.inspect_err(|error| {
            tracing::error!(%error, "nothing can be sent to telemetry.otlp_endpoint");
        });
        Some(Collector {
            address: self,
            instance: format!("{:016x}", rand::random::<u64>()),
            client: client.ok()?,
        })
    }
}

impl Collector {
    /// Sends one message to the path of a signal, such as `v1/traces`.
    fn send(&self, path: &str, message: &impl Message) -> Result<(), reqwest::Error> {
        let request = self
            .client
            .post(format!("{}/{path}", self.address.endpoint))
            .header("content-type", "application/x-protobuf")
            .body(message.encode_to_vec());
        request.send()?.error_for_status()?;
        Ok(())
    }

    fn resource(&self) -> Resource {
        let attributes = vec![
            attribute("service.name", self.address.service),
            attribute("service.instance.id", self.instance.as_str()),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
        ];
        Resource {
            attributes,
            ..Resource::default()
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "millrace".to_owned(),
        ..InstrumentationScope::default()
    }
}

/// A value of an attribute.
#[derive(Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(whole: i64) -> Self {
        Self::Whole(whole)
    }
}

impl From<usize> for Value {
    fn from(whole: usize) -> Self {
        Self::Whole(i64::try_from(whole).unwrap_or(i64::MAX))
    }
}

pub(crate) fn attribute(key: &str, value: impl Into<Value>) -> KeyValue {
    let value = match value.into() {
        Value::Text(text) => any_value::Value::StringValue(text),
        Value::Whole(whole) => any_value::Value::IntValue(whole),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
