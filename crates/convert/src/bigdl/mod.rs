//! Models that BigDL's `saveModule` wrote.
//!
//! Not there yet: a folder with one is refused by name.

use std::path::Path;

use crate::error::{ConvertError, Problem};
use crate::report::Converted;

/// Converts the BigDL model of a folder.
///
/// # Errors
///
/// Always, for now.
pub(crate) fn convert(folder: &Path) -> Result<Converted, ConvertError> {
    Err(ConvertError::Model {
        file: folder.display().to_string(),
        problem: Problem::Unsupported("BigDL's format".to_owned()),
    })
}
