//! The fields of one protobuf message, in place.

use super::ProtobufError;

/// One field: its number and its value, not yet known to be of the right type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
}

/// A value as the wire knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(&'a [u8]),
    Fixed32(&'a [u8]),
    /// Bytes, text, a message or packed scalars.
    Bytes(&'a [u8]),
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = take_varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        if number == 0 {
            return Err(malformed("a field number is out of range"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => Value::Fixed64(take(&mut self.rest, 8)?),
            2 => {
                let length = take_varint(&mut self.rest)?;
                Value::Bytes(take(&mut self.rest, length)?)
            }
            5 => Value::Fixed32(take(&mut self.rest, 4)?),
            _ => return Err(malformed("a field has an unknown wire type")),
        };
        Ok(Some(Field { number, value }))
    }
}

impl<'a> Field<'a> {
    /// The bytes of a field that must be bytes or a message.
    pub(super) fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(malformed("a field has the wrong wire type")),
        }
    }

    /// The text of a field that must be text; `what` names it in the refusal.
    pub(super) fn text(&self, what: &str) -> Result<&'a str, ProtobufError> {
        let bytes = self.bytes()?;
        simdutf8::basic::from_utf8(bytes)
            .map_err(|_| ProtobufError::invalid(format!("{what} is not UTF-8")))
    }

    /// The number of a field that must be an integer, an enumeration or a boolean.
    pub(super) fn varint(&self) -> Result<u64, ProtobufError> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(malformed("a field has the wrong wire type")),
        }
    }

    /// The same as a signed number.
    pub(super) fn int64(&self) -> Result<i64, ProtobufError> {
        Ok(self.varint()?.cast_signed())
    }

    /// Appends a `repeated int64` field, packed or not; refuses more than `limit` numbers in all.
    pub(super) fn int64s(
        &self,
        into: &mut Vec<i64>,
        limit: usize,
        what: &str,
    ) -> Result<(), ProtobufError> {
        let mut push = |number: u64| {
            into.push(number.cast_signed());
            super::check_count(into.len(), limit, what)
        };
        match self.value {
            Value::Varint(number) => push(number),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    push(take_varint(&mut packed)?)?;
                }
                Ok(())
            }
            _ => Err(malformed("a field has the wrong wire type")),
        }
    }
}

/// Takes one base-128 number from the front.
pub(super) fn take_varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut number = 0u64;
    for (index, &byte) in rest.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            break;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Ok(number);
        }
    }
    Err(malformed("a number ends too early or is too long"))
}

fn take<'a>(rest: &mut &'a [u8], length: impl TryInto<usize>) -> Result<&'a [u8], ProtobufError> {
    let parts = length
        .try_into()
        .ok()
        .and_then(|length| rest.split_at_checked(length));
    let Some((taken, left)) = parts else {
        return Err(malformed(
            "a field is longer than the message that holds it",
        ));
    };
    *rest = left;
    Ok(taken)
}

pub(super) fn malformed(what: &str) -> ProtobufError {
    ProtobufError::invalid(format!("message is not well-formed protobuf: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Result<Vec<Field<'_>>, ProtobufError> {
        let mut fields = Fields::of(message);
        let mut all = Vec::new();
        while let Some(field) = fields.next()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn every_wire_type_is_read() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7,
            8,
        ];
        let expected = vec![
            Field {
                number: 1,
                value: Value::Varint(150),
            },
            Field {
                number: 2,
                value: Value::Bytes(b"hi"),
            },
            Field {
                number: 3,
                value: Value::Fixed32(&[1, 2, 3, 4]),
            },
            Field {
                number: 4,
                value: Value::Fixed64(&[1, 2, 3, 4, 5, 6, 7, 8]),
            },
        ];
        assert_eq!(all(&message), Ok(expected));
        for end in 1..message.len() {
            let whole = [3, 7, 12].contains(&end);
            assert_eq!(all(&message[..end]).is_ok(), whole, "{end}");
        }
    }

    #[test]
    fn the_largest_number_is_read_and_a_larger_one_refused() {
        let largest = [&[0xff; 9][..], &[0x01]].concat();
        assert_eq!(take_varint(&mut &largest[..]), Ok(u64::MAX));
        let larger = [&[0xff; 9][..], &[0x02]].concat();
        assert!(take_varint(&mut &larger[..]).is_err());
        assert!(take_varint(&mut &[0x80; 11][..]).is_err());
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        for tag in [0x0b, 0x0c, 0x0e, 0x0f, 0x00, 0x02] {
            assert!(all(&[tag, 0]).is_err(), "{tag}");
        }
    }

    #[test]
    fn a_length_beyond_any_memory_is_refused() {
        let message = [&[0x12][..], &[0xff; 9], &[0x01]].concat();
        assert!(all(&message).is_err());
    }
}
