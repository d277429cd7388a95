//! Integers, exact for every width: no way through a float, never wrapped, never rounded.

use std::marker::PhantomData;

use arrow::datatypes::ArrowNativeType;

use super::digits::{leading_8, leading_16, tail, window};
use super::element::{Element, ends_number};
use super::number::{Decimal, Number, read_number};
use super::stop::{Fault, Read, Stop};

/// The integer type `T`.
pub(super) struct Integer<T>(PhantomData<T>);

impl<T: ArrowNativeType + TryFrom<i32> + TryFrom<i128>> Element for Integer<T> {
    type Native = T;

    #[inline(always)]
    fn read(bytes: &[u8], at: usize) -> Read<T> {
        let read = if size_of::<T>() > size_of::<i32>() {
            read_wide(bytes, at).map(|(value, end)| (T::try_from(value).ok(), end))
        } else {
            read_short::<T>(bytes, at).map(|(value, end)| (T::try_from(value).ok(), end))
        };
        match read {
            Some((Some(value), end)) => Ok((value, end)),
            Some((None, _)) => Err(out_of_range(at)),
            None => read_long(bytes, at),
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

/// Integers of up to seven digits; unsigned types leave a minus to the long way.
#[inline(always)]
fn read_short<T: TryFrom<i32>>(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let signed = T::try_from(-1).is_ok();
    let end_of_body;
    let window: &[u8; 8] = match window(bytes, at) {
        Some(window) => window,
        None => {
            end_of_body = tail(bytes, at);
            &end_of_body
        }
    };
    let negative = signed && window[0] == b'-';
    let text = u64::from_le_bytes(*window) >> (8 * u32::from(negative));
    let text = text.to_le_bytes();
    let (count, value) = leading_8(text);
    let after = *text.get(count)?;
    let leading_zero = text[0] == b'0' && count > 1;
    if count == 0 || leading_zero || !ends_number(after) {
        return None;
    }
    let value = i32::try_from(value).ok()?;
    let end = at + usize::from(negative) + count;
    Some((if negative { -value } else { value }, end))
}

/// Integers of up to nineteen digits.
#[inline(always)]
fn read_wide(bytes: &[u8], at: usize) -> Option<(i128, usize)> {
    const MAX_DIGITS: usize = 19;
    let negative = *bytes.get(at)? == b'-';
    let start = at + usize::from(negative);
    let end_of_body;
    let window: &[u8; MAX_DIGITS + 1] = match window(bytes, start) {
        Some(window) => window,
        None => {
            end_of_body = tail(bytes, start);
            &end_of_body
        }
    };
    let (mut count, mut value) =
        leading_16(*window.first_chunk::<16>()?.as_chunks().0.first_chunk()?);
    while (16..MAX_DIGITS).contains(&count) && window[count].is_ascii_digit() {
        value = value * 10 + u64::from(window[count] - b'0');
        count += 1;
    }
    let leading_zero = window[0] == b'0' && count > 1;
    if count == 0 || leading_zero || !ends_number(window[count]) {
        return None;
    }
    let value = i128::from(value);
    Some((if negative { -value } else { value }, start + count))
}

#[cold]
fn read_long<T: TryFrom<i128>>(bytes: &[u8], at: usize) -> Read<T> {
    let (number, end) = read_number(bytes, at)?;
    match number {
        Number::Finite(decimal) if decimal.integer => {
            let value = exact(bytes, at..end, decimal).and_then(|value| T::try_from(value).ok());
            value
                .map(|value| (value, end))
                .ok_or_else(|| out_of_range(at))
        }
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
