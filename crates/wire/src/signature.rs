//! What a model takes and gives, and whether a record fits it.

use std::fmt;

use crate::dtype::DType;
use crate::quote::{Name, Shape};
use crate::record::{Column, Record};

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The column's name in a record.
    pub name: String,
    /// The type of every element.
    pub dtype: DType,
    /// All dimensions; the first counts rows, `None` is open.
    pub shape: Vec<Option<usize>>,
}

/// The inputs and outputs of one model version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// What a request must hold, each exactly once.
    pub inputs: Vec<TensorSpec>,
    /// What a result holds.
    pub outputs: Vec<TensorSpec>,
}

/// Why a record does not fit a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// An input has no column.
    #[error("missing column {}, expected {expected}", Name(.name))]
    Missing {
        /// The input's name.
        name: String,
        /// The input's type and shape.
        expected: Description,
    },
    /// A column is no input of the model.
    #[error("unknown column {}; the model has {inputs} inputs{}", Name(.name), FirstInput(.first_input))]
    Unknown {
        /// The column's name.
        name: String,
        /// How many inputs the model has.
        inputs: usize,
        /// The name of the model's first input.
        first_input: Option<String>,
    },
    /// A column has another type, rank or dimension than its input.
    #[error("column {} must be {expected}, got {given}", Name(.name))]
    Mismatch {
        /// The column's name.
        name: String,
        /// The input's type and shape.
        expected: Description,
        /// The column's type and shape; for rows that differ, that of the first row that does not fit.
        given: Description,
    },
}

/// A type and a shape as a message shows them, such as `FP32[-1,784]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    dtype: DType,
    shape: Vec<Option<usize>>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, Shape(&self.shape))
    }
}

impl Signature {
    /// Whether `record` holds exactly the inputs, each of the right type and shape. Dimension 0 is
    /// the rows and not compared; an open dimension takes any size.
    pub fn check(&self, record: &Record) -> Result<(), SignatureError> {
        for column in record.columns() {
            if !self.inputs.iter().any(|input| input.name == column.name()) {
                return Err(SignatureError::Unknown {
                    name: column.name().to_owned(),
                    inputs: self.inputs.len(),
                    first_input: self.inputs.first().map(|input| input.name.clone()),
                });
            }
        }
        for input in &self.inputs {
            match record.column(&input.name) {
                Some(column) => check_column(input, column, record)?,
                None => {
                    return Err(SignatureError::Missing {
                        name: input.name.clone(),
                        expected: input.describe(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl TensorSpec {
    fn describe(&self) -> Description {
        Description {
            dtype: self.dtype,
            shape: self.shape.clone(),
        }
    }

    /// Whether a row of these dimensions fits; the specification's dimension 0 is the rows.
    fn takes_row(&self, row_shape: &[usize]) -> bool {
        let Some((_, expected)) = self.shape.split_first() else {
            return false;
        };
        expected.len() == row_shape.len()
            && expected
                .iter()
                .zip(row_shape)
                .all(|(expected, given)| expected.is_none_or(|expected| expected == *given))
    }
}

fn check_column(
    input: &TensorSpec,
    column: &Column,
    record: &Record,
) -> Result<(), SignatureError> {
    let mismatch = |row_shape: &[usize]| {
        let mut shape = vec![Some(record.rows())];
        shape.extend(row_shape.iter().map(|&size| Some(size)));
        SignatureError::Mismatch {
            name: input.name.clone(),
            expected: input.describe(),
            given: Description {
                dtype: column.dtype(),
                shape,
            },
        }
    };
    let rows_to_check = match column.fixed_row_shape() {
        Some(_) => 1,
        None => record.rows(),
    };
    for row in 0..rows_to_check {
        let row_shape = record.shape_of_row(column, row);
        if column.dtype() != input.dtype || !input.takes_row(&row_shape) {
            return Err(mismatch(&row_shape));
        }
    }
    Ok(())
}

struct FirstInput<'a>(&'a Option<String>);

impl fmt::Display for FirstInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, ", the first is {}", Name(name)),
            None => Ok(()),
        }
    }
}
