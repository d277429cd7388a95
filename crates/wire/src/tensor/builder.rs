//! Collects rows of one shape into one contiguous tensor: the batch that an engine gets.

use std::sync::Arc;

use arrow::buffer::MutableBuffer;

use super::{Data, Tensor, TensorError, VariableData, bad_shape, checked_product, known};
use crate::dtype::DType;

/// A tensor in the making; its data start at a 64-byte boundary.
#[derive(Debug)]
pub struct TensorBuilder {
    name: Arc<str>,
    dtype: DType,
    row_shape: Vec<usize>,
    rows: usize,
    data: Growing,
}

#[derive(Debug)]
pub(crate) enum Growing {
    Fixed(MutableBuffer),
    Variable(VariableData),
}

impl TensorBuilder {
    /// An empty tensor whose rows all have `row_shape`, with room for `capacity_rows`.
    /// Fails if that many rows cannot be addressed.
    pub fn new(
        name: impl Into<Arc<str>>,
        dtype: DType,
        row_shape: &[usize],
        capacity_rows: usize,
    ) -> Result<Self, TensorError> {
        let name = name.into();
        let size_bytes = dtype.element_size_bytes();
        let capacity = checked_product(row_shape)
            .and_then(|elements| elements.checked_mul(capacity_rows))
            .and_then(|elements| elements.checked_mul(size_bytes.unwrap_or(size_of::<usize>())))
            .filter(|&bytes| bytes <= isize::MAX as usize - 64)
            .ok_or_else(|| bad_shape(&name, row_shape))?;
        let data = match size_bytes {
            Some(_) => Growing::Fixed(MutableBuffer::with_capacity(capacity)),
            None => Growing::Variable(VariableData::with_capacity(
                capacity / size_of::<usize>(),
                0,
            )),
        };
        Ok(Self {
            name,
            dtype,
            row_shape: row_shape.to_vec(),
            rows: 0,
            data,
        })
    }

    /// The type of every element.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions of one row.
    pub fn row_shape(&self) -> &[usize] {
        &self.row_shape
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds every row of a tensor of the same type and row shape: one copy of memory.
    ///
    /// # Errors
    /// [`TensorError::DType`] or [`TensorError::RowShape`] if it is of another.
    pub fn append(&mut self, tensor: &Tensor) -> Result<(), TensorError> {
        let growing = self.begin_rows(tensor.rows(), tensor.dtype(), tensor.row_shape())?;
        match (growing, &tensor.data) {
            (Growing::Fixed(bytes), Data::Fixed(more)) => bytes.extend_from_slice(more.as_slice()),
            (Growing::Variable(elements), Data::Variable(more)) => {
                for element in more.iter() {
                    elements.push(element);
                }
            }
            // The types are the same, and a type has one kind of data.
            (Growing::Fixed(_), Data::Variable(_)) | (Growing::Variable(_), Data::Fixed(_)) => {}
        }
        Ok(())
    }

    /// The tensor of all rows so far.
    pub fn finish(self) -> Tensor {
        let mut shape = Vec::with_capacity(1 + self.row_shape.len());
        shape.push(self.rows);
        shape.extend_from_slice(&self.row_shape);
        Tensor {
            name: self.name,
            dtype: self.dtype,
            shape,
            data: match self.data {
                Growing::Fixed(bytes) => Data::Fixed(bytes.into()),
                Growing::Variable(data) => Data::Variable(data),
            },
        }
    }

    /// The place for `rows` more rows of `dtype` and `row_shape`, which the caller must then fill.
    pub(crate) fn begin_rows(
        &mut self,
        rows: usize,
        dtype: DType,
        row_shape: &[usize],
    ) -> Result<&mut Growing, TensorError> {
        if dtype != self.dtype {
            return Err(TensorError::DType {
                name: Arc::clone(&self.name),
                expected: self.dtype,
                given: dtype.name(),
            });
        }
        if row_shape != self.row_shape {
            return Err(TensorError::RowShape {
                name: Arc::clone(&self.name),
                expected: known(&self.row_shape),
                given: known(row_shape),
            });
        }
        self.rows += rows;
        Ok(&mut self.data)
    }
}
