//! A look at a model's bytes before they are decoded: how many messages there are, and how deep they lie in each other.
//!
//! A message of two bytes becomes some hundred bytes of memory, so a small file could ask for all of it.

/// More messages than any model has; a layer has some tens of them.
const MAX_MESSAGES: usize = 1 << 20;
const MAX_DEPTH: usize = 100;

/// The messages that hold others.
#[derive(Clone, Copy)]
enum Kind {
    Module,
    Entry,
    Attr,
    Array,
    Named,
    Shape,
    Tensor,
    Other,
}

/// That decoding the model takes no more memory than its size lets expect.
///
/// # Errors
///
/// A sentence why it does not, or why these are no messages at all.
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let mut left = MAX_MESSAGES;
    look(Kind::Module, bytes, (MAX_DEPTH, &mut left))
}

fn look(kind: Kind, bytes: &[u8], (depth, left): (usize, &mut usize)) -> Result<(), &'static str> {
    *left = left
        .checked_sub(1)
        .ok_or("it has more than a million parts")?;
    let depth = depth
        .checked_sub(1)
        .ok_or("its parts lie too deep in each other")?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => {
                varint(&mut rest)?;
            }
            1 => {
                take(&mut rest, 8)?;
            }
            5 => {
                take(&mut rest, 4)?;
            }
            2 => {
                let length = varint(&mut rest)?;
                let inner = take(&mut rest, length)?;
                match inside(kind, key >> 3) {
                    Some(inside) => look(inside, inner, (depth, left))?,
                    // Texts are short and lists of them long.
                    None if inner.len() < 8 => {
                        *left = left
                            .checked_sub(1)
                            .ok_or("it has more than a million parts")?
                    }
                    None => {}
                }
            }
            _ => return Err("it has a field of unknown type"),
        }
    }
    Ok(())
}

/// What lies in a field, by the numbers of `messages.rs`.
fn inside(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Module, 2) | (Kind::Attr, 13) => Kind::Module,
        (Kind::Module, 3 | 4 | 16) | (Kind::Attr | Kind::Array, 10) => Kind::Tensor,
        (Kind::Module, 8) | (Kind::Named, 2) => Kind::Entry,
        (Kind::Module, 13) | (Kind::Attr, 18) | (Kind::Shape, 4) => Kind::Shape,
        (Kind::Entry, 2) => Kind::Attr,
        (Kind::Attr, 14) => Kind::Named,
        (Kind::Attr, 15) => Kind::Array,
        (Kind::Tensor, 8) => Kind::Other,
        _ => return None,
    })
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], &'static str> {
    const SHORT: &str = "it ends too early";
    let length = usize::try_from(length).map_err(|_| SHORT)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(SHORT)?;
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("it has a number of more than ten bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_empty_parts_are_refused() {
        assert!(check(&[0x12, 0x00].repeat(1000)).is_ok());
        assert!(check(&[0x12, 0x00].repeat(MAX_MESSAGES + 1)).is_err());
    }

    #[test]
    fn parts_within_parts_are_refused_at_some_depth() {
        let mut bytes = Vec::new();
        for _ in 0..60 {
            let length = u8::try_from(bytes.len()).unwrap();
            bytes.splice(0..0, [0x12, length]);
        }
        assert!(check(&bytes).is_ok());
        let mut deep = Vec::new();
        for _ in 0..200 {
            let length = deep.len();
            let long = [
                0x12,
                u8::try_from(length % 128).unwrap() | 0x80,
                u8::try_from(length / 128).unwrap(),
            ];
            deep.splice(0..0, long);
        }
        assert!(check(&deep).is_err());
    }

    #[test]
    fn what_ends_early_is_refused() {
        for bad in [&[0x12, 0x05, 0x00][..], &[0x80], &[0x0b], &[0xff; 11]] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
