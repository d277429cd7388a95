//! Files that Cluster Serving (Analytics Zoo, BigDL) encrypted: AES-CBC with PKCS#5 padding and a key from PBKDF2 with
//! HMAC-SHA-256 and 65,536 iterations. They carry neither salt nor any proof of who wrote them, and are only read here.
//!
//! Its Scala tools wrote the Base64 of the initialisation vector and the cipher text, and had read the file as text in
//! ISO-8859-1 and written that as UTF-8 before they encrypted it; its Python tools wrote the same without Base64 or
//! without the detour over text. All of these are recognised.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::{Key, VaultError};

const ITERATIONS: u32 = 65_536;
const BLOCK: usize = 16;

/// How a file was encrypted; the file itself does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterServing {
    /// The salt that was given beside the secret.
    pub salt: String,
    /// Length of the AES key.
    pub key_bits: KeyBits,
    /// What the first 16 bytes are.
    pub first_bytes: FirstBytes,
}

/// Length of an AES key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyBits {
    /// 128, the default of Cluster Serving.
    #[default]
    Bits128,
    /// 256, always in its releases before 0.9.
    Bits256,
}

/// What the first 16 bytes of the cipher text are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FirstBytes {
    /// The initialisation vector.
    #[default]
    Vector,
    /// The first block; the initialisation vector is all zeros, as in releases before 0.9.
    Block,
}

impl ClusterServing {
    /// The plain bytes of a whole file.
    ///
    /// # Errors
    /// [`VaultError::Format`] if this cannot be such a file, [`VaultError::WrongKey`] if it does not end as it should; of
    /// 256 wrong keys one is not noticed here, and what comes out is then no model.
    pub fn decrypt(&self, file: &[u8], key: &Key) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let mut bytes = cipher_text(file)?;
        let mut vector = [0; BLOCK];
        let text = match self.first_bytes {
            FirstBytes::Block => &mut bytes[..],
            FirstBytes::Vector => {
                let (first, text) = bytes
                    .split_first_chunk_mut()
                    .ok_or(VaultError::Format("it is too short"))?;
                vector = *first;
                text
            }
        };
        if text.is_empty() || !text.len().is_multiple_of(BLOCK) {
            return Err(VaultError::Format(
                "its length is no multiple of 16 bytes, so it is not AES-CBC",
            ));
        }
        let context = DecryptionContext::Iv128(vector.into());
        let plain = self.cipher(key)?.decrypt(text, context);
        Ok(without_detour(plain.map_err(|_| VaultError::WrongKey)?))
    }

    fn cipher(&self, key: &Key) -> Result<PaddedBlockDecryptingKey, VaultError> {
        let mut derived = Zeroizing::new([0; 32]);
        let (algorithm, bytes) = match self.key_bits {
            KeyBits::Bits128 => (&AES_128, 16),
            KeyBits::Bits256 => (&AES_256, 32),
        };
        let derived = &mut derived.as_mut()[..bytes];
        let iterations = NonZeroU32::new(ITERATIONS).ok_or(VaultError::Library)?;
        key.derive(self.salt.as_bytes(), iterations, derived);
        let unbound = UnboundCipherKey::new(algorithm, derived)?;
        Ok(PaddedBlockDecryptingKey::cbc_pkcs7(unbound)?)
    }
}

/// Base64 where it is that from beginning to end, else the bytes themselves.
fn cipher_text(file: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let text = file.trim_ascii();
    if text.is_empty() {
        return Err(VaultError::Format("it is empty"));
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let bytes = if text.iter().all(is_base64) {
        let decoded = STANDARD.decode(text);
        decoded.map_err(|_| VaultError::Format("its Base64 is cut off or wrong"))?
    } else {
        file.to_vec()
    };
    Ok(Zeroizing::new(bytes))
}

/// Takes the detour over text back: UTF-8 whose characters are all below U+0100 is bytes in ISO-8859-1.
fn without_detour(plain: &[u8]) -> Zeroizing<Vec<u8>> {
    let recoded = std::str::from_utf8(plain).ok().and_then(|text| {
        text.chars()
            .map(|character| u8::try_from(u32::from(character)).ok())
            .collect::<Option<Vec<u8>>>()
    });
    Zeroizing::new(recoded.unwrap_or_else(|| plain.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `cryptography` with tests/make_vectors.py.
    const VECTORS: &str = include_str!("../tests/vectors.txt");
    const PLAIN: &[u8] = b"<net name=\"digits\"/>\n\x00\x80\xff\xfe weights";

    fn check(name: &str, key_bits: KeyBits, first_bytes: FirstBytes) {
        let format = ClusterServing {
            salt: "pinch of salt".to_owned(),
            key_bits,
            first_bytes,
        };
        let base64 = VECTORS
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .expect("the vector is there");
        let key = Key::new("correct horse battery staple").unwrap();
        let raw = STANDARD.decode(base64).unwrap();
        for file in [base64.as_bytes(), &raw] {
            assert_eq!(&**format.decrypt(file, &key).unwrap(), PLAIN, "{name}");
        }
    }

    #[test]
    fn files_of_every_release_are_read() {
        check("scala-128", KeyBits::Bits128, FirstBytes::Vector);
        check("scala-256", KeyBits::Bits256, FirstBytes::Vector);
        check("bytes-128", KeyBits::Bits128, FirstBytes::Vector);
        check("zero-vector-256", KeyBits::Bits256, FirstBytes::Block);
    }

    #[test]
    fn wrong_keys_and_other_files_are_refused() {
        let format = |salt: &str| ClusterServing {
            salt: salt.to_owned(),
            key_bits: KeyBits::Bits128,
            first_bytes: FirstBytes::Vector,
        };
        let vector = VECTORS.lines().next().unwrap();
        let file = vector.split_once(' ').unwrap().1.as_bytes();
        let right = Key::new("correct horse battery staple").unwrap();
        let wrong = Key::new("incorrect horse battery").unwrap();
        for outcome in [
            format("pinch of salt").decrypt(file, &wrong),
            format("no salt").decrypt(file, &right),
        ] {
            assert!(matches!(outcome, Err(VaultError::WrongKey)));
        }
        for file in [&b""[..], b"AAAA", b"<xml>", &file[..file.len() - 4]] {
            let outcome = format("pinch of salt").decrypt(file, &right);
            assert!(matches!(outcome, Err(VaultError::Format(_))), "{outcome:?}");
        }
    }
}
