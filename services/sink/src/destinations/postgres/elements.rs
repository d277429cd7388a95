//! Values of Arrow arrays in PostgreSQL's binary form: each one its length, then its bytes, all big-endian.

use std::ops::Range;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, BinaryArray, PrimitiveArray, StringArray};
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::types::Scalar;

/// What cannot be said in the form at all, before the database is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("a value of {0} bytes is longer than a field of PostgreSQL can be")]
    TooLong(usize),
    #[error("time {0} ms after 1970 is out of range: timestamp out of range")]
    Time(i64),
    #[error("lists of differing lengths do not make an array")]
    Ragged,
    #[error("a list of {0} elements is longer than an array of PostgreSQL can be")]
    TooMany(usize),
    #[error("an array of type {found} cannot be written as {wanted}")]
    Type { found: DataType, wanted: Scalar },
}

/// Writes the elements of a range, each with its length.
pub(super) type Elements<'a> = Box<dyn Fn(Range<usize>, &mut Vec<u8>) -> Result<(), Unfit> + 'a>;

/// The length that stands for NULL.
pub(super) const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// Milliseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_MILLIS: i64 = 946_684_800_000;

/// How to write the elements of an array as values of a type. Widening only: [`super::types`]
/// pairs no others.
pub(super) fn elements(array: &dyn Array, scalar: Scalar) -> Result<Elements<'_>, Unfit> {
    use DataType as T;
    use Scalar as S;
    let found = array.data_type();
    Ok(match (found, scalar) {
        (T::Boolean, S::Bool) => {
            let array = array.as_boolean();
            each(array, move |index, out| {
                out.extend_from_slice(&1i32.to_be_bytes());
                out.push(array.value(index).into());
                Ok(())
            })
        }
        (T::Int8, _) => integers(array.as_primitive::<Int8Type>(), scalar),
        (T::Int16, _) => integers(array.as_primitive::<Int16Type>(), scalar),
        (T::Int32, _) => integers(array.as_primitive::<Int32Type>(), scalar),
        (T::Int64, _) => integers(array.as_primitive::<Int64Type>(), scalar),
        (T::UInt8, _) => integers(array.as_primitive::<UInt8Type>(), scalar),
        (T::UInt16, _) => integers(array.as_primitive::<UInt16Type>(), scalar),
        (T::UInt32, _) => integers(array.as_primitive::<UInt32Type>(), scalar),
        (T::UInt64, _) => integers(array.as_primitive::<UInt64Type>(), scalar),
        (T::Float16, S::Float4) => fixed(array.as_primitive::<Float16Type>(), |value| {
            value.to_f32().to_be_bytes()
        }),
        (T::Float16, S::Float8) => fixed(array.as_primitive::<Float16Type>(), |value| {
            value.to_f64().to_be_bytes()
        }),
        (T::Float32, S::Float4) => fixed(array.as_primitive::<Float32Type>(), f32::to_be_bytes),
        (T::Float32, S::Float8) => fixed(array.as_primitive::<Float32Type>(), |value| {
            f64::from(value).to_be_bytes()
        }),
        (T::Float64, S::Float8) => fixed(array.as_primitive::<Float64Type>(), f64::to_be_bytes),
        (T::Utf8, S::Text | S::Json) => texts(array.as_string()),
        (T::Utf8, S::Jsonb) => jsonb_texts(array.as_string()),
        (T::Binary, S::Bytea) => binaries(array.as_binary()),
        (T::Timestamp(..), S::Timestamp) => times(array.as_primitive::<TimestampMillisecondType>()),
        _ => {
            return Err(Unfit::Type {
                found: found.clone(),
                wanted: scalar,
            });
        }
    })
}

/// Writes NULL, or what `write` does, for each element.
fn each<'a>(
    array: &'a dyn Array,
    write: impl Fn(usize, &mut Vec<u8>) -> Result<(), Unfit> + 'a,
) -> Elements<'a> {
    Box::new(move |range, out| {
        for index in range {
            match array.is_null(index) {
                true => out.extend_from_slice(&NULL),
                false => write(index, out)?,
            }
        }
        Ok(())
    })
}

fn fixed<'a, T: ArrowPrimitiveType, const N: usize>(
    array: &'a PrimitiveArray<T>,
    bytes: impl Fn(T::Native) -> [u8; N] + 'a,
) -> Elements<'a> {
    let length = i32::try_from(N)
        .expect("a number has few bytes")
        .to_be_bytes();
    if array.null_count() > 0 {
        return each(array, move |index, out| {
            out.extend_from_slice(&length);
            out.extend_from_slice(&bytes(array.value(index)));
            Ok(())
        });
    }
    Box::new(move |range, out| {
        out.reserve(range.len() * (length.len() + N));
        for &value in &array.values()[range] {
            out.extend_from_slice(&length);
            out.extend_from_slice(&bytes(value));
        }
        Ok(())
    })
}

/// All integers but the largest unsigned ones fit into an `i64`; those become NUMERIC only.
fn integers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, scalar: Scalar) -> Elements<'_>
where
    i128: From<T::Native>,
{
    match scalar {
        Scalar::Int2 => fixed(array, |value| narrow(value).0),
        Scalar::Int4 => fixed(array, |value| narrow(value).1),
        Scalar::Int8 => fixed(array, |value| narrow(value).2),
        _ => each(array, |index, out| {
            numeric(array.value(index).into(), out);
            Ok(())
        }),
    }
}

/// The value in 2, 4 and 8 bytes, of which the caller takes the one that holds the whole type.
fn narrow(value: impl Into<i128>) -> ([u8; 2], [u8; 4], [u8; 8]) {
    let bytes = value.into().to_be_bytes();
    let tail = |length: usize| &bytes[bytes.len() - length..];
    (
        tail(2).try_into().expect("two bytes"),
        tail(4).try_into().expect("four bytes"),
        tail(8).try_into().expect("eight bytes"),
    )
}

/// NUMERIC: count of digits, weight of the first, sign, digits after the point; digits to base 10,000.
fn numeric(value: i128, out: &mut Vec<u8>) {
    let mut digits = Vec::new();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        digits.push(u16::try_from(rest % 10_000).expect("a remainder of 10,000 fits"));
        rest /= 10_000;
    }
    let count = u16::try_from(digits.len()).expect("ten digits at most");
    let sign: u16 = if value < 0 { 0x4000 } else { 0 };
    out.extend_from_slice(&(8 + 2 * i32::from(count)).to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&count.saturating_sub(1).to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

fn texts(array: &StringArray) -> Elements<'_> {
    each(array, |index, out| {
        bytes(array.value(index).as_bytes(), out)
    })
}

fn binaries(array: &BinaryArray) -> Elements<'_> {
    each(array, |index, out| bytes(array.value(index), out))
}

/// Bytes with their length.
fn bytes(value: &[u8], out: &mut Vec<u8>) -> Result<(), Unfit> {
    out.extend_from_slice(&length(value.len())?);
    out.extend_from_slice(value);
    Ok(())
}

/// JSONB: a version, then the text.
fn jsonb_texts(array: &StringArray) -> Elements<'_> {
    each(array, |index, out| {
        let text = array.value(index);
        out.extend_from_slice(&length(text.len() + 1)?);
        out.push(1);
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })
}

fn times(array: &PrimitiveArray<TimestampMillisecondType>) -> Elements<'_> {
    each(array, |index, out| {
        let millis = array.value(index);
        let micros = millis
            .checked_sub(EPOCH_MILLIS)
            .and_then(|millis| millis.checked_mul(1_000))
            .ok_or(Unfit::Time(millis))?;
        out.extend_from_slice(&8i32.to_be_bytes());
        out.extend_from_slice(&micros.to_be_bytes());
        Ok(())
    })
}

pub(super) fn length(bytes: usize) -> Result<[u8; 4], Unfit> {
    let length = i32::try_from(bytes).map_err(|_| Unfit::TooLong(bytes))?;
    Ok(length.to_be_bytes())
}
