//! Rows of an Arrow batch as parameters of a statement.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use mysql::Value;

use crate::destinations::WriteError;
use crate::destinations::table::rejected;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The value of one row of a column.
pub(super) fn value(array: &dyn Array, row: usize) -> Result<Value, WriteError> {
    if array.is_null(row) {
        return Ok(Value::NULL);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Value::Int(array.as_boolean().value(row).into()),
        DataType::Int8 => Value::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::UInt(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Value::UInt(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Value::UInt(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Value::UInt(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float16 => single(array.as_primitive::<Float16Type>().value(row).to_f32())?,
        DataType::Float32 => single(array.as_primitive::<Float32Type>().value(row))?,
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            finite(value)?;
            Value::Double(value)
        }
        DataType::Utf8 => Value::Bytes(array.as_string::<i32>().value(row).into()),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).into()),
        DataType::Timestamp(..) => {
            time(array.as_primitive::<TimestampMillisecondType>().value(row))?
        }
        other => return Err(rejected(format!("MySQL has no column for {other}"))),
    })
}

fn single(value: f32) -> Result<Value, WriteError> {
    finite(value.into())?;
    Ok(Value::Float(value))
}

/// The server would store NULL, or refuse in words that do not name the value.
fn finite(value: f64) -> Result<(), WriteError> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(rejected(format!(
            "{value} is out of range: FLOAT and DOUBLE of MySQL hold finite numbers only"
        ))),
    }
}

fn time(millis: i64) -> Result<Value, WriteError> {
    let (days, of_day) = (
        millis.div_euclid(MILLIS_PER_DAY),
        millis.rem_euclid(MILLIS_PER_DAY),
    );
    let out_of_range = || {
        rejected(format!(
            "time {millis} ms after 1970 is out of range of DATETIME"
        ))
    };
    let (year, month, day) = civil(days);
    let year = u16::try_from(year)
        .ok()
        .filter(|year| (1000..=9999).contains(year));
    let part = |value: i64| u8::try_from(value).map_err(|_| out_of_range());
    let micros = u32::try_from(of_day % 1_000 * 1_000).map_err(|_| out_of_range())?;
    let seconds = of_day / 1_000;
    Ok(Value::Date(
        year.ok_or_else(out_of_range)?,
        part(month)?,
        part(day)?,
        part(seconds / 3_600)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
        micros,
    ))
}

/// Year, month and day of a count of days since 1970, in the Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// About what the value takes in a packet.
pub(super) fn size_bytes(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len() + 9,
        _ => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_of_the_calendar() {
        assert_eq!(time(0).unwrap(), Value::Date(1970, 1, 1, 0, 0, 0, 0));
        assert_eq!(
            time(1_709_210_096_789).unwrap(),
            Value::Date(2024, 2, 29, 12, 34, 56, 789_000)
        );
        assert_eq!(
            time(-1).unwrap(),
            Value::Date(1969, 12, 31, 23, 59, 59, 999_000)
        );
        assert!(time(i64::MAX).is_err() && time(i64::MIN).is_err());
    }
}
