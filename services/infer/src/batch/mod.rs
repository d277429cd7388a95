//! Batching: which rows run together, how they become tensors, and what happens when a batch fails.

mod assemble;
mod isolate;
mod priority;
mod queue;
mod split;

pub(crate) use assemble::{Answer, OutputRows, Rows, assemble, encode};
pub(crate) use isolate::{Condemned, isolate};
pub(crate) use priority::{Priority, Share, Turn};
pub(crate) use queue::{Batch, BatchLimits, BatchQueue, Depth, Piece, Release, RowShape};
pub(crate) use split::{Split, Splitter};
