//! Result records for unit tests, made as infer makes them and read as the sink reads them.

use std::sync::Arc;

use millrace_kafka::{Headers, Record, RecordBlock, TopicPartition};
use millrace_wire::headers::{ResultHeaders, Source};
use millrace_wire::{DType, Decoder, Limits, Status, Tensor, encode_tensors};

use crate::batch::{Batch, OpenBatch};
use crate::projection::Projection;
use crate::row::{Found, Rejected, ResultRecord};

pub(crate) const TOPIC: &str = "mill.results.digits";

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

/// A result with one float output `y` of one value per row.
pub(crate) fn record_with(offset: i64, values: &[f32]) -> ResultRecord<'static> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    parsed(
        offset,
        vec![fixed("y", DType::Float32, &[values.len()], bytes)],
    )
}

/// A result with one text output `label` of one value per row.
pub(crate) fn record_with_texts(offset: i64, values: &[&str]) -> ResultRecord<'static> {
    let data = values.iter().collect();
    parsed(
        offset,
        vec![Tensor::variable("label", DType::String, vec![values.len()], data).unwrap()],
    )
}

pub(crate) fn record_of_failure(offset: i64) -> ResultRecord<'static> {
    let mut record = kafka_record(offset, Status::Internal, None);
    record.key = None;
    parse(record)
}

pub(crate) fn parsed(offset: i64, tensors: Vec<Tensor>) -> ResultRecord<'static> {
    let value = encode_tensors(&tensors).unwrap();
    let record = kafka_record(offset, Status::Ok, Some(value));
    parse(record)
}

pub(crate) fn fixed(name: &str, dtype: DType, shape: &[usize], bytes: Vec<u8>) -> Tensor {
    Tensor::fixed(name, dtype, shape.to_vec(), bytes.into()).unwrap()
}

pub(crate) fn parse(record: Record) -> ResultRecord<'static> {
    try_parse(&record, &mut Projection::default()).unwrap()
}

/// Reads a record that lies in a block of its own, which lasts as long as the tests.
pub(crate) fn try_parse(
    record: &Record,
    projection: &mut Projection,
) -> Result<ResultRecord<'static>, Box<Rejected>> {
    let mut block = RecordBlock::new(partition(&record.topic, record.partition));
    block.push(record);
    let block = Box::leak(Box::new(Arc::new(block)));
    let found = Found {
        block,
        index: 0,
        fetched: None,
    };
    ResultRecord::parse(found, &mut decoder(), projection)
}

pub(crate) fn decoder() -> Decoder {
    Decoder::new(Limits::default())
}

pub(crate) fn kafka_record(offset: i64, status: Status, value: Option<Vec<u8>>) -> Record {
    let failed = status != Status::Ok;
    let headers = ResultHeaders {
        id: format!("id-{offset}"),
        model: "digits".to_owned(),
        version: Some(3),
        weights_sha256: None,
        status,
        error: failed.then(|| "the model failed".to_owned()),
        source: Source {
            topic: "mill.requests.digits".to_owned(),
            partition: 0,
            offset,
        },
    };
    let mut pairs = Headers::new();
    for (name, value) in headers.to_pairs() {
        pairs.push(name, Some(value));
    }
    Record {
        topic: TOPIC.into(),
        partition: 0,
        offset,
        timestamp_unix_ms: Some(1_700_000_000_000 + offset),
        key: Some(format!("key-{offset}").into_bytes()),
        value,
        headers: pairs,
    }
}

/// A batch of `TOPIC`, partition 0, that begins at `first` and covers the records.
pub(crate) fn batch(first: i64, records: Vec<ResultRecord<'_>>) -> Batch {
    let mut batch = OpenBatch::new(partition(TOPIC, 0), first);
    for record in records {
        batch.push(&record);
    }
    batch.close().unwrap()
}
