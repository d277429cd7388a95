//! Headers of a record whose value lies in a store: where it is, how long it is, and what it must hash to.

use super::values::{Room, Values, bad_value, push};
use super::{CLAIM, CLAIM_LENGTH, CLAIM_SHA256, HeaderError, Pair};

/// The most bytes of a path.
pub const MAX_CLAIM_PATH_BYTES: usize = 255;
/// The most folders that a path leads through, with the name at its end.
const MAX_SEGMENTS: usize = 8;

/// A value that is not in its record but in the store of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Where in the store: names of letters, digits, `.`, `_` and `-` with `/` between them, none of which begins with
    /// a dot. So it never leads out of the store.
    pub path: String,
    /// Bytes of the value, at least 1.
    pub length: u64,
    /// What the value hashes to.
    pub sha256: [u8; 32],
}

const NAMES: [&str; 3] = [CLAIM, CLAIM_LENGTH, CLAIM_SHA256];

/// Records are counted where their other headers are read.
const ANY: Room = Room {
    headers: usize::MAX / 2,
    bytes: usize::MAX / 2,
};

impl Claim {
    /// Reads the headers of a record that has no value of its own; `None` if it has no claim either.
    ///
    /// # Errors
    /// One of the three headers is missing, occurs twice or has a value that it cannot have.
    pub fn parse<'a>(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Option<Self>, HeaderError> {
        let values = Values::collect(NAMES, headers, ANY)?;
        let texts = [
            values.utf8(CLAIM)?,
            values.utf8(CLAIM_LENGTH)?,
            values.utf8(CLAIM_SHA256)?,
        ];
        if texts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [Some(path), Some(_), Some(sha256)] = texts else {
            let missing = NAMES.iter().zip(texts).find(|(_, text)| text.is_none());
            let name = missing.map_or(CLAIM, |(name, _)| name);
            return Err(HeaderError::Missing { name });
        };
        if !is_claim_path(path) {
            return Err(bad_value(CLAIM, PATH, Some(path.as_bytes())));
        }
        let length = values.number(CLAIM_LENGTH, LENGTH)?.unwrap_or(0);
        if length == 0 {
            return Err(bad_value(CLAIM_LENGTH, LENGTH, Some(b"0")));
        }
        let digest = digest(sha256)
            .ok_or_else(|| bad_value(CLAIM_SHA256, DIGEST, Some(sha256.as_bytes())))?;
        Ok(Some(Self {
            path: path.to_owned(),
            length,
            sha256: digest,
        }))
    }

    /// The headers to write, beside an empty value.
    pub fn to_pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::with_capacity(NAMES.len());
        push(&mut pairs, CLAIM, Some(&self.path));
        push(&mut pairs, CLAIM_LENGTH, Some(self.length));
        push(&mut pairs, CLAIM_SHA256, Some(self.sha256_text()));
        pairs
    }

    /// 64 lower-case hexadecimal digits.
    pub fn sha256_text(&self) -> String {
        self.sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

const PATH: &str = "a path within the store: up to 8 names of letters, digits, '.', '_' and '-', none of which begins with a dot";
const LENGTH: &str = "a number of bytes, at least 1";
const DIGEST: &str = "64 lower-case hexadecimal digits";

/// Whether a path stays within its store, whatever the store makes of paths.
pub fn is_claim_path(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    path.len() <= MAX_CLAIM_PATH_BYTES
        && path.split('/').count() <= MAX_SEGMENTS
        && path.split('/').all(is_name)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
