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

/// A collector, and who speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    endpoint: String,
    service: &'static str,
    instance: String,
    client: Client,
}

impl Collector {
    /// `endpoint` is the collector's base URL.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub(crate) fn new(endpoint: &str, service: &'static str) -> Result<Self, reqwest::Error> {
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            service,
            instance: format!("{:016x}", rand::random::<u64>()),
            client: Client::builder().timeout(ANSWER_DEADLINE).build()?,
        })
    }

    /// Sends one message to the path of a signal, such as `v1/traces`.
    fn send(&self, path: &str, message: &impl Message) -> Result<(), reqwest::Error> {
        let request = self
            .client
            .post(format!("{}/{path}", self.endpoint))
            .header("content-type", "application/x-protobuf")
            .body(message.encode_to_vec());
        request.send()?.error_for_status()?;
        Ok(())
    }

    fn resource(&self) -> Resource {
        let attributes = vec![
            attribute("service.name", self.service),
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
