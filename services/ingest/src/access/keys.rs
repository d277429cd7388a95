//! API keys: a file that names each by its SHA-256, so that whoever reads the
//! file cannot ask in a caller's name. A plain hash is enough because the keys
//! are 256 random bits (`millrace access new-key`), never passwords.

use std::collections::HashSet;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::credentials::Presented;
use super::permissions::{Caller, Grant, Pattern, Right};

const MAX_KEYS: usize = 10_000;

/// Why a file of keys cannot be used. Nothing of the file is quoted but names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("is not UTF-8 text")]
    NotText,
    #[error(
        "line {line} is not understood; each key is a table [[keys]] with name, sha256, models and rights"
    )]
    Syntax { line: usize },
    #[error("has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("key number {number} has no name of 1 to 64 visible ASCII characters")]
    Name { number: usize },
    #[error("name {name:?} stands twice")]
    NameTwice { name: String },
    #[error("sha256 of key {name:?} is not 64 hexadecimal digits")]
    Digest { name: String },
    #[error("sha256 of key {name:?} stands twice")]
    DigestTwice { name: String },
    #[error("models of key {name:?} has an entry of no or too many letters")]
    Model { name: String },
    #[error("rights of key {name:?} may hold predict, read and control only")]
    Right { name: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    models: Vec<String>,
    rights: Vec<String>,
}

struct Key {
    digest: [u8; 32],
    caller: Caller,
}

/// All keys of a file.
pub(crate) struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// [`KeyFileError`]: one wrong entry refuses the whole file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyFileError::NotText)?;
        let file: File = toml::from_str(text).map_err(|error| {
            let begins = error.span().map_or(0, |span| span.start);
            let before = text.get(..begins).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            KeyFileError::Syntax { line }
        })?;
        if file.keys.len() > MAX_KEYS {
            return Err(KeyFileError::TooMany);
        }
        let (mut names, mut digests) = (HashSet::new(), HashSet::new());
        let mut keys = Vec::with_capacity(file.keys.len());
        for (index, entry) in file.keys.into_iter().enumerate() {
            let key = entry.key(index + 1)?;
            let name = key.caller.name().to_string();
            if !names.insert(name.clone()) {
                return Err(KeyFileError::NameTwice { name });
            }
            if !digests.insert(key.digest) {
                return Err(KeyFileError::DigestTwice { name });
            }
            keys.push(key);
        }
        Ok(Self { keys })
    }

    /// The caller whose key this is.
    pub(crate) fn find(&self, presented: Presented<'_>) -> Option<Caller> {
        let digest = Sha256::digest(presented.secret().as_bytes());
        let mut found = None;
        // Every key is compared, and whole: the time tells nothing of how near a guess was.
        for key in &self.keys {
            if bool::from(key.digest.ct_eq(digest.as_slice())) {
                found = Some(&key.caller);
            }
        }
        found.cloned()
    }
}

impl Entry {
    fn key(self, number: usize) -> Result<Key, KeyFileError> {
        let name = self.name;
        let is_name =
            (1..=64).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_graphic());
        if !is_name {
            return Err(KeyFileError::Name { number });
        }
        let Some(digest) = from_hex(&self.sha256) else {
            return Err(KeyFileError::Digest { name });
        };
        let models: Option<Vec<_>> = self.models.iter().map(|it| Pattern::parse(it)).collect();
        let Some(models) = models else {
            return Err(KeyFileError::Model { name });
        };
        let rights: Option<Vec<_>> = self.rights.iter().map(|it| Right::parse(it)).collect();
        let Some(rights) = rights else {
            return Err(KeyFileError::Right { name });
        };
        let grant = |right| Grant {
            right,
            models: models.clone(),
        };
        let caller = Caller::known(&name, rights.into_iter().map(grant).collect());
        Ok(Key { digest, caller })
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, key: &str, rest: &str) -> String {
        let digest = Sha256::digest(key.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[keys]]\nname = {name:?}\nsha256 = {hex:?}\n{rest}\n")
    }

    const ALL: &str = "models = [\"*\"]\nrights = [\"predict\", \"read\"]";

    fn find(ring: &KeyRing, key: &str) -> Option<String> {
        let presented = Presented::of([], [key.as_bytes()]).unwrap().unwrap();
        ring.find(presented).map(|caller| caller.name().to_string())
    }

    #[test]
    fn a_key_is_found_by_its_whole_text() {
        let file = entry("first", "one", ALL) + &entry("second", "two", ALL);
        let ring = KeyRing::parse(file.as_bytes()).unwrap();
        assert_eq!(find(&ring, "one").as_deref(), Some("first"));
        assert_eq!(find(&ring, "two").as_deref(), Some("second"));
        for wrong in ["on", "onee", "One", "three"] {
            assert_eq!(find(&ring, wrong), None);
        }
    }

    #[test]
    fn the_digest_of_a_key_is_no_key() {
        let file = entry("first", "one", ALL);
        let ring = KeyRing::parse(file.as_bytes()).unwrap();
        let digest = file.split('"').nth(3).unwrap();
        assert_eq!(find(&ring, digest), None);
    }

    #[test]
    fn a_file_without_keys_lets_nobody_in() {
        let ring = KeyRing::parse(b"").unwrap();
        assert_eq!(find(&ring, "one"), None);
    }

    #[track_caller]
    fn check_refused(file: &str, fragment: &str) {
        let error = KeyRing::parse(file.as_bytes()).err().expect("a refusal");
        let sentence = error.to_string();
        assert!(sentence.contains(fragment), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }

    #[test]
    fn one_wrong_entry_refuses_the_file_and_shows_no_secret() {
        let good = entry("first", "one", ALL);
        check_refused(&format!("{good}\nhunter2"), "line 7");
        check_refused(&format!("{good}\nhunter2 = 1"), "line ");
        check_refused("[[keys]]\nname = \"a\"\nkey = \"hunter2\"", "line 3");
        check_refused("keys = \"hunter2\"", "line 1");
        let plain = "[[keys]]\nname = \"a\"\nsha256 = \"hunter2\"\nmodels = []\nrights = []";
        check_refused(plain, "sha256 of key \"a\"");
        check_refused(
            &format!("{good}{}", entry("first", "two", ALL)),
            "name \"first\" stands twice",
        );
        check_refused(
            &format!("{good}{}", entry("b", "one", ALL)),
            "\"b\" stands twice",
        );
        check_refused(&entry("", "one", ALL), "key number 1");
        check_refused(&entry("a\nb", "one", ALL), "key number 1");
        let wrong_right = "models = [\"*\"]\nrights = [\"hunter2\"]";
        check_refused(&entry("a", "one", wrong_right), "rights of key \"a\"");
        let wrong_model = "models = [\"\"]\nrights = [\"read\"]";
        check_refused(&entry("a", "one", wrong_model), "models of key \"a\"");
    }

    #[test]
    fn a_key_has_the_rights_of_its_entry_only() {
        let rest = "models = [\"fraud-*\"]\nrights = [\"predict\"]";
        let ring = KeyRing::parse(entry("a", "one", rest).as_bytes()).unwrap();
        let presented = Presented::of([], [b"one".as_slice()]).unwrap().unwrap();
        let caller = ring.find(presented).unwrap();
        assert!(caller.may(Right::Predict, "fraud-eu"));
        assert!(!caller.may(Right::Read, "fraud-eu"));
        assert!(!caller.may(Right::Predict, "digits"));
    }
}
