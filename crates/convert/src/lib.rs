//! Models of Caffe and BigDL become ONNX: bytes of their files in, bytes of an ONNX model and a report out.
//!
//! Pure but for [`convert_folder`] and [`convert_folder_as`], which read the files of one folder.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bigdl;
mod caffe;
mod error;
mod folder;
pub mod onnx;
mod report;

/// Raised whenever a model becomes another ONNX model than before, so that kept conversions are not used any more.
pub const REVISION: u32 = 1;

pub use bigdl::{BigDlFiles, convert_bigdl};
pub use caffe::{CaffeFiles, convert_files as convert_caffe};
pub use error::{ConvertError, LayerResult, Problem};
pub use folder::{Format, convert_folder, convert_folder_as};
pub use report::{Converted, ConvertedLayer, Report, Tensor};
