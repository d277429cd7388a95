//! Result records as an Arrow table: coordinates first, then one column per output, tensors as nested lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use millrace_wire::DType;

use super::nested::{self, Part};
use crate::outputs::OutputColumn;
use crate::row::ResultRecord;

/// The columns that every file has, whatever the model answers.
const COORDINATES: [&str; 12] = [
    "source_topic",
    "source_partition",
    "source_offset",
    "instance",
    "id",
    "key",
    "model",
    "version",
    "status",
    "error",
    "request",
    "recorded_at",
];

/// The schema of a file with these outputs. An output that bears the name of a coordinate
/// (case aside, as query engines see it) becomes `output_<name>`.
pub(super) fn schema(columns: &[OutputColumn]) -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("source_topic", DataType::Utf8, false),
        Field::new("source_partition", DataType::Int32, false),
        Field::new("source_offset", DataType::Int64, false),
        Field::new("instance", DataType::UInt32, false),
        Field::new("id", DataType::Utf8, false),
        Field::new("key", DataType::Binary, true),
        Field::new("model", DataType::Utf8, false),
        Field::new("version", DataType::Int64, true),
        Field::new("status", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, true),
        Field::new("request", DataType::Utf8, false),
        Field::new("recorded_at", utc, true),
    ];
    let mut taken: BTreeSet<String> = COORDINATES.map(String::from).into();
    taken.extend(columns.iter().map(|column| column.name.to_string()));
    for column in columns {
        let name = column_name(&column.name, &mut taken);
        let leaf = leaf_type(column.dtype);
        fields.push(Field::new(name, nested::data_type(leaf, column.rank), true));
    }
    Arc::new(Schema::new(fields))
}

/// The rows of these records, under a schema made for their outputs.
pub(super) fn record_batch(
    schema: &SchemaRef,
    outputs: &[OutputColumn],
    records: &[ResultRecord],
) -> Result<RecordBatch, ArrowError> {
    let mut columns = coordinates(records);
    for (index, column) in outputs.iter().enumerate() {
        let parts = parts(records, index);
        columns.push(nested::array(column, &parts));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn column_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    if !COORDINATES
        .iter()
        .any(|coordinate| coordinate.eq_ignore_ascii_case(name))
    {
        return name.to_owned();
    }
    let mut renamed = format!("output_{name}");
    while !taken.insert(renamed.clone()) {
        renamed.insert_str(0, "output_");
    }
    renamed
}

fn leaf_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Boolean,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Uint8 => DataType::UInt8,
        DType::Uint16 => DataType::UInt16,
        DType::Uint32 => DataType::UInt32,
        DType::Uint64 => DataType::UInt64,
        DType::Float16 => DataType::Float16,
        // Parquet has no bfloat16; every value of it is a float32.
        DType::Bfloat16 | DType::Float32 => DataType::Float32,
        DType::Float64 => DataType::Float64,
        DType::String => DataType::Utf8,
        DType::Bytes => DataType::Binary,
    }
}

fn parts(records: &[ResultRecord], index: usize) -> Vec<Part<'_>> {
    let mut parts = Vec::with_capacity(records.len());
    for record in records {
        match record.outputs() {
            Some(outputs) => {
                for run in outputs.runs() {
                    parts.push(Part::Rows(&run.tensors()[index]));
                }
            }
            None => parts.push(Part::Null),
        }
    }
    parts
}

fn coordinates(records: &[ResultRecord]) -> Vec<ArrayRef> {
    let rows = || {
        records
            .iter()
            .flat_map(|record| std::iter::repeat_n(record, record.rows()))
    };
    let times: TimestampMillisecondArray = rows().map(|row| row.recorded_at_unix_ms).collect();
    vec![
        Arc::new(StringArray::from_iter_values(rows().map(|row| &*row.topic))),
        Arc::new(Int32Array::from_iter_values(
            rows().map(|row| row.partition),
        )),
        Arc::new(Int64Array::from_iter_values(rows().map(|row| row.offset))),
        Arc::new(instances_of(records)),
        Arc::new(StringArray::from_iter_values(rows().map(|row| &row.id))),
        Arc::new(
            rows()
                .map(|row| row.key.as_deref())
                .collect::<BinaryArray>(),
        ),
        Arc::new(StringArray::from_iter_values(rows().map(|row| &row.model))),
        Arc::new(rows().map(|row| row.version).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(
            rows().map(|row| row.status.name()),
        )),
        Arc::new(
            rows()
                .map(|row| row.error.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(StringArray::from_iter_values(
            rows().map(|row| &row.request),
        )),
        Arc::new(times.with_timezone("UTC")),
    ]
}

fn instances_of(records: &[ResultRecord]) -> UInt32Array {
    let mut instances = Vec::new();
    for record in records {
        instances.extend((0u32..).take(record.rows()));
    }
    instances.into()
}
