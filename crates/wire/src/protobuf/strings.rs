//! Lists of byte strings in one block: the raw form of `BYTES`, and TensorFlow's `tensor_content`.

use super::ProtobufError;
use super::fields::take_varint;
use super::scalars::too_many;
use crate::VariableData;
use crate::quote::Name;

/// Reads the Open Inference Protocol's form: each element as four bytes of length, little-endian, then
/// its bytes.
pub(super) fn length_prefixed(
    input: &str,
    mut raw: &[u8],
    elements: usize,
) -> Result<VariableData, ProtobufError> {
    // An element takes four bytes at least, so a short message cannot ask for much.
    let mut data = VariableData::with_capacity(elements.min(raw.len() / 4), raw.len());
    while !raw.is_empty() {
        if data.len() == elements {
            return Err(too_many(input, elements));
        }
        let cut = raw.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            rest.split_at_checked(length)
        });
        let (element, rest) = cut.ok_or_else(|| cut_off(input, data.len()))?;
        data.push(element);
        raw = rest;
    }
    match data.len() == elements {
        true => Ok(data),
        false => Err(too_few(input, elements, data.len())),
    }
}

/// Reads TensorFlow's form: the lengths of all elements as base-128 numbers, then the bytes of all.
pub(super) fn lengths_first(
    input: &str,
    mut raw: &[u8],
    elements: usize,
) -> Result<VariableData, ProtobufError> {
    if elements > raw.len() {
        return Err(too_few(input, elements, raw.len()));
    }
    let mut lengths = Vec::with_capacity(elements);
    for _ in 0..elements {
        lengths.push(take_varint(&mut raw).map_err(|_| cut_off(input, lengths.len()))?);
    }
    let mut data = VariableData::with_capacity(elements, raw.len());
    for length in lengths {
        let cut = usize::try_from(length)
            .ok()
            .and_then(|length| raw.split_at_checked(length));
        let (element, rest) = cut.ok_or_else(|| cut_off(input, data.len()))?;
        data.push(element);
        raw = rest;
    }
    match raw.is_empty() {
        true => Ok(data),
        false => Err(too_many(input, elements)),
    }
}

/// Fewer values came than the shape has places for.
pub(super) fn too_few(input: &str, expected: usize, given: usize) -> ProtobufError {
    ProtobufError::invalid(format!(
        "input {}: its shape holds {expected} elements, got {given}",
        Name(input)
    ))
}

fn cut_off(input: &str, element: usize) -> ProtobufError {
    ProtobufError::invalid(format!(
        "input {}: element {element} is cut off by the end of the data",
        Name(input)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(data: Result<VariableData, ProtobufError>) -> Vec<Vec<u8>> {
        data.unwrap().iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn both_forms_are_read_to_the_last_byte() {
        let raw = [&[2, 0, 0, 0][..], b"ab", &[0, 0, 0, 0]].concat();
        assert_eq!(
            elements(length_prefixed("x", &raw, 2)),
            [b"ab".to_vec(), vec![]]
        );
        let content = [&[2, 0][..], b"ab"].concat();
        assert_eq!(
            elements(lengths_first("x", &content, 2)),
            [b"ab".to_vec(), vec![]]
        );
    }

    #[test]
    fn what_is_cut_off_too_few_or_too_many_is_refused() {
        let raw = [&[2, 0, 0, 0][..], b"ab"].concat();
        for end in 1..raw.len() {
            assert!(length_prefixed("x", &raw[..end], 1).is_err(), "{end}");
        }
        assert!(length_prefixed("x", &raw, 0).is_err());
        assert!(length_prefixed("x", &raw, 2).is_err());
        assert!(length_prefixed("x", &[0xff; 4], 1).is_err());
        for bad in [&b"\x02a"[..], b"\x02abc", b"", b"\xff"] {
            assert!(lengths_first("x", bad, 1).is_err(), "{bad:?}");
        }
        assert!(lengths_first("x", b"a", usize::MAX).is_err());
    }
}
