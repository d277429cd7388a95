//! Files and folders of this machine: a repository in a local folder, and versions that were downloaded.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ModelError;
use super::digest::{FileState, Fingerprint};
use super::layout::{is_hidden, version_number};

/// Deeper folders in a version are nobody's model.
const DEEPEST: usize = 8;
/// More files in one version are a mistake.
const MOST_FILES: usize = 100_000;
/// Texts are smaller.
const MOST_TEXT_BYTES: u64 = 16 << 20;

/// Names of folders that could be models.
pub(super) fn models(folder: &Path) -> Result<BTreeSet<String>, ModelError> {
    Ok(folders_in(folder)?
        .into_iter()
        .filter(|name| !is_hidden(name))
        .collect())
}

/// Versions of one model with their folders, the lowest first.
pub(super) fn versions(folder: &Path) -> Result<Vec<(i64, PathBuf)>, ModelError> {
    let mut versions = Vec::new();
    for name in folders_in(folder)? {
        if let Some(version) = version_number(&name) {
            versions.push((version, folder.join(name)));
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The text of a file, or nothing if there is no such file.
pub(super) fn text(file: &Path) -> Result<Option<String>, ModelError> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.len() > MOST_TEXT_BYTES => {
            return Err(unreadable(file)(io::Error::other("it is too large")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file)(error)),
    }
    fs::read_to_string(file).map(Some).map_err(unreadable(file))
}

/// What the files of a version look like from outside: names, sizes, times.
pub(super) fn fingerprint(folder: &Path) -> Result<Fingerprint, ModelError> {
    let mut files = Vec::new();
    walk(folder, |path, metadata| {
        files.push(FileState::local(path, metadata));
    })?;
    Ok(Fingerprint::of(files))
}

/// Paths of all files of a version, relative to its folder, with `/`; sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<String>, ModelError> {
    let mut files = Vec::new();
    walk(folder, |path, _| files.push(path))?;
    files.sort_unstable();
    Ok(files)
}

/// Bytes of all files of a folder.
pub(super) fn size_bytes(folder: &Path) -> Result<u64, ModelError> {
    let mut size_bytes = 0;
    walk(folder, |_, metadata| size_bytes += metadata.len())?;
    Ok(size_bytes)
}

fn walk(folder: &Path, mut see: impl FnMut(String, &Metadata)) -> Result<(), ModelError> {
    let mut left = MOST_FILES;
    walk_below(folder, "", DEEPEST, &mut |path, metadata| {
        see(path, metadata);
        left = left.checked_sub(1)?;
        Some(())
    })
}

fn walk_below(
    folder: &Path,
    prefix: &str,
    depth: usize,
    see: &mut dyn FnMut(String, &Metadata) -> Option<()>,
) -> Result<(), ModelError> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        let below = format!("{prefix}{name}");
        let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_dir() {
            let depth = depth.checked_sub(1).ok_or_else(|| {
                unreadable(&path)(io::Error::other("folders are nested too deeply"))
            })?;
            walk_below(&path, &format!("{below}/"), depth, see)?;
        } else if metadata.is_file() {
            let seen = see(below, &metadata);
            seen.ok_or_else(|| unreadable(folder)(io::Error::other("too many files")))?;
        } else {
            return Err(unreadable(&path)(io::Error::other(
                "it is no file and no folder",
            )));
        }
    }
    Ok(())
}

/// Names in a folder, sorted. Those that are not UTF-8 are left out: they can be neither a model's name nor a version.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, ModelError> {
    let failed = unreadable(folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(&failed)? {
        if let Ok(name) = entry.map_err(&failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn folders_in(folder: &Path) -> Result<Vec<String>, ModelError> {
    Ok(names_in(folder)?
        .into_iter()
        .filter(|name| folder.join(name).is_dir())
        .collect())
}

pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> ModelError {
    let path = path.to_owned();
    move |source| ModelError::Read {
        path: path.clone(),
        source: Arc::new(source),
    }
}
