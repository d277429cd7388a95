//! What a played infer publishes, reads and answers.

use std::time::SystemTime;

use millrace_kafka::{Headers, OutRecord, Record};
use millrace_wire::Status;
use millrace_wire::avro::{ModelDescriptor, ModelState, TensorDescription};
use millrace_wire::headers::{RequestHeaders, ResultHeaders, Source};

/// An input's name, type and shape.
pub(crate) type Input = (&'static str, &'static str, &'static [i64]);

/// A request record as the played infer reads it.
pub(crate) struct Asked {
    pub(crate) record: Record,
    pub(crate) headers: RequestHeaders,
}

impl Asked {
    pub(crate) fn of(record: Record) -> Self {
        let headers = RequestHeaders::parse(record.headers.iter()).unwrap();
        Self { record, headers }
    }

    /// A reply record to this request.
    pub(crate) fn reply(
        &self,
        status: Status,
        error: Option<&str>,
        value: Option<Vec<u8>>,
    ) -> OutRecord {
        let reply_to = self.headers.reply_to.clone().unwrap();
        OutRecord {
            topic: reply_to.topic.into(),
            partition: Some(reply_to.partition),
            key: self.headers.id.clone().map(String::into_bytes),
            value,
            headers: self.outcome(status, error),
        }
    }

    /// The result record of this request.
    pub(crate) fn result(
        &self,
        status: Status,
        error: Option<&str>,
        value: Option<Vec<u8>>,
    ) -> OutRecord {
        OutRecord {
            topic: self.record.topic.replace(".requests.", ".results.").into(),
            partition: Some(self.record.partition),
            key: self.record.key.clone(),
            value,
            headers: self.outcome(status, error),
        }
    }

    fn outcome(&self, status: Status, error: Option<&str>) -> Headers {
        let id = self.headers.id.clone().unwrap();
        let result = ResultHeaders {
            id,
            model: "m".to_owned(),
            version: Some(1),
            weights_sha256: None,
            status,
            error: error.map(str::to_owned),
            source: Source {
                topic: self.record.topic.to_string(),
                partition: self.record.partition,
                offset: self.record.offset,
            },
        };
        let mut headers = Headers::new();
        for (name, value) in result.to_pairs() {
            headers.push(name, Some(value));
        }
        headers
    }
}

/// Answers with the inputs as outputs.
pub(crate) fn echo(asked: &Asked) -> Vec<OutRecord> {
    vec![asked.reply(Status::Ok, None, asked.record.value.clone())]
}

/// Answers with the inputs as outputs, and writes the result as infer does.
pub(crate) fn echo_and_record(asked: &Asked) -> Vec<OutRecord> {
    let result = asked.result(Status::Ok, None, asked.record.value.clone());
    match asked.headers.reply_to {
        Some(_) => [echo(asked), vec![result]].concat(),
        None => vec![result],
    }
}

/// An available version 1 whose lease outlives every test.
pub(crate) fn descriptor(model: &str, inputs: &[Input]) -> ModelDescriptor {
    let tensor = |(name, dtype, shape): &Input| TensorDescription {
        name: (*name).to_owned(),
        dtype: (*dtype).to_owned(),
        shape: shape.to_vec(),
    };
    let tensors: Vec<_> = inputs.iter().map(tensor).collect();
    ModelDescriptor {
        model: model.to_owned(),
        version: 1,
        replica: "played".to_owned(),
        state: ModelState::Available,
        reason: String::new(),
        labels: vec!["stable".to_owned()],
        engine: "played".to_owned(),
        weights_sha256: String::new(),
        inputs: tensors.clone(),
        outputs: tensors,
        max_batch_rows: 32,
        control_offset: -1,
        canary_percent: 0,
        delivery: String::new(),
        lanes: Vec::new(),
        backlog_records: 0,
        lease_until_unix_ms: unix_ms() + 3_600_000,
    }
}

/// The model `m`: `x: FP32[-1,4]`.
pub(crate) fn model_m() -> ModelDescriptor {
    descriptor("m", &[("x", "FP32", &[-1, 4])])
}

pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
