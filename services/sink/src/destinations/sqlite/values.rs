//! Values of Arrow arrays as values of SQLite.

use arrow::array::{Array, AsArray, BinaryArray, Float32Array, Int64Array, StringArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// The values of a column, one per row. What most columns are is found out once, not for each row.
pub(super) enum Cells<'a> {
    Texts(&'a StringArray),
    Integers(&'a Int64Array),
    Singles(&'a Float32Array),
    /// Bytes that are UTF-8 become text: keys mostly are.
    Keys(&'a BinaryArray),
    Others(&'a dyn Array),
}

impl<'a> Cells<'a> {
    /// The values of an array; `is_key` if it is the column of keys.
    pub(super) fn of(array: &'a dyn Array, is_key: bool) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Texts(array.as_string()),
            DataType::Int64 => Self::Integers(array.as_primitive()),
            DataType::Float32 => Self::Singles(array.as_primitive()),
            DataType::Binary if is_key => Self::Keys(array.as_binary()),
            _ => Self::Others(array),
        }
    }

    /// The value of a row.
    pub(super) fn at(&self, row: usize) -> rusqlite::Result<ToSqlOutput<'a>> {
        let (is_null, value) = match self {
            Self::Texts(array) => (array.is_null(row), text(array.value(row).as_bytes())),
            Self::Integers(array) => (array.is_null(row), integer(array.value(row))),
            Self::Singles(array) => (array.is_null(row), real(array.value(row).into())),
            Self::Keys(array) => (array.is_null(row), key(array.value(row))),
            Self::Others(array) if array.is_null(row) => (true, text(b"")),
            Self::Others(array) => (false, other(*array, row)?),
        };
        Ok(match is_null {
            true => ToSqlOutput::Borrowed(ValueRef::Null),
            false => value,
        })
    }
}

fn other(array: &dyn Array, row: usize) -> rusqlite::Result<ToSqlOutput<'_>> {
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
            ToSqlOutput::Borrowed(ValueRef::Blob(array.as_binary::<i32>().value(row)))
        }
        other => {
            let problem = format!("SQLite has no value for {other}");
            return Err(rusqlite::Error::ToSqlConversionFailure(problem.into()));
        }
    })
}

fn key(bytes: &[u8]) -> ToSqlOutput<'_> {
    match std::str::from_utf8(bytes) {
        Ok(_) => text(bytes),
        Err(_) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
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
