//! What goes between a process and the one in which it tries something: a kind, a length, that many bytes.

use std::io::{self, Read, Write};

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The model is loaded. No bytes.
    Loaded,
    /// The model cannot be loaded; a sentence.
    NotLoaded,
    /// Inputs, as an Arrow record.
    Inputs,
    /// Outputs, as an Arrow record.
    Outputs,
    /// The model blames the inputs; a sentence.
    Refused,
    /// The run failed; a sentence.
    Failed,
}

const KINDS: [Kind; 6] = [
    Kind::Loaded,
    Kind::NotLoaded,
    Kind::Inputs,
    Kind::Outputs,
    Kind::Refused,
    Kind::Failed,
];

/// Writes one frame.
///
/// # Errors
/// When the other side has ended.
pub(super) fn write(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let number = KINDS
        .iter()
        .position(|known| *known == kind)
        .and_then(|at| u8::try_from(at).ok());
    let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&[number.unwrap_or(u8::MAX)])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

/// Reads one frame; `None` where the other side has ended.
///
/// # Errors
/// When it ends within a frame, or the bytes are none of ours.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut number = [0];
    if from.read(&mut number)? == 0 {
        return Ok(None);
    }
    let kind = KINDS.get(usize::from(number[0]));
    let kind = *kind.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    // Memory is taken as bytes arrive, whatever the length says.
    if u64::try_from(from.take(length).read_to_end(&mut bytes)?).is_ok_and(|read| read < length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut bytes = Vec::new();
        for (number, kind) in KINDS.into_iter().enumerate() {
            write(&mut bytes, kind, &vec![7; number]).unwrap();
        }
        let mut from = bytes.as_slice();
        for (number, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(read(&mut from).unwrap(), Some((kind, vec![7; number])));
        }
        assert_eq!(read(&mut from).unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_cut_or_not_ours_is_an_error() {
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Failed, b"no").unwrap();
        for end in 1..bytes.len() {
            assert!(read(&mut &bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&mut [b'x'].as_slice()).is_err());
        let huge = [&[0][..], &u64::MAX.to_le_bytes(), b"few"].concat();
        assert!(read(&mut huge.as_slice()).is_err());
    }
}
