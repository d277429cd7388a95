//! The format of new files: a header, then chunks of AES-256-GCM that can be neither changed, cut off, repeated nor moved.
//!
//! | Bytes | |
//! |---|---|
//! | 8 | `MRVAULT1`: format, PBKDF2-HMAC-SHA-256 and AES-256-GCM |
//! | 4 | iterations of PBKDF2, big-endian |
//! | 4 | plain bytes of a chunk, big-endian |
//! | 16 | salt of PBKDF2 |
//! | 7 | first bytes of every nonce |
//! | 16 | tag of an empty message of kind 2 and number 0, which tells a wrong key from a changed file |
//! | … | chunks: cipher text and tag of 16 bytes each; the last one is shorter, perhaps empty |
//!
//! A nonce is the 7 bytes, the number of the chunk (4 bytes, big-endian) and its kind: 0, or 1 for the last. The first 39
//! bytes of the header are authenticated with every message.

use std::io::{Read, Write};
use std::num::NonZeroU32;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::{Key, VaultError};

/// The first bytes of every such file.
pub const MAGIC: &[u8; 8] = b"MRVAULT1";
/// As OWASP recommends for PBKDF2-HMAC-SHA-256.
const ITERATIONS: u32 = 600_000;
/// A header that says more would keep a reader busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;
const CHUNK_BYTES: u32 = 1 << 20;
const MOST_CHUNK_BYTES: u32 = 16 << 20;
const HEADER: usize = 8 + 4 + 4 + 16 + 7;
const TAG: usize = 16;

/// What a chunk is.
#[derive(Clone, Copy)]
enum Kind {
    Inner = 0,
    Last = 1,
    Check = 2,
}

/// Whether a file that begins with `first` (at least 8 bytes) is in this format.
pub fn is_encrypted(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// Reads plain bytes to their end and writes them encrypted. Answers how many plain bytes there were.
///
/// # Errors
/// [`VaultError::ShortKey`], or [`VaultError::Io`] from either side.
pub fn encrypt(plain: impl Read, sealed: impl Write, key: &Key) -> Result<u64, VaultError> {
    key.check_length()?;
    seal(plain, sealed, key, ITERATIONS)
}

fn seal(
    mut plain: impl Read,
    mut sealed: impl Write,
    key: &Key,
    iterations: u32,
) -> Result<u64, VaultError> {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&iterations.to_be_bytes());
    header[12..16].copy_from_slice(&CHUNK_BYTES.to_be_bytes());
    rand::fill(&mut header[16..])?;
    let cipher = Cipher::new(header, key)?;
    sealed.write_all(&header)?;
    let mut check = Vec::new();
    cipher.seal(0, Kind::Check, &mut check)?;
    sealed.write_all(&check)?;
    let mut bytes = 0;
    let mut chunk = Zeroizing::new(Vec::new());
    let mut next = Zeroizing::new(Vec::new());
    fill(&mut plain, &mut chunk, CHUNK_BYTES.into())?;
    for number in 0.. {
        fill(&mut plain, &mut next, CHUNK_BYTES.into())?;
        bytes += chunk.len() as u64;
        let kind = if next.is_empty() {
            Kind::Last
        } else {
            Kind::Inner
        };
        cipher.seal(number, kind, &mut chunk)?;
        sealed.write_all(&chunk)?;
        if matches!(kind, Kind::Last) {
            break;
        }
        std::mem::swap(&mut chunk, &mut next);
    }
    sealed.flush()?;
    Ok(bytes)
}

/// Reads what [`encrypt`] wrote and writes the plain bytes. What was written before an error must not be used.
///
/// # Errors
/// [`VaultError::WrongKey`], [`VaultError::Damaged`], [`VaultError::Format`], or [`VaultError::Io`] from either side.
pub fn decrypt(mut sealed: impl Read, mut plain: impl Write, key: &Key) -> Result<u64, VaultError> {
    let mut start = Vec::new();
    fill(&mut sealed, &mut start, (HEADER + TAG) as u64)?;
    let (Some((header, check)), true) = (start.split_first_chunk(), is_encrypted(&start)) else {
        return Err(VaultError::Format("it does not begin with MRVAULT1"));
    };
    let cipher = Cipher::new(*header, key)?;
    let mut check = check.to_vec();
    if check.len() != TAG || cipher.open(0, Kind::Check, &mut check).is_err() {
        return Err(VaultError::WrongKey);
    }
    let sealed_bytes = u64::from(cipher.chunk_bytes) + TAG as u64;
    let mut bytes = 0;
    let mut chunk = Zeroizing::new(Vec::new());
    let mut next = Zeroizing::new(Vec::new());
    fill(&mut sealed, &mut chunk, sealed_bytes)?;
    for number in 0.. {
        fill(&mut sealed, &mut next, sealed_bytes)?;
        let kind = if next.is_empty() {
            Kind::Last
        } else {
            Kind::Inner
        };
        let opened = cipher.open(number, kind, &mut chunk);
        let content = opened.map_err(|_| VaultError::Damaged { at: bytes })?;
        plain.write_all(content)?;
        bytes += content.len() as u64;
        if matches!(kind, Kind::Last) {
            break;
        }
        std::mem::swap(&mut chunk, &mut next);
    }
    plain.flush()?;
    Ok(bytes)
}

struct Cipher {
    header: [u8; HEADER],
    chunk_bytes: u32,
    key: LessSafeKey,
}

impl Cipher {
    fn new(header: [u8; HEADER], key: &Key) -> Result<Self, VaultError> {
        let number = |at: usize| {
            let bytes = header[at..].first_chunk().copied();
            bytes.map_or(0, u32::from_be_bytes)
        };
        let chunk_bytes = number(12);
        let iterations = NonZeroU32::new(number(8))
            .filter(|iterations| iterations.get() <= MOST_ITERATIONS)
            .ok_or(VaultError::Format("an impossible number of iterations"))?;
        if !(1..=MOST_CHUNK_BYTES).contains(&chunk_bytes) {
            return Err(VaultError::Format("an impossible size of chunks"));
        }
        let mut derived = Zeroizing::new([0; 32]);
        key.derive(&header[16..32], iterations, derived.as_mut());
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_ref())?);
        Ok(Self {
            header,
            chunk_bytes,
            key,
        })
    }

    /// Encrypts in place and appends the tag.
    fn seal(&self, number: u32, kind: Kind, chunk: &mut Vec<u8>) -> Result<(), VaultError> {
        let aad = Aad::from(&self.header);
        let nonce = self.nonce(number, kind);
        Ok(self.key.seal_in_place_append_tag(nonce, aad, chunk)?)
    }

    fn open<'c>(
        &self,
        number: u32,
        kind: Kind,
        chunk: &'c mut [u8],
    ) -> Result<&'c [u8], VaultError> {
        let aad = Aad::from(&self.header);
        let nonce = self.nonce(number, kind);
        Ok(self.key.open_in_place(nonce, aad, chunk)?)
    }

    fn nonce(&self, number: u32, kind: Kind) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..7].copy_from_slice(&self.header[32..]);
        nonce[7..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = kind as u8;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Reads up to `bytes` bytes into an emptied buffer; fewer only at the end.
fn fill(from: &mut impl Read, buffer: &mut Vec<u8>, bytes: u64) -> Result<(), VaultError> {
    buffer.clear();
    from.take(bytes).read_to_end(buffer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn key() -> Key {
        Key::new("correct horse battery staple").unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let bytes = seal(plain, &mut sealed, &key(), 10).unwrap();
        assert_eq!(bytes, plain.len() as u64);
        sealed
    }

    fn opened(sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut plain = Vec::new();
        decrypt(sealed, &mut plain, &key())?;
        Ok(plain)
    }

    /// Of this many bytes, all different from their neighbours.
    fn plain(bytes: usize) -> Vec<u8> {
        (0..=250).cycle().take(bytes).collect()
    }

    #[test]
    fn what_is_encrypted_comes_back_whatever_its_size() {
        let chunk = CHUNK_BYTES as usize;
        for bytes in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 5] {
            let plain = plain(bytes);
            let sealed = sealed(&plain);
            assert!(is_encrypted(&sealed));
            assert_eq!(opened(&sealed).unwrap(), plain, "{bytes}");
        }
    }

    #[test]
    fn new_files_cost_whoever_guesses_keys() {
        let mut sealed = Vec::new();
        encrypt(&b"weights"[..], &mut sealed, &key()).unwrap();
        assert_eq!(sealed[8..12], 600_000_u32.to_be_bytes());
        assert_eq!(opened(&sealed).unwrap(), b"weights");
    }

    #[test]
    fn what_another_library_wrote_by_the_description_is_read() {
        let vectors = include_str!("../tests/vectors.txt");
        let vector = vectors
            .lines()
            .find_map(|line| line.strip_prefix("sealed "));
        let file = STANDARD.decode(vector.unwrap()).unwrap();
        let plain = b"<net name=\"digits\"/>\n\x00\x80\xff\xfe weights";
        assert_eq!(opened(&file).unwrap(), plain);
    }

    #[test]
    fn the_same_bytes_are_never_encrypted_alike() {
        assert_ne!(sealed(b"abc"), sealed(b"abc"));
    }

    #[test]
    fn a_wrong_key_is_told_from_a_changed_file() {
        let mut sealed = sealed(&plain(100));
        let mut nothing = Vec::new();
        let other = Key::new("incorrect horse battery").unwrap();
        let error = decrypt(&sealed[..], &mut nothing, &other).unwrap_err();
        assert!(matches!(error, VaultError::WrongKey), "{error}");
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(matches!(opened(&sealed), Err(VaultError::Damaged { .. })));
        assert!(nothing.is_empty());
    }

    #[test]
    fn chunks_cannot_be_cut_off_repeated_or_moved() {
        let chunk = CHUNK_BYTES as usize + TAG;
        let start = HEADER + TAG;
        let whole = sealed(&plain(3 * CHUNK_BYTES as usize));
        let (header, body) = whole.split_at(start);
        let of = |order: &[usize]| {
            let mut file = header.to_vec();
            for index in order {
                file.extend(&body[index * chunk..(index + 1) * chunk]);
            }
            opened(&file)
        };
        assert!(of(&[0, 1, 2]).is_ok());
        for order in [
            &[0, 1][..],
            &[1, 0, 2],
            &[0, 1, 2, 2],
            &[0, 0, 1, 2],
            &[2],
            &[],
        ] {
            let outcome = of(order);
            assert!(
                matches!(outcome, Err(VaultError::Damaged { .. })),
                "{order:?}"
            );
        }
    }

    #[test]
    fn every_changed_byte_of_a_header_is_noticed() {
        let whole = sealed(b"weights");
        for at in (0..HEADER + TAG).filter(|at| !(8..11).contains(at)) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(opened(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn headers_that_ask_for_much_work_or_memory_are_refused() {
        let whole = sealed(b"weights");
        for (at, value) in [(8, u32::MAX), (8, 0), (12, u32::MAX), (12, 0)] {
            let mut changed = whole.clone();
            changed[at..at + 4].copy_from_slice(&value.to_be_bytes());
            assert!(matches!(opened(&changed), Err(VaultError::Format(_))));
        }
        assert!(matches!(opened(b"MRVAULT1"), Err(VaultError::Format(_))));
        assert!(matches!(opened(b""), Err(VaultError::Format(_))));
    }
}
