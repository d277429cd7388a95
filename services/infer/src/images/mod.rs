//! Encoded images as inputs: from the bytes of a file to a row of pixels as the model takes it.

mod bmp;
mod bmp_runs;
mod compile;
mod decode;
mod error;
mod exif;
mod jpeg;
mod pixels;
mod plan;
mod png;
mod resample;
mod stage;
mod steps;
mod webp;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod reference_tests;

pub use compile::ImageOptionsError;
pub use error::{Format, ImageError};
pub(crate) use plan::{DecodeFailure, Decoded, ImagePlan};
pub(crate) use stage::{Held, Stage};
pub use steps::{Elements, Row, Steps};
