//! Brings the files of one version here: each to its end, with the digest and the size that were announced.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;
use tracing::{info, warn};

use super::{Remote, Wanted};
use crate::repository::ModelError;
use crate::repository::digest::{FileState, parse_hex};
use crate::repository::local::unreadable;
use crate::repository::sums::Sums;

/// A file that fails in the middle is begun again so often.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often a long download says how far it is.
const NEWS: Duration = Duration::from_secs(10);

/// What has come so far.
struct Progress {
    bytes: u64,
    said: Instant,
}

/// Downloads every file; the folder is useless after an error.
pub(super) async fn all(remote: &Remote, wanted: &Wanted, into: &Path) -> Result<Sums, ModelError> {
    let start = Instant::now();
    let announced: u64 = wanted.files.iter().map(|file| file.size).sum();
    info!(
        place = wanted.place,
        files = wanted.files.len(),
        bytes = announced,
        "downloading"
    );
    let mut progress = Progress {
        bytes: 0,
        said: start,
    };
    let mut sums = Sums::new();
    for file in &wanted.files {
        let target = into.join(&file.path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(unreadable(folder))?;
        }
        let digest = one(remote, wanted, file, (&target, &mut progress)).await?;
        sums.insert(file.path.clone(), digest);
    }
    let (bytes, seconds) = (progress.bytes, start.elapsed().as_secs_f64());
    info!(place = wanted.place, bytes, seconds, "downloaded");
    Ok(sums)
}

async fn one(
    remote: &Remote,
    wanted: &Wanted,
    file: &FileState,
    (target, progress): (&Path, &mut Progress),
) -> Result<[u8; 32], ModelError> {
    let before = progress.bytes;
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        progress.bytes = before;
        match attempt_one(remote, wanted, file, (target, progress)).await {
            Err(error @ ModelError::Remote { .. }) if attempt < ATTEMPTS => {
                warn!(place = wanted.place, file = file.path, %error, attempt, "the download failed; once more");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            outcome => return outcome,
        }
    }
    Err(remote.unusable(format!("{} cannot be downloaded", file.path)))
}

async fn attempt_one(
    remote: &Remote,
    wanted: &Wanted,
    file: &FileState,
    (target, progress): (&Path, &mut Progress),
) -> Result<[u8; 32], ModelError> {
    let path = format!("{}/{}", wanted.place, file.path);
    let failed = |error| remote.error(&path, error);
    let object = remote
        .store
        .get(&remote.path(&path)?)
        .await
        .map_err(failed)?;
    let changed = || ModelError::Changed {
        place: format!("{}/{}", remote.url, wanted.place),
    };
    let is_listed = remote.is_web
        || (object.meta.size == file.size
            && object
                .meta
                .e_tag
                .as_ref()
                .is_none_or(|e_tag| *e_tag == file.state));
    if !is_listed {
        return Err(changed());
    }
    let unwritable = unreadable(target);
    let mut output = File::create(target).map_err(&unwritable)?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut parts = object.into_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(failed)?;
        bytes += part.len() as u64;
        if !remote.is_web && bytes > file.size {
            return Err(changed());
        }
        if progress.bytes + part.len() as u64 > wanted.limit_bytes {
            return Err(ModelError::TooLarge {
                place: format!("{}/{}", remote.url, wanted.place),
                size_bytes: progress.bytes + part.len() as u64,
                limit_bytes: wanted.limit_bytes,
            });
        }
        hasher.update(&part);
        output.write_all(&part).map_err(&unwritable)?;
        progress.add(part.len() as u64, &wanted.place);
    }
    if !remote.is_web && bytes != file.size {
        return Err(changed());
    }
    output.sync_all().map_err(&unwritable)?;
    let digest: [u8; 32] = hasher.finalize().into();
    match parse_hex(&file.state) {
        Some(listed) if remote.is_web && listed != digest => Err(ModelError::Checksum {
            place: format!("{}/{}", remote.url, wanted.place),
            problem: format!("{} is not what SHA256SUMS says", file.path),
        }),
        Some(_) | None => Ok(digest),
    }
}

impl Progress {
    fn add(&mut self, bytes: u64, place: &str) {
        self.bytes += bytes;
        if self.said.elapsed() >= NEWS {
            self.said = Instant::now();
            info!(place, bytes = self.bytes, "still downloading");
        }
    }
}
