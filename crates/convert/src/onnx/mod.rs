//! ONNX models: their messages, and a graph that is built node by node.

mod graph;
pub mod messages;
mod op;
mod shape;

pub(crate) use graph::shown;
pub use graph::{Graph, OPSET, Value};
pub use op::Op;
pub(crate) use shape::checked;
pub use shape::{Dim, ElementType, Shape};
