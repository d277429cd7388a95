//! Nothing outside of the repository is read because a model names it: links, external data, documents.
//!
//! Engines follow the paths that a model holds. They are looked at here before an engine sees the model, with small
//! readers that trust nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::ModelError;
use super::detect::Format;
use super::layout::is_clean;
use super::local::unreadable;

mod onnx;

/// Checks every file of a version: what it is after all links must lie below `root`.
pub(super) fn check_links(root: &Path, folder: &Path, files: &[String]) -> Result<(), ModelError> {
    let root = fs::canonicalize(root).map_err(unreadable(root))?;
    for file in files {
        let path = folder.join(file);
        let real = fs::canonicalize(&path).map_err(unreadable(&path))?;
        if !real.starts_with(&root) {
            return Err(refused(
                folder,
                format!(
                    "{file} is a link to {}, outside of the repository",
                    real.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Checks what a model names; answers the files that it consists of beside those that are known by their names.
pub(super) fn check_content(
    folder: &Path,
    format: Format,
    main: &str,
) -> Result<BTreeSet<String>, ModelError> {
    match format {
        Format::Onnx => external_data(folder, main),
        Format::OpenVinoIr => no_document_type(folder, main).map(|()| BTreeSet::new()),
        Format::SavedModel
        | Format::FrozenGraph
        | Format::TfLite
        | Format::Paddle
        | Format::TorchScript
        | Format::Caffe
        | Format::BigDl => Ok(BTreeSet::new()),
    }
}

fn external_data(folder: &Path, main: &str) -> Result<BTreeSet<String>, ModelError> {
    let file = folder.join(main);
    let named = onnx::external_data(&file).map_err(|problem| match problem {
        onnx::Problem::Read(error) => unreadable(&file)(error),
        onnx::Problem::Content(problem) => ModelError::Malformed {
            file: file.clone(),
            problem: problem.to_owned(),
        },
    })?;
    for path in &named {
        if !is_clean(path) {
            let what = format!("{main} has its data in {path:?}, outside of its folder");
            return Err(refused(folder, what));
        }
        if !folder.join(path).is_file() {
            let what = format!("{main} has its data in {path:?}, which is not there");
            return Err(refused(folder, what));
        }
    }
    Ok(named)
}

/// XML that names other documents; OpenVINO never writes a document type.
fn no_document_type(folder: &Path, main: &str) -> Result<(), ModelError> {
    let file = folder.join(main);
    let text = fs::read(&file).map_err(unreadable(&file))?;
    let has = |what: &[u8]| {
        text.windows(what.len())
            .any(|window| window.eq_ignore_ascii_case(what))
    };
    if has(b"<!DOCTYPE") || has(b"<!ENTITY") {
        let what = format!("{main} has a document type, which may name other files");
        return Err(refused(folder, what));
    }
    Ok(())
}

fn refused(folder: &Path, what: String) -> ModelError {
    ModelError::Outside {
        place: folder.display().to_string(),
        what,
    }
}

#[cfg(test)]
mod tests;
