//! One operator of ONNX with its attributes.

use super::messages::{AttributeProto, AttributeType, GraphProto};

/// An operator with its attributes; those that are left out have ONNX's defaults.
#[derive(Clone, Debug)]
pub struct Op {
    pub(super) kind: &'static str,
    pub(super) attributes: Vec<AttributeProto>,
}

impl Op {
    /// An operator of ONNX's default domain.
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            attributes: Vec::new(),
        }
    }

    /// Adds an integer attribute.
    #[must_use]
    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            i: Some(value),
            r#type: AttributeType::Int.into(),
            ..AttributeProto::default()
        })
    }

    /// Adds a list of integers.
    #[must_use]
    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            ints: values.to_vec(),
            r#type: AttributeType::Ints.into(),
            ..AttributeProto::default()
        })
    }

    /// Adds a floating-point attribute.
    #[must_use]
    pub fn float(self, name: &str, value: f32) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            f: Some(value),
            r#type: AttributeType::Float.into(),
            ..AttributeProto::default()
        })
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            s: Some(value.as_bytes().to_vec()),
            r#type: AttributeType::String.into(),
            ..AttributeProto::default()
        })
    }

    /// Adds a list of texts.
    #[must_use]
    pub fn texts(self, name: &str, values: &[&str]) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            strings: values.iter().map(|it| it.as_bytes().to_vec()).collect(),
            r#type: AttributeType::Strings.into(),
            ..AttributeProto::default()
        })
    }

    /// Adds a graph: the body of a loop.
    #[must_use]
    pub fn graph(self, name: &str, body: GraphProto) -> Self {
        self.with(AttributeProto {
            name: name.to_owned(),
            g: Some(Box::new(body)),
            r#type: AttributeType::Graph.into(),
            ..AttributeProto::default()
        })
    }

    fn with(mut self, attribute: AttributeProto) -> Self {
        self.attributes.push(attribute);
        self
    }
}
