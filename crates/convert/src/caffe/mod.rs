//! Models of Caffe: `*.prototxt` says the layers, `*.caffemodel` has their weights.

use std::path::Path;

use crate::error::{ConvertError, Problem};
use crate::report::Converted;

pub(crate) fn convert(folder: &Path) -> Result<Converted, ConvertError> {
    Err(ConvertError::Model {
        file: folder.display().to_string(),
        problem: Problem::Unsupported("Caffe's format".to_owned()),
    })
}
