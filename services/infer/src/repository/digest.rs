//! What identifies files: a cheap fingerprint that changes when they change, and the SHA-256 of their content.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::ModelError;
use super::local::unreadable;
use super::sums::Sums;

/// Changes when files of a version are added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint(String);

/// What one file looks like without being read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileState {
    /// Path within the version's folder, with `/`.
    pub(super) path: String,
    pub(super) size: u64,
    /// Time of the last change, or what an object store says of the content.
    pub(super) state: String,
}

impl FileState {
    pub(super) fn local(path: String, metadata: &Metadata) -> Self {
        let changed = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        Self {
            path,
            size: metadata.len(),
            state: changed.as_nanos().to_string(),
        }
    }
}

impl Fingerprint {
    /// As text, which is the name of a file or folder as well.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Of all files of a version, in any order.
    pub(super) fn of(mut files: Vec<FileState>) -> Self {
        files.sort_unstable();
        let mut hasher = Sha256::new();
        for file in files {
            for part in [&file.path, &file.size.to_string(), &file.state] {
                hasher.update(part.as_bytes());
                hasher.update([0]);
            }
        }
        Self(hex(&hasher.finalize()))
    }
}

/// SHA-256 of one file and its size in bytes.
fn sha256_file(file: &Path) -> io::Result<([u8; 32], u64)> {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    let mut size_bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        size_bytes += read as u64;
        hasher.update(&chunk[..read]);
    }
    Ok((hasher.finalize().into(), size_bytes))
}

/// Digests and sizes of files of a folder.
pub(super) fn all(
    folder: &Path,
    files: &[String],
) -> Result<(Sums, BTreeMap<String, u64>), ModelError> {
    let (mut digests, mut sizes) = (Sums::new(), BTreeMap::new());
    for file in files {
        let path = folder.join(file);
        let (digest, size_bytes) = sha256_file(&path).map_err(unreadable(&path))?;
        digests.insert(file.clone(), digest);
        sizes.insert(file.clone(), size_bytes);
    }
    Ok((digests, sizes))
}

/// Lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest that so many digits stand for.
pub(super) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// One digest for all files of a model: that of its file if it has one only, else that of the lines of `sha256sum`.
pub(super) fn combined(files: &BTreeMap<String, [u8; 32]>) -> String {
    let mut values = files.values();
    if let (Some(only), None) = (values.next(), values.next()) {
        return hex(only);
    }
    let mut hasher = Sha256::new();
    for (path, digest) in files {
        hasher.update(format!("{}  {path}\n", hex(digest)));
    }
    hex(&hasher.finalize())
}
