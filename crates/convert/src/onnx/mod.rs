//! ONNX models: their messages, and a graph that is built node by node.

mod graph;
pub mod messages;
mod op;
mod shape;

pub use graph::{Graph, OPSET, Value};
pub use op::Op;
pub use shape::{Dim, ElementType, Shape};
