//! One version of one model made ready to run: engines built and warmed up, and its contract with callers.

mod cost;
mod load;

pub(crate) use load::BuildEngine;
pub(crate) use load::{LoadedModel, load, load_one};
