//! Integers, exact for every width: no way through a float, never wrapped, never rounded.

use std::marker::PhantomData;

use arrow::datatypes::ArrowNativeType;

use super::digits::leading_8;
use super::element::{Element, ends_number};
use super::number::{Decimal, Number, read_number};
use super::stop::{Fault, Read, Stop};

/// The integer type `T`.
pub(super) struct Integer<T>(PhantomData<T>);

impl<T: ArrowNativeType + TryFrom<i32> + TryFrom<i128>> Element for Integer<T> {
    type Native = T;

    #[inline]
    fn read(bytes: &[u8], at: usize) -> Read<T> {
        let (value, end) = match read_short(bytes, at) {
            Some((value, end)) => (T::try_from(value).ok(), end),
            None => {
                let (value, end) = read_long(bytes, at)?;
                (T::try_from(value).ok(), end)
            }
        };
        match value {
            Some(value) => Ok((value, end)),
            None => Err(out_of_range(at)),
        }
    }
}

#[cold]
fn out_of_range(at: usize) -> Stop {
    Stop {
        fault: Fault::OutOfRange,
        at,
    }
}

/// Integers of up to seven digits that are not at the very end of the body.
#[inline]
fn read_short(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let negative = *bytes.get(at)? == b'-';
    let start = at + usize::from(negative);
    let window = bytes.get(start..)?.first_chunk::<8>()?;
    let (count, value) = leading_8(*window);
    let after = *window.get(count)?;
    let leading_zero = window[0] == b'0' && count > 1;
    if count == 0 || leading_zero || !ends_number(after) {
        return None;
    }
    let value = i32::try_from(value).ok()?;
    Some((if negative { -value } else { value }, start + count))
}

#[cold]
fn read_long(bytes: &[u8], at: usize) -> Read<i128> {
    let (number, end) = read_number(bytes, at)?;
    match number {
        Number::Finite(decimal) if decimal.integer => match exact(bytes, at..end, decimal) {
            Some(value) => Ok((value, end)),
            None => Err(out_of_range(at)),
        },
        _ => Err(Stop {
            fault: Fault::WrongType,
            at,
        }),
    }
}

/// The value of an integer token; twenty digits may still be an unsigned 64-bit integer.
fn exact(bytes: &[u8], token: std::ops::Range<usize>, decimal: Decimal) -> Option<i128> {
    if !decimal.exact {
        return str::from_utf8(bytes.get(token)?).ok()?.parse().ok();
    }
    let value = i128::from(decimal.mantissa);
    Some(if decimal.negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(json: &str, expected: Result<T, Fault>)
    where
        T: ArrowNativeType + TryFrom<i32> + TryFrom<i128>,
    {
        for padding in ["", ",1,2,3,4,5,6,7,8,9,0,1,2", "   ]", "]"] {
            let body = format!("{json}{padding}");
            match (Integer::<T>::read(body.as_bytes(), 0), expected) {
                (Ok((value, end)), Ok(expected)) => {
                    assert_eq!(value, expected, "{body}");
                    assert_eq!(end, json.len(), "{body}");
                }
                (Err(stop), Err(fault)) => assert_eq!(stop.fault, fault, "{body}"),
                (read, expected) => panic!("{body}: {read:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn every_width_is_checked_at_both_ends() {
        check::<u8>("255", Ok(255));
        check::<u8>("256", Err(Fault::OutOfRange));
        check::<u8>("-1", Err(Fault::OutOfRange));
        check::<u8>("-0", Ok(0));
        check::<i8>("-128", Ok(-128));
        check::<i8>("-129", Err(Fault::OutOfRange));
        check::<i16>("32768", Err(Fault::OutOfRange));
        check::<u16>("65535", Ok(65535));
        check::<i32>("-2147483648", Ok(i32::MIN));
        check::<i32>("2147483648", Err(Fault::OutOfRange));
        check::<u32>("4294967295", Ok(u32::MAX));
        check::<u32>("4294967296", Err(Fault::OutOfRange));
        check::<i64>("9223372036854775807", Ok(i64::MAX));
        check::<i64>("-9223372036854775808", Ok(i64::MIN));
        check::<i64>("9223372036854775808", Err(Fault::OutOfRange));
        check::<u64>("18446744073709551615", Ok(u64::MAX));
        check::<u64>("18446744073709551616", Err(Fault::OutOfRange));
        check::<i64>("9007199254740993", Ok(9_007_199_254_740_993));
        check::<u64>(&"9".repeat(60), Err(Fault::OutOfRange));
    }

    #[test]
    fn decimals_exponents_and_tokens_are_no_integers() {
        for json in ["1.5", "1.0", "1e2", "100.0", "-1E2", "NaN", "Infinity"] {
            check::<i32>(json, Err(Fault::WrongType));
        }
    }
}
