//! The two verbs that answer examples, and which outputs of a model they need.

use std::fmt;

use crate::{Column, DType, TensorSpec};

use super::write::WriteError;

/// A verb whose requests hold examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each example gets classes with their scores.
    Classify,
    /// Each example gets one number.
    Regress,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classify => "classify",
            Self::Regress => "regress",
        })
    }
}

impl Method {
    /// Whether a model with these outputs can be asked in this way.
    ///
    /// # Errors
    /// [`WriteError::Unfit`] with the reason; answer it with 400.
    pub fn check_outputs(self, outputs: &[TensorSpec]) -> Result<(), WriteError> {
        let described: Vec<Described<'_>> = outputs.iter().map(Described::of_spec).collect();
        match self {
            Self::Classify => Classes::among(&described).map(|_| ()),
            Self::Regress => value_among(&described).map(|_| ()),
        }
    }
}

/// An output of which only the description is known.
pub(super) struct Described<'a> {
    name: &'a str,
    dtype: DType,
    /// Dimensions of one row; `None` is open.
    row_shape: Vec<Option<usize>>,
}

impl<'a> Described<'a> {
    fn of_spec(spec: &'a TensorSpec) -> Self {
        Self {
            name: &spec.name,
            dtype: spec.dtype,
            row_shape: spec.shape.iter().skip(1).copied().collect(),
        }
    }

    pub(super) fn of_column(column: &'a Column) -> Self {
        Self {
            name: column.name(),
            dtype: column.dtype(),
            row_shape: column.shape().into_iter().skip(1).collect(),
        }
    }

    fn is_float(&self) -> bool {
        matches!(
            self.dtype,
            DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64
        )
    }

    fn is_text(&self) -> bool {
        matches!(self.dtype, DType::String | DType::Bytes)
    }
}

/// The indices of the outputs that make a classification.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classes {
    pub(super) scores: usize,
    /// Without it all labels are empty, as in TensorFlow Serving.
    pub(super) labels: Option<usize>,
}

impl Classes {
    pub(super) fn among(outputs: &[Described<'_>]) -> Result<Self, WriteError> {
        let unfit = |why| WriteError::Unfit {
            method: Method::Classify,
            why,
        };
        let scores = the_one(outputs, "scores", |output| output.is_float())
            .ok_or(unfit("a float output \"scores\", or a single float output"))?;
        let labels = the_one(outputs, "classes", |output| output.is_text());
        for index in [Some(scores), labels].into_iter().flatten() {
            if outputs
                .get(index)
                .is_some_and(|output| output.row_shape.len() > 1)
            {
                return Err(unfit("outputs with at most one dimension per row"));
            }
        }
        Ok(Self { scores, labels })
    }
}

/// The index of the output that is a regression's value.
pub(super) fn value_among(outputs: &[Described<'_>]) -> Result<usize, WriteError> {
    let index = the_one(outputs, "outputs", |output| output.is_float());
    let fits = |output: &Described<'_>| match output.row_shape.as_slice() {
        [] => true,
        [size] => size.is_none_or(|size| size == 1),
        _ => false,
    };
    index
        .filter(|&index| outputs.get(index).is_some_and(fits))
        .ok_or(WriteError::Unfit {
            method: Method::Regress,
            why: "a single float output of one number per row",
        })
}

/// The output of this name if it is of the right kind, else the only one of that kind.
fn the_one(
    outputs: &[Described<'_>],
    name: &str,
    is_right: fn(&Described<'_>) -> bool,
) -> Option<usize> {
    let mut only = None;
    let mut count = 0;
    for (index, output) in outputs.iter().enumerate() {
        if !is_right(output) {
            continue;
        }
        if output.name == name {
            return Some(index);
        }
        only = Some(index);
        count += 1;
    }
    only.filter(|_| count == 1)
}
