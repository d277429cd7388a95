//! What a model takes and gives, and whether a record or tensors fit it.

use std::fmt;

use crate::dtype::DType;
use crate::quote::{Name, Shape};
use crate::record::{Column, Record};
use crate::tensor::{Tensor, known};

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

/// Why a record or tensors do not fit a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// An input is not there.
    #[error("missing input {}, expected {expected}", Name(.name))]
    Missing {
        /// The input's name.
        name: String,
        /// The input's type and shape.
        expected: Description,
    },
    /// A column or tensor is no input of the model.
    #[error("unknown input {}; the model has {inputs} inputs{}", Name(.name), FirstInput(.first_input))]
    Unknown {
        /// The name that was given.
        name: String,
        /// How many inputs the model has.
        inputs: usize,
        /// The name of the model's first input.
        first_input: Option<String>,
    },
    /// A column or tensor has another type, rank or dimension than its input.
    #[error("input {} must be {expected}, got {given}", Name(.name))]
    Mismatch {
        /// The input's name.
        name: String,
        /// The input's type and shape.
        expected: Description,
        /// What was given; for rows that differ, the first row that does not fit.
        given: Description,
    },
    /// Two tensors have the same name.
    #[error("input {} was given twice", Name(.name))]
    Twice {
        /// The input's name.
        name: String,
    },
    /// A tensor has no rows.
    #[error("input {} has no rows, a request needs at least one", Name(.name))]
    NoRows {
        /// The input's name.
        name: String,
    },
    /// A tensor has more or fewer rows than the model's first input.
    #[error("input {} has {given} rows, expected {expected} as in input {}", Name(.name), Name(.first))]
    Rows {
        /// The input's name.
        name: String,
        /// The name of the model's first input.
        first: String,
        /// Rows of the first input.
        expected: usize,
        /// Rows of this input.
        given: usize,
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
            self.input(column.name())?;
        }
        for input in &self.inputs {
            match record.column(&input.name) {
                Some(column) => check_column(input, column, record)?,
                None => return Err(input.missing()),
            }
        }
        Ok(())
    }

    /// Whether `tensors`, in any order, are exactly the inputs, each of the right type and shape, and
    /// all of the same number of rows, which is at least 1.
    pub fn check_tensors(&self, tensors: &[Tensor]) -> Result<(), SignatureError> {
        for (index, tensor) in tensors.iter().enumerate() {
            self.input(tensor.name())?;
            let name = tensor.name();
            if tensors[..index].iter().any(|other| other.name() == name) {
                return Err(SignatureError::Twice { name: name.into() });
            }
        }
        let mut first: Option<&Tensor> = None;
        for input in &self.inputs {
            let tensor = tensors.iter().find(|tensor| tensor.name() == input.name);
            let tensor = tensor.ok_or_else(|| input.missing())?;
            input.check(tensor.dtype(), tensor.shape())?;
            check_rows(first.get_or_insert(tensor), tensor)?;
        }
        Ok(())
    }

    /// The input named `name`.
    pub(crate) fn input(&self, name: &str) -> Result<&TensorSpec, SignatureError> {
        let found = self.inputs.iter().find(|input| input.name == name);
        found.ok_or_else(|| SignatureError::Unknown {
            name: name.to_owned(),
            inputs: self.inputs.len(),
            first_input: self.inputs.first().map(|input| input.name.clone()),
        })
    }
}

fn check_rows(first: &Tensor, tensor: &Tensor) -> Result<(), SignatureError> {
    let name = tensor.name().to_owned();
    if tensor.rows() == 0 {
        return Err(SignatureError::NoRows { name });
    }
    if tensor.rows() != first.rows() {
        return Err(SignatureError::Rows {
            name,
            first: first.name().to_owned(),
            expected: first.rows(),
            given: tensor.rows(),
        });
    }
    Ok(())
}

impl TensorSpec {
    /// Whether a tensor of this type and shape fits. Dimension 0 is the rows and not compared; an
    /// open dimension takes any size.
    pub fn check(&self, dtype: DType, shape: &[usize]) -> Result<(), SignatureError> {
        let fits = shape
            .split_first()
            .is_some_and(|(_, row_shape)| self.takes_row(row_shape));
        if dtype == self.dtype && fits {
            return Ok(());
        }
        Err(SignatureError::Mismatch {
            name: self.name.clone(),
            expected: self.describe(),
            given: Description {
                dtype,
                shape: known(shape),
            },
        })
    }

    pub(crate) fn missing(&self) -> SignatureError {
        SignatureError::Missing {
            name: self.name.clone(),
            expected: self.describe(),
        }
    }

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

/// Fixes the open dimension of a row, if there is one, so that a row has `elements`; false if no row
/// of these dimensions can have as many.
pub(crate) fn fix_row(dimensions: &mut [Option<usize>], elements: usize) -> bool {
    let mut known = 1usize;
    let mut open = None;
    for dimension in dimensions {
        match dimension {
            Some(size) => known = known.saturating_mul(*size),
            None if open.is_some() => return false,
            None => open = Some(dimension),
        }
    }
    match open {
        None => known == elements,
        Some(_) if known == 0 || !elements.is_multiple_of(known) => false,
        Some(dimension) => {
            *dimension = Some(elements / known);
            true
        }
    }
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
