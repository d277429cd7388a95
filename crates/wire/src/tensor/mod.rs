//! The seam between wire formats and engines: one named, dense, row-major tensor.

mod builder;
mod variable;

use std::any::TypeId;
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::ArrowNativeType;
use half::f16;

pub(crate) use builder::Growing;
pub use builder::TensorBuilder;
pub use variable::VariableData;

use crate::dtype::DType;
use crate::quote::{Name, Shape};

/// A named tensor, row-major and little-endian; dimension 0 of its shape counts rows (instances).
#[derive(Debug, Clone)]
pub struct Tensor {
    name: Arc<str>,
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    Fixed(Buffer),
    Variable(VariableData),
}

/// Why a tensor cannot be built or copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The data are not as long as the shape says.
    #[error("tensor {} of shape {} needs {expected} {unit}, got {given}", Name(.name), Shape(.shape))]
    Length {
        /// The tensor's name.
        name: Arc<str>,
        /// The shape that was asked for.
        shape: Vec<Option<usize>>,
        /// `bytes` or `elements`.
        unit: &'static str,
        /// What the shape needs.
        expected: usize,
        /// What the data hold.
        given: usize,
    },
    /// The shape is empty, or its product does not fit into memory.
    #[error("tensor {} cannot have shape {}", Name(.name), Shape(.shape))]
    Shape {
        /// The tensor's name.
        name: Arc<str>,
        /// The shape that was asked for.
        shape: Vec<Option<usize>>,
    },
    /// The type and the kind of data, or the two types of a copy, do not go together.
    #[error("tensor {} is of type {expected}, got {given}", Name(.name))]
    DType {
        /// The tensor's name.
        name: Arc<str>,
        /// The tensor's type.
        expected: DType,
        /// What was given: a type, or `fixed-size data`, `variable-size data`.
        given: &'static str,
    },
    /// A value that the type forbids: text that is not UTF-8, a boolean other than 0 and 1.
    #[error("tensor {} of type {dtype} holds a value that is not {dtype}", Name(.name))]
    Value {
        /// The tensor's name.
        name: Arc<str>,
        /// The tensor's type.
        dtype: DType,
    },
    /// The rows do not have the shape of the tensor that they should join.
    #[error("tensor {} has rows of shape {}, got a row of shape {}", Name(.name), Shape(.expected), Shape(.given))]
    RowShape {
        /// The tensor's name.
        name: Arc<str>,
        /// The shape of the rows so far.
        expected: Vec<Option<usize>>,
        /// The shape of the row that differs.
        given: Vec<Option<usize>>,
    },
    /// Rows or a column that do not exist were asked for.
    #[error("rows {start}..{end} of column {column} do not exist")]
    Range {
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Index of the column.
        column: usize,
    },
}

impl Tensor {
    /// A tensor of any type but `String` and `Bytes`; `data` holds exactly its elements, a boolean
    /// as one byte of 0 or 1. Data that are not aligned for their type are copied.
    pub fn fixed(
        name: impl Into<Arc<str>>,
        dtype: DType,
        shape: Vec<usize>,
        data: Buffer,
    ) -> Result<Self, TensorError> {
        let name = name.into();
        let Some(size_bytes) = dtype.element_size_bytes() else {
            return Err(TensorError::DType {
                name,
                expected: dtype,
                given: "fixed-size data",
            });
        };
        let expected = checked_elements(&name, &shape)?.checked_mul(size_bytes);
        let expected = expected.ok_or_else(|| bad_shape(&name, &shape))?;
        if expected != data.len() {
            return Err(bad_length(&name, &shape, "bytes", [expected, data.len()]));
        }
        if dtype == DType::Bool && data.iter().any(|&byte| byte > 1) {
            return Err(TensorError::Value { name, dtype });
        }
        Ok(Self::from_checked_fixed(name, dtype, shape, data))
    }

    /// A tensor of `String` or `Bytes` with one entry of `data` per element.
    pub fn variable(
        name: impl Into<Arc<str>>,
        dtype: DType,
        shape: Vec<usize>,
        data: VariableData,
    ) -> Result<Self, TensorError> {
        let name = name.into();
        if dtype.element_size_bytes().is_some() {
            return Err(TensorError::DType {
                name,
                expected: dtype,
                given: "variable-size data",
            });
        }
        let expected = checked_elements(&name, &shape)?;
        if expected != data.len() {
            return Err(bad_length(
                &name,
                &shape,
                "elements",
                [expected, data.len()],
            ));
        }
        if dtype == DType::String && !data.is_utf8() {
            return Err(TensorError::Value { name, dtype });
        }
        Ok(Self {
            name,
            dtype,
            shape,
            data: Data::Variable(data),
        })
    }

    fn from_checked_fixed(name: Arc<str>, dtype: DType, shape: Vec<usize>, data: Buffer) -> Self {
        let align = dtype.element_size_bytes().unwrap_or(1);
        let data = if data.as_ptr().align_offset(align) == 0 {
            data
        } else {
            let mut aligned = MutableBuffer::with_capacity(data.len());
            aligned.extend_from_slice(data.as_slice());
            aligned.into()
        };
        Self {
            name,
            dtype,
            shape,
            data: Data::Fixed(data),
        }
    }

    /// The input's or output's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of every element.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// All dimensions; the first counts rows.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The dimensions of one row.
    pub fn row_shape(&self) -> &[usize] {
        &self.shape[1..]
    }

    /// Dimension 0.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// Elements in one row; 1 where the rows are scalars, 0 where a dimension is empty.
    pub fn elements_per_row(&self) -> usize {
        // Only a tensor without rows can have rows whose elements are beyond counting.
        checked_product(self.row_shape()).unwrap_or(0)
    }

    /// The elements as little-endian bytes; `None` for `String` and `Bytes`.
    pub fn fixed_bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Fixed(buffer) => Some(buffer.as_slice()),
            Data::Variable(_) => None,
        }
    }

    /// The elements as numbers, if `T` is the tensor's type: `bool` is read as `u8`, `Bfloat16` as its
    /// bits in `u16`, `Float16` as `half::f16`.
    pub fn typed<T: ArrowNativeType>(&self) -> Option<&[T]> {
        match &self.data {
            Data::Fixed(buffer) if native_type(self.dtype) == Some(TypeId::of::<T>()) => {
                Some(buffer.typed_data())
            }
            _ => None,
        }
    }

    /// The elements of a `String` or `Bytes` tensor; `None` for other types.
    pub fn elements(&self) -> Option<&VariableData> {
        match &self.data {
            Data::Fixed(_) => None,
            Data::Variable(data) => Some(data),
        }
    }

    /// The same elements in another shape of as many; shares the data where they are of fixed size.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, TensorError> {
        let expected = checked_elements(&self.name, &shape)?;
        let given = checked_product(&self.shape).unwrap_or(0);
        if expected != given {
            return Err(bad_length(
                &self.name,
                &shape,
                "elements",
                [expected, given],
            ));
        }
        Ok(Self { shape, ..self })
    }

    /// The same tensor under another name; shares the data where they are of fixed size.
    pub fn renamed(self, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }
}

/// A shape for a message, where every dimension is known.
pub(crate) fn known(shape: &[usize]) -> Vec<Option<usize>> {
    shape.iter().map(|&size| Some(size)).collect()
}

fn bad_shape(name: &Arc<str>, shape: &[usize]) -> TensorError {
    TensorError::Shape {
        name: Arc::clone(name),
        shape: known(shape),
    }
}

fn bad_length(
    name: &Arc<str>,
    shape: &[usize],
    unit: &'static str,
    [expected, given]: [usize; 2],
) -> TensorError {
    TensorError::Length {
        name: Arc::clone(name),
        shape: known(shape),
        unit,
        expected,
        given,
    }
}

fn checked_elements(name: &Arc<str>, shape: &[usize]) -> Result<usize, TensorError> {
    if shape.is_empty() {
        return Err(bad_shape(name, shape));
    }
    checked_product(shape).ok_or_else(|| bad_shape(name, shape))
}

/// The number of elements; 0 when any dimension is, even if the others would overflow.
pub(crate) fn checked_product(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut product = 1usize;
    for &size in shape {
        product = product.checked_mul(size)?;
    }
    Some(product)
}

fn native_type(dtype: DType) -> Option<TypeId> {
    match dtype {
        DType::Bool | DType::Uint8 => Some(TypeId::of::<u8>()),
        DType::Int8 => Some(TypeId::of::<i8>()),
        DType::Int16 => Some(TypeId::of::<i16>()),
        DType::Int32 => Some(TypeId::of::<i32>()),
        DType::Int64 => Some(TypeId::of::<i64>()),
        DType::Uint16 | DType::Bfloat16 => Some(TypeId::of::<u16>()),
        DType::Uint32 => Some(TypeId::of::<u32>()),
        DType::Uint64 => Some(TypeId::of::<u64>()),
        DType::Float16 => Some(TypeId::of::<f16>()),
        DType::Float32 => Some(TypeId::of::<f32>()),
        DType::Float64 => Some(TypeId::of::<f64>()),
        DType::String | DType::Bytes => None,
    }
}
