//! Which files of a folder are the model, and what format they are: the one place that reads files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::ConvertError;
use crate::onnx::Shape;
use crate::report::Converted;
use crate::{bigdl, caffe};

/// Formats that become ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `*.prototxt` and `*.caffemodel`
    Caffe,
    /// `*.bigdl` or `*.model`
    BigDl,
}

impl Format {
    /// The format of the model in a folder, if it is one of these.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn detect(folder: &Path) -> Result<Option<Self>, ConvertError> {
        let has = |ending: &str| Ok(!files(folder, ending)?.is_empty());
        Ok(match () {
            () if has("caffemodel")? && has("prototxt")? => Some(Self::Caffe),
            () if has("bigdl")? || has("model")? => Some(Self::BigDl),
            () => None,
        })
    }
}

/// Converts the model in a folder.
///
/// # Errors
///
/// If there is none, its files cannot be read, or it has a layer that is not known here.
pub fn convert_folder(folder: &Path) -> Result<Converted, ConvertError> {
    convert_folder_as(folder, &[])
}

/// Converts the model in a folder; `shapes` are those of its inputs with the batch first, where a BigDL file
/// does not tell them (empty: as it tells).
///
/// # Errors
///
/// As [`convert_folder`].
pub fn convert_folder_as(folder: &Path, shapes: &[Shape]) -> Result<Converted, ConvertError> {
    match Format::detect(folder)? {
        Some(Format::Caffe) => caffe::convert(folder),
        Some(Format::BigDl) => bigdl::convert(folder, shapes),
        None => Err(ConvertError::Folder {
            folder: folder.to_owned(),
            what: "no model that can be converted: there must be a *.prototxt and a *.caffemodel, or a \
                   *.bigdl or *.model"
                .to_owned(),
        }),
    }
}

/// Files of a folder whose names end so (`.ending`), in the order of their names.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, ConvertError> {
    let failed = |source: io::Error| ConvertError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = file_name(&path).starts_with('.');
        if !hidden && path.extension().is_some_and(|it| it == ending) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of a file that has at most so many.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ConvertError> {
    let failed = |source: io::Error| ConvertError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let too_large = |bytes: u64| ConvertError::TooLarge {
        path: path.to_owned(),
        bytes,
        limit,
    };
    if bytes > limit {
        return Err(too_large(bytes));
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    // It may grow meanwhile.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut content);
    match u64::try_from(read.map_err(failed)?) {
        Ok(read) if read <= limit => Ok(content),
        _ => Err(too_large(limit.saturating_add(1))),
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned())
}
