//! A graph that is built node by node: names are unique, sizes are followed, weights are embedded.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::messages::{
    DimensionProto, GraphProto, IR_VERSION, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::op::Op;
use super::shape::{Dim, ElementType, Shape};
use crate::error::{LayerResult, Problem};
use crate::report::{ConvertedLayer, Tensor};

/// The version of ONNX's operators that is written; ONNX Runtime 1.20 and later run it.
pub const OPSET: i64 = 21;
/// What an ONNX file can hold without files beside it: protobuf's limit, less some room for the nodes.
const MAX_WEIGHT_BYTES: usize = (1 << 31) - (1 << 24);
const MAX_NODES: usize = 1 << 20;

/// A value of the graph: an input, a weight or a node's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    name: String,
    /// Its dimensions.
    pub shape: Shape,
    /// Its element type.
    pub element: ElementType,
}

/// A graph under construction.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    weight_bytes: usize,
    inputs: Vec<Value>,
    names: HashSet<String>,
    /// Where a name was last made unique, so that thousands of equal ones stay cheap.
    next: HashMap<String, usize>,
    layer: String,
    layer_began: usize,
    /// What all names begin with: the bodies of loops must not hide names around them.
    prefix: String,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph for the body of a loop in `outer`.
    pub fn body_of(outer: &mut Self, layer: &str) -> Self {
        outer.begin_layer(layer);
        Self {
            prefix: format!("{}/", outer.unique("body")),
            ..Self::default()
        }
    }

    /// Adds an input of the body of a loop.
    ///
    /// # Errors
    ///
    /// If the name is taken.
    pub fn inner_input(
        &mut self,
        name: &str,
        element: ElementType,
        shape: Shape,
    ) -> LayerResult<Value> {
        let name = format!("{}{name}", self.prefix);
        self.input(&name, element, shape)
    }

    /// The body of a loop with these results.
    ///
    /// # Errors
    ///
    /// If there are too many nodes.
    pub fn into_body(mut self, results: &[&Value]) -> LayerResult<GraphProto> {
        self.begin_layer("results");
        let mut outputs = Vec::with_capacity(results.len());
        for result in results {
            // A body may not give an input or a value twice as it is.
            outputs.push(self.add(Op::new("Identity"), &[result], result.shape.clone())?);
        }
        Ok(GraphProto {
            name: "body".to_owned(),
            node: self.nodes,
            initializer: self.weights,
            input: self
                .inputs
                .iter()
                .map(|it| described(&it.name, it))
                .collect(),
            output: outputs.iter().map(|it| described(&it.name, it)).collect(),
        })
    }

    /// Adds an input of the model under exactly this name.
    ///
    /// # Errors
    ///
    /// If the name is taken or empty.
    pub fn input(&mut self, name: &str, element: ElementType, shape: Shape) -> LayerResult<Value> {
        if name.is_empty() || !self.names.insert(name.to_owned()) {
            return Err(Problem::Misfit(format!(
                "there are two inputs {name:?}, or it has no name"
            )));
        }
        let value = Value {
            name: name.to_owned(),
            shape,
            element,
        };
        self.inputs.push(value.clone());
        Ok(value)
    }

    /// Nodes that follow belong to this layer of the source; they are named after it.
    pub fn begin_layer(&mut self, name: &str) {
        name.clone_into(&mut self.layer);
        self.layer_began = self.nodes.len();
    }

    /// What the layer that was begun last became.
    pub fn end_layer(&self, kind: &str, result: Option<&Value>) -> ConvertedLayer {
        let nodes = self.nodes.iter().skip(self.layer_began);
        ConvertedLayer {
            name: self.layer.clone(),
            kind: kind.to_owned(),
            nodes: nodes.map(|node| node.op_type.clone()).collect(),
            shape: result.map_or(String::new(), |value| value.shape.to_string()),
        }
    }

    /// A float32 weight of these sizes, row by row.
    ///
    /// # Errors
    ///
    /// If sizes and number of values differ, or all weights are more than an ONNX file can hold.
    pub fn floats(&mut self, sizes: &[u64], values: &[f32]) -> LayerResult<Value> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for value in values {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        self.weight((sizes, values.len()), ElementType::Float, bytes)
    }

    /// A float32 scalar.
    ///
    /// # Errors
    ///
    /// As [`Graph::floats`].
    pub fn float(&mut self, value: f32) -> LayerResult<Value> {
        self.floats(&[], &[value])
    }

    /// An int64 weight of these sizes.
    ///
    /// # Errors
    ///
    /// As [`Graph::floats`].
    pub fn int64s(&mut self, sizes: &[u64], values: &[i64]) -> LayerResult<Value> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for value in values {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        self.weight((sizes, values.len()), ElementType::Int64, bytes)
    }

    /// A list of int64: sizes, axes, starts and ends of operators.
    ///
    /// # Errors
    ///
    /// As [`Graph::floats`].
    pub fn list(&mut self, values: &[i64]) -> LayerResult<Value> {
        let length = u64::try_from(values.len()).expect("a usize fits");
        self.int64s(&[length], values)
    }

    /// Weights of booleans.
    ///
    /// # Errors
    ///
    /// As [`Graph::floats`].
    pub fn bools(&mut self, sizes: &[u64], values: &[bool]) -> LayerResult<Value> {
        let bytes = values.iter().map(|&value| u8::from(value)).collect();
        self.weight((sizes, values.len()), ElementType::Bool, bytes)
    }

    fn weight(
        &mut self,
        (sizes, length): (&[u64], usize),
        element: ElementType,
        raw_data: Vec<u8>,
    ) -> LayerResult<Value> {
        let shape = Shape::fixed(sizes);
        if usize::try_from(shape.count(0..shape.rank())?) != Ok(length) {
            return Err(Problem::Weights(format!(
                "{length} weights cannot have shape {shape}"
            )));
        }
        self.weight_bytes = self.weight_bytes.saturating_add(raw_data.len());
        if self.weight_bytes > MAX_WEIGHT_BYTES {
            return Err(Problem::Weights(format!(
                "all weights are more than {MAX_WEIGHT_BYTES} bytes"
            )));
        }
        let name = self.unique("weights");
        self.weights.push(TensorProto {
            dims: sizes
                .iter()
                .map(|&size| size.try_into().unwrap_or(i64::MAX))
                .collect(),
            data_type: element as i32,
            name: name.clone(),
            raw_data,
        });
        Ok(Value {
            name,
            shape,
            element,
        })
    }

    /// Adds a node with one result of this shape, of the element type of its first operand.
    ///
    /// # Errors
    ///
    /// If there are too many nodes.
    pub fn add(&mut self, op: Op, operands: &[&Value], shape: Shape) -> LayerResult<Value> {
        let element = operands.first().map_or(ElementType::Float, |it| it.element);
        self.add_as(op, operands, (shape, element))
    }

    /// Adds a node whose result has another element type than its first operand.
    ///
    /// # Errors
    ///
    /// If there are too many nodes.
    pub fn add_as(
        &mut self,
        op: Op,
        operands: &[&Value],
        result: (Shape, ElementType),
    ) -> LayerResult<Value> {
        let operands: Vec<Option<&Value>> = operands.iter().map(|&it| Some(it)).collect();
        let mut results = self.add_many(op, &operands, vec![result])?;
        Ok(results.remove(0))
    }

    /// Adds a node with any number of results; an operand that is `None` is left out.
    ///
    /// # Errors
    ///
    /// If there are too many nodes.
    pub fn add_many(
        &mut self,
        op: Op,
        operands: &[Option<&Value>],
        results: Vec<(Shape, ElementType)>,
    ) -> LayerResult<Vec<Value>> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Problem::Misfit(format!(
                "the model has more than {MAX_NODES} nodes"
            )));
        }
        let name = self.unique(op.kind);
        let mut values = Vec::with_capacity(results.len());
        for (shape, element) in results {
            let name = self.unique("value");
            values.push(Value {
                name,
                shape,
                element,
            });
        }
        let operand = |it: &Option<&Value>| it.map_or(String::new(), |value| value.name.clone());
        self.nodes.push(NodeProto {
            input: operands.iter().map(operand).collect(),
            output: values.iter().map(|value| value.name.clone()).collect(),
            name,
            op_type: op.kind.to_owned(),
            attribute: op.attributes,
        });
        Ok(values)
    }

    /// A name after the layer that nothing else has.
    fn unique(&mut self, ending: &str) -> String {
        let stem = format!("{}{}/{ending}", self.prefix, self.layer);
        let count = self.next.entry(stem.clone()).or_insert(0);
        loop {
            *count += 1;
            let name = match *count {
                1 => stem.clone(),
                count => format!("{stem}_{count}"),
            };
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Inputs of the model as a report shows them.
    pub fn inputs(&self) -> Vec<Tensor> {
        self.inputs
            .iter()
            .map(|input| shown(&input.name, input))
            .collect()
    }

    /// The bytes of the model whose outputs are these values under these names.
    ///
    /// # Errors
    ///
    /// If two outputs have one name, an output has the name of an input, or there is none.
    pub fn finish(mut self, outputs: &[(&str, &Value)]) -> LayerResult<Vec<u8>> {
        if outputs.is_empty() {
            return Err(Problem::Misfit("the model has no outputs".to_owned()));
        }
        for (name, value) in outputs {
            if name.is_empty() || !self.names.insert((*name).to_owned()) {
                return Err(Problem::Misfit(format!(
                    "output {name:?} has the name of an input or of another value"
                )));
            }
            self.begin_layer(name);
            let node = NodeProto {
                input: vec![value.name.clone()],
                output: vec![(*name).to_owned()],
                name: self.unique("output"),
                op_type: "Identity".to_owned(),
                attribute: Vec::new(),
            };
            self.nodes.push(node);
        }
        Ok(self.model(outputs).encode_to_vec())
    }

    fn model(self, outputs: &[(&str, &Value)]) -> ModelProto {
        let graph = GraphProto {
            name: "converted".to_owned(),
            node: self.nodes,
            initializer: self.weights,
            input: self
                .inputs
                .iter()
                .map(|it| described(&it.name, it))
                .collect(),
            output: outputs
                .iter()
                .map(|(name, it)| described(name, it))
                .collect(),
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "millrace".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPSET,
            }],
            metadata_props: Vec::new(),
        }
    }
}

/// A value as a report shows it.
pub(crate) fn shown(name: &str, value: &Value) -> Tensor {
    Tensor {
        name: name.to_owned(),
        shape: value.shape.to_string(),
    }
}

fn described(name: &str, value: &Value) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Batch => DimensionProto {
            dim_value: None,
            dim_param: Some("N".to_owned()),
        },
        Dim::Fixed(size) => DimensionProto {
            dim_value: Some((*size).try_into().unwrap_or(i64::MAX)),
            dim_param: None,
        },
        Dim::Open => DimensionProto::default(),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: value.element as i32,
                shape: Some(TensorShapeProto {
                    dim: value.shape.0.iter().map(dim).collect(),
                }),
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(graph: &mut Graph) -> Value {
        let shape = Shape::rows_of(&[2]);
        graph.input("x", ElementType::Float, shape).unwrap()
    }

    #[test]
    fn a_model_has_its_nodes_weights_and_names() {
        let mut graph = Graph::new();
        let x = input(&mut graph);
        graph.begin_layer("twice");
        let two = graph.float(2.0).unwrap();
        let y = graph
            .add(Op::new("Mul"), &[&x, &two], x.shape.clone())
            .unwrap();
        let layer = graph.end_layer("Power", Some(&y));
        assert_eq!(
            (layer.nodes, layer.shape),
            (vec!["Mul".to_owned()], "[N, 2]".to_owned())
        );
        let bytes = graph.finish(&[("y", &y)]).unwrap();
        let model = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        assert_eq!(model.output[0].name, "y");
        assert_eq!(model.initializer[0].raw_data, 2.0_f32.to_le_bytes());
        assert_eq!(model.node.len(), 2);
    }

    #[test]
    fn layers_of_one_name_get_nodes_of_different_names() {
        let mut graph = Graph::new();
        let mut value = input(&mut graph);
        for _ in 0..3 {
            graph.begin_layer("again");
            value = graph
                .add(Op::new("Relu"), &[&value], value.shape.clone())
                .unwrap();
        }
        let names: HashSet<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn an_output_cannot_have_the_name_of_an_input() {
        let mut graph = Graph::new();
        let x = input(&mut graph);
        assert!(graph.finish(&[("x", &x)]).is_err());
        assert!(Graph::new().finish(&[]).is_err());
    }

    #[test]
    fn weights_have_as_many_values_as_their_sizes_say() {
        let mut graph = Graph::new();
        assert!(graph.floats(&[2, 3], &[0.0; 6]).is_ok());
        assert!(graph.floats(&[2, 3], &[0.0; 5]).is_err());
        assert!(graph.floats(&[u64::MAX, u64::MAX], &[]).is_err());
    }
}
