//! The columns that every row has, whatever the model answers: where it comes from, and what became of it.

use std::iter;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};

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

/// One array per field, one row per instance.
pub(super) fn arrays(records: &[ResultRecord]) -> Vec<ArrayRef> {
    let rows = || Rows { records };
    let times: TimestampMillisecondArray = rows().each(ResultRecord::recorded_at_unix_ms).collect();
    let text = |value: fn(&ResultRecord) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows().each(value)))
    };
    vec![
        text(ResultRecord::topic),
        Arc::new(Int32Array::from_iter_values(
            rows().each(ResultRecord::partition),
        )),
        Arc::new(Int64Array::from_iter_values(
            rows().each(ResultRecord::offset),
        )),
        Arc::new(instances(records)),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows().each(ResultRecord::key).collect::<BinaryArray>()),
        text(|record| &record.headers.id),
        text(|record| &record.headers.model),
        Arc::new(
            rows()
                .each(|record| record.headers.version)
                .collect::<Int64Array>(),
        ),
        text(|record| record.headers.status.name()),
        Arc::new(
            rows()
                .each(|record| record.headers.error.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(requests(records)),
    ]
}

/// The offset of each row, ascending.
pub(crate) fn offsets(rows: &RecordBatch) -> &[i64] {
    rows["offset"].as_primitive::<Int64Type>().values()
}

struct Rows<'a> {
    records: &'a [ResultRecord],
}

impl<'a> Rows<'a> {
    /// The value of each record, once per row.
    fn each<T: Clone + 'a>(
        &self,
        value: impl Fn(&'a ResultRecord) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        let records = self.records.iter();
        records.flat_map(move |record| iter::repeat_n(value(record), record.rows()))
    }
}

fn instances(records: &[ResultRecord]) -> UInt32Array {
    let mut instances = Vec::new();
    for record in records {
        instances.extend((0u32..).take(record.rows()));
    }
    instances.into()
}

fn requests(records: &[ResultRecord]) -> StringArray {
    let mut requests = Vec::with_capacity(records.len());
    for record in records {
        let source = record.headers.source.to_string();
        requests.extend(iter::repeat_n(source, record.rows()));
    }
    StringArray::from_iter_values(requests)
}
