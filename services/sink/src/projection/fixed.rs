//! The columns that every row has, whatever the model answers: where it comes from, and what became of it.

use std::iter;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryBuilder, Int32Array, Int64Array, Int64Builder, RecordBatch,
    StringArray, StringBuilder, TimestampMillisecondBuilder, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use millrace_kafka::TopicPartition;

use crate::row::ResultRecord;

/// Names of the fixed columns, in order. `topic`, `partition`, `offset` and `row` are the
/// coordinates of the result; `request` is `topic/partition/offset` of the request.
pub(crate) const NAMES: [&str; 12] = [
    "topic",
    "partition",
    "offset",
    "row",
    "recorded_at",
    "key",
    "id",
    "model",
    "version",
    "status",
    "error",
    "request",
];

/// Whether a column of the outputs must not have this name; query engines look past the case.
pub(crate) fn is_taken(name: &str) -> bool {
    NAMES.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The fixed columns as a schema.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(fields()))
}

pub(super) fn fields() -> Vec<Field> {
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let types = [
        (DataType::Utf8, false),
        (DataType::Int32, false),
        (DataType::Int64, false),
        (DataType::UInt32, false),
        (utc, true),
        (DataType::Binary, true),
        (DataType::Utf8, false),
        (DataType::Utf8, false),
        (DataType::Int64, true),
        (DataType::Utf8, false),
        (DataType::Utf8, true),
        (DataType::Utf8, false),
    ];
    let field = |(name, (data_type, nullable))| Field::new(name, data_type, nullable);
    NAMES.into_iter().zip(types).map(field).collect()
}

/// The fixed columns in the making: one row per instance.
pub(super) struct Columns {
    partition: TopicPartition,
    offsets: Vec<i64>,
    instances: Vec<u32>,
    times: TimestampMillisecondBuilder,
    keys: BinaryBuilder,
    ids: StringBuilder,
    models: StringBuilder,
    versions: Int64Builder,
    statuses: StringBuilder,
    errors: StringBuilder,
    requests: StringBuilder,
}

impl Columns {
    pub(super) fn new(partition: &TopicPartition) -> Self {
        Self {
            partition: partition.clone(),
            offsets: Vec::new(),
            instances: Vec::new(),
            times: TimestampMillisecondBuilder::new().with_timezone("UTC"),
            keys: BinaryBuilder::new(),
            ids: StringBuilder::new(),
            models: StringBuilder::new(),
            versions: Int64Builder::new(),
            statuses: StringBuilder::new(),
            errors: StringBuilder::new(),
            requests: StringBuilder::new(),
        }
    }

    pub(super) fn push(&mut self, record: &ResultRecord<'_>) {
        let headers = &record.headers;
        let request = headers.source.to_text();
        for instance in (0u32..).take(record.rows()) {
            self.offsets.push(record.offset());
            self.instances.push(instance);
            self.times.append_option(record.recorded_at_unix_ms());
            self.keys.append_option(record.key());
            self.ids.append_value(headers.id);
            self.models.append_value(headers.model);
            self.versions.append_option(headers.version);
            self.statuses.append_value(headers.status.name());
            self.errors.append_option(headers.error.as_deref());
            self.requests.append_value(&request);
        }
    }

    /// One array per field.
    pub(super) fn finish(mut self) -> Vec<ArrayRef> {
        let rows = self.offsets.len();
        let topics = iter::repeat_n(&*self.partition.topic, rows);
        let partitions = vec![self.partition.partition; rows];
        vec![
            Arc::new(StringArray::from_iter_values(topics)),
            Arc::new(Int32Array::from(partitions)),
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(UInt32Array::from(self.instances)),
            Arc::new(self.times.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.ids.finish()),
            Arc::new(self.models.finish()),
            Arc::new(self.versions.finish()),
            Arc::new(self.statuses.finish()),
            Arc::new(self.errors.finish()),
            Arc::new(self.requests.finish()),
        ]
    }
}

/// The offset of each row, ascending.
pub(crate) fn offsets(rows: &RecordBatch) -> &[i64] {
    rows["offset"].as_primitive::<Int64Type>().values()
}
