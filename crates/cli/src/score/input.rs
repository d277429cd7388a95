//! Which input a job is about: enough of it to see that it is the same one.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::rows;

/// Bytes at the beginning and at the end that are looked at.
const LOOKED_AT: u64 = 64 << 10;

/// A digest of a file's length, time of change, beginning and end, or of a folder's images.
pub(super) fn fingerprint(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut digest = Sha256::new();
    if path.is_dir() {
        for (name, file) in rows::list_images(path)? {
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            add_metadata(&mut digest, &file).with_context(context)?;
        }
        return Ok(text(digest));
    }
    let length = add_metadata(&mut digest, path).with_context(context)?;
    let mut file = File::open(path).with_context(context)?;
    add(&mut digest, &mut file).with_context(context)?;
    file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT)))?;
    add(&mut digest, &mut file).with_context(context)?;
    Ok(text(digest))
}

/// The file's length.
fn add_metadata(digest: &mut Sha256, path: &Path) -> std::io::Result<u64> {
    let metadata = fs::metadata(path)?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH);
    digest.update(metadata.len().to_le_bytes());
    digest.update(changed.unwrap_or_default().as_nanos().to_le_bytes());
    Ok(metadata.len())
}

fn add(digest: &mut Sha256, file: &mut File) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes)?;
    digest.update(bytes);
    Ok(())
}

fn text(digest: Sha256) -> String {
    let bytes = digest.finalize();
    bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
