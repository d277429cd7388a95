//! Values of Arrow arrays as values of SQLite.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};

use crate::destinations::WriteError;
use crate::destinations::table::{lists, rejected};
use crate::projection::json;

/// The columns of the batch; lists are JSON texts already.
pub(super) fn columns(rows: &RecordBatch) -> Result<Vec<ArrayRef>, WriteError> {
    let column = |array: &ArrayRef| match lists::values(array) {
        Some(_) => json::texts(array).map(|texts| Arc::new(texts) as ArrayRef),
        None => Ok(Arc::clone(array)),
    };
    let columns: Result<_, _> = rows.columns().iter().map(column).collect();
    columns.map_err(|error| rejected(error.to_string()))
}

/// One row of a column.
pub(super) struct Cell<'a> {
    pub(super) array: &'a dyn Array,
    pub(super) row: usize,
    /// Bytes that are UTF-8 become text: keys mostly are.
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    Blob,
    TextWhereUtf8,
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let (array, row) = (self.array, self.row);
        if array.is_null(row) {
            return Ok(ToSqlOutput::Borrowed(ValueRef::Null));
        }
        Ok(match array.data_type() {
            DataType::Boolean => integer(array.as_boolean().value(row)),
            DataType::Int8 => integer(array.as_primitive::<Int8Type>().value(row)),
            DataType::Int16 => integer(array.as_primitive::<Int16Type>().value(row)),
            DataType::Int32 => integer(array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt8 => integer(array.as_primitive::<UInt8Type>().value(row)),
            DataType::UInt16 => integer(array.as_primitive::<UInt16Type>().value(row)),
            DataType::UInt32 => integer(array.as_primitive::<UInt32Type>().value(row)),
            DataType::UInt64 => unsigned(array.as_primitive::<UInt64Type>().value(row)),
            DataType::Float16 => real(array.as_primitive::<Float16Type>().value(row).to_f64()),
            DataType::Float32 => real(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => real(array.as_primitive::<Float64Type>().value(row)),
            DataType::Timestamp(..) => {
                integer(array.as_primitive::<TimestampMillisecondType>().value(row))
            }
            DataType::Utf8 => text(array.as_string::<i32>().value(row).as_bytes()),
            DataType::Binary => {
                let bytes = array.as_binary::<i32>().value(row);
                match self.bytes == Bytes::TextWhereUtf8 && std::str::from_utf8(bytes).is_ok() {
                    true => text(bytes),
                    false => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
                }
            }
            other => {
                let problem = format!("SQLite has no value for {other}");
                return Err(rusqlite::Error::ToSqlConversionFailure(problem.into()));
            }
        })
    }
}

fn integer(value: impl Into<i64>) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(value.into()))
}

/// SQLite's integers end at 2^63 - 1; larger ones are text.
fn unsigned(value: u64) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(match i64::try_from(value) {
        Ok(value) => Value::Integer(value),
        Err(_) => Value::Text(value.to_string()),
    })
}

/// SQLite takes NaN for NULL; as a text it is told apart from a failed result.
fn real(value: f64) -> ToSqlOutput<'static> {
    match value.is_nan() {
        true => text(b"NaN"),
        false => ToSqlOutput::Owned(Value::Real(value)),
    }
}

fn text(bytes: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(bytes))
}
