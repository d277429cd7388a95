//! A repository in a local folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ModelError;
use super::digest::{FileState, Fingerprint};

/// Deeper folders in a version are nobody's model.
const DEEPEST: usize = 8;
/// More files in one version are a mistake.
const MOST_FILES: usize = 100_000;

/// Names of folders that could be models: names that begin with `.` or `_` are nobody's model.
pub(super) fn models(folder: &Path) -> Result<BTreeSet<String>, ModelError> {
    Ok(folders_in(folder)?
        .into_iter()
        .filter(|name| !name.starts_with(['.', '_']))
        .collect())
}

/// Versions of one model with their folders, the lowest first.
pub(super) fn versions(folder: &Path) -> Result<Vec<(i64, PathBuf)>, ModelError> {
    let mut versions = Vec::new();
    for name in folders_in(folder)? {
        if let Ok(version) = name.parse::<i64>()
            && version >= 0
        {
            versions.push((version, folder.join(name)));
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The text of a file, or nothing if there is no such file.
pub(super) fn text(file: &Path) -> Result<Option<String>, ModelError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(file)(error)),
    }
}

/// What the files of a version look like from outside: names, sizes, times.
pub(super) fn fingerprint(folder: &Path) -> Result<Fingerprint, ModelError> {
    let mut files = Vec::new();
    collect(folder, "", DEEPEST, &mut files)?;
    Ok(Fingerprint::of(files))
}

fn collect(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<FileState>,
) -> Result<(), ModelError> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        let below = format!("{prefix}{name}");
        let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_dir() {
            let Some(depth) = depth.checked_sub(1) else {
                let error = io::Error::other("folders are nested too deeply");
                return Err(unreadable(&path)(error));
            };
            collect(&path, &format!("{below}/"), depth, files)?;
            continue;
        }
        if files.len() == MOST_FILES {
            return Err(unreadable(folder)(io::Error::other("too many files")));
        }
        files.push(FileState::local(below, &metadata));
    }
    Ok(())
}

/// Names that are not UTF-8 are left out: they can be neither a model's name nor a version.
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
