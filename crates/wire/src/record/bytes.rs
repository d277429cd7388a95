//! Reads of little-endian integers from payload bytes at any alignment.

use std::ops::Range;

/// Bytes per offset: `List`, `Utf8` and `Binary` have 4, their `Large` forms 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Four,
    Eight,
}

impl Width {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// Offsets into the next level, one more than there are lists; checked to be monotone and in range.
#[derive(Debug, Clone)]
pub(super) struct Offsets {
    /// Payload byte of offset 0; `None` for the empty list, whose offsets may be absent.
    pub(super) at: Option<usize>,
    pub(super) width: Width,
}

impl Offsets {
    /// Offset `index`, which the caller knows to exist.
    pub(super) fn get(&self, payload: &[u8], index: usize) -> usize {
        let Some(at) = self.at else {
            return 0;
        };
        let start = at + index * self.width.bytes();
        let value = match self.width {
            Width::Four => usize::try_from(i32::from_le_bytes(read(payload, start))),
            Width::Eight => usize::try_from(i64::from_le_bytes(read(payload, start))),
        };
        value.expect("offsets were checked when the record was decoded")
    }

    /// The next level's items that belong to `items` of this level.
    pub(super) fn span(&self, payload: &[u8], items: Range<usize>) -> Range<usize> {
        self.get(payload, items.start)..self.get(payload, items.end)
    }
}

/// One level of lists.
#[derive(Debug)]
pub(super) enum Lists {
    /// Every list has this many items.
    Fixed(usize),
    Offsets(Offsets),
}

impl Lists {
    /// The items within consecutive lists of this level.
    pub(super) fn inner(&self, payload: &[u8], lists: Range<usize>) -> Range<usize> {
        match self {
            Self::Fixed(size) => lists.start * size..lists.end * size,
            Self::Offsets(offsets) => offsets.span(payload, lists),
        }
    }
}

/// The signed integer of this width at `index` of an array that begins at payload byte `at`.
pub(super) fn read_integer(payload: &[u8], width: Width, (at, index): (usize, usize)) -> i64 {
    let start = at + index * width.bytes();
    match width {
        Width::Four => i32::from_le_bytes(read(payload, start)).into(),
        Width::Eight => i64::from_le_bytes(read(payload, start)),
    }
}

/// The int32 at `index` of an array that begins at payload byte `at`.
pub(super) fn read_i32(payload: &[u8], at: usize, index: usize) -> i32 {
    i32::from_le_bytes(read(payload, at + index * 4))
}

fn read<const N: usize>(payload: &[u8], start: usize) -> [u8; N] {
    payload[start..start + N]
        .try_into()
        .expect("a slice of N bytes is an array of N bytes")
}
