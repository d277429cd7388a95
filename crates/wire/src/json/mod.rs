//! TensorFlow Serving's JSON: requests straight into tensors, results straight out of records.
//!
//! A request is read in one forward scan. There is no document tree and no recursion, so no nesting
//! can exhaust the stack, and values go into the flat buffer that becomes the tensor. The signature
//! says which type and how many dimensions to expect, so what does not fit stops the scan where it
//! stands. Differences from TensorFlow Serving are listed in `docs/tensorflow-serving-differences.md`.

mod decimal;
mod digits;
mod document;
mod element;
mod error;
mod examples;
mod explain;
mod feature;
mod fixed;
mod float;
mod input;
mod integer;
mod keys;
mod layout;
mod limits;
mod method;
mod nested;
mod number;
mod reader;
mod request;
mod results;
mod rounding;
mod scanner;
mod sections;
mod sparse;
mod stop;
mod string;
mod text;
mod write;

pub(crate) use reader::{Opened, Reader};
pub(crate) use results::{ClassRun, ValueRun, each_classification, each_regression};
pub(crate) use write::{push_compact, push_string};

pub use error::{JsonError, JsonErrorKind, error_body};
pub use examples::{ExamplesRequest, parse_examples};
pub use limits::{JsonLimits, JsonRules, PlainBytes, Strictness};
pub use method::Method;
pub use request::{Format, PredictRequest, parse_predict};
pub use results::{write_classifications, write_regressions};
pub use write::{WriteError, write_predictions};

#[cfg(test)]
mod tests;
