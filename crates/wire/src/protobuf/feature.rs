//! `tensorflow.Feature`, row after row, to the tensor of one input.

use half::{bf16, f16};

use super::ProtobufError;
use super::fields::{Field, Fields, Value, malformed, take_varint};
use super::scalars::put;
use crate::dtype::DType;
use crate::quote::{Name, Shape};
use crate::signature::fix_row;
use crate::{Limits, Tensor, TensorSpec, VariableData};

/// What a feature holds; the numbers are those of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes = 1,
    Float = 2,
    Int64 = 3,
}

impl Kind {
    fn numbered(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Bytes),
            2 => Some(Self::Float),
            3 => Some(Self::Int64),
            _ => None,
        }
    }

    /// The only kind whose values an input of this type takes.
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::String | DType::Bytes => Self::Bytes,
            DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64 => Self::Float,
            _ => Self::Int64,
        }
    }

    fn list(self) -> &'static str {
        match self {
            Self::Bytes => "bytes_list",
            Self::Float => "float_list",
            Self::Int64 => "int64_list",
        }
    }
}

/// The values of one input so far.
pub(super) struct Column<'s> {
    spec: &'s TensorSpec,
    /// Of one row; the first row fixes an open one.
    dimensions: Vec<Option<usize>>,
    rows: usize,
    max_elements: usize,
    elements: usize,
    fixed: Vec<u8>,
    variable: VariableData,
}

impl<'s> Column<'s> {
    pub(super) fn new(spec: &'s TensorSpec, limits: &Limits) -> Self {
        // Text costs its bytes and the place where it ends.
        let element = spec.dtype.element_size_bytes();
        let size_bytes = element.unwrap_or(size_of::<usize>());
        Self {
            spec,
            dimensions: spec.shape.iter().skip(1).copied().collect(),
            rows: 0,
            max_elements: limits
                .max_elements
                .min(limits.max_record_bytes / size_bytes),
            elements: 0,
            fixed: Vec::new(),
            variable: VariableData::new(),
        }
    }

    pub(super) fn name(&self) -> &'s str {
        &self.spec.name
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the values take so far.
    pub(super) fn size_bytes(&self) -> usize {
        let ends = self.variable.len() * size_of::<usize>();
        self.fixed.len() + self.variable.bytes().len() + ends
    }

    /// Reads the feature of the next row.
    pub(super) fn read(&mut self, feature: &[u8]) -> Result<(), ProtobufError> {
        let (kind, list) = self.list(feature)?;
        let expected = Kind::of(self.spec.dtype);
        if kind != expected {
            return Err(self.invalid(format!(
                "is {}, but {} takes {}",
                kind.list(),
                self.spec.dtype,
                expected.list()
            )));
        }
        let before = self.elements;
        let mut values = Fields::of(list);
        while let Some(value) = values.next()? {
            if value.number == 1 {
                self.push(kind, &value)?;
            }
        }
        let elements = self.elements - before;
        if !fix_row(&mut self.dimensions, elements) {
            return Err(self.invalid(format!(
                "has {elements} elements, expected a row of shape {}",
                Shape(&self.dimensions)
            )));
        }
        self.rows += 1;
        Ok(())
    }

    /// The one list that a feature has.
    fn list<'a>(&self, feature: &'a [u8]) -> Result<(Kind, &'a [u8]), ProtobufError> {
        let mut found = None;
        let mut fields = Fields::of(feature);
        while let Some(field) = fields.next()? {
            let Some(kind) = Kind::numbered(field.number) else {
                continue;
            };
            if found.is_some() {
                return Err(self.invalid("has more than one list".to_owned()));
            }
            found = Some((kind, field.bytes()?));
        }
        found.ok_or_else(|| self.invalid("has no list of values".to_owned()))
    }

    /// Appends what one field holds: one value, or packed ones.
    fn push(&mut self, kind: Kind, field: &Field<'_>) -> Result<(), ProtobufError> {
        match (kind, field.value) {
            (Kind::Bytes, Value::Bytes(value)) => {
                self.grow(1)?;
                self.variable.push(value);
                Ok(())
            }
            (Kind::Float, Value::Fixed32(value)) => self.push_floats(value),
            (Kind::Float, Value::Bytes(packed)) => self.push_floats(packed),
            (Kind::Int64, Value::Varint(number)) => self.push_int64(number.cast_signed()),
            (Kind::Int64, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    self.push_int64(take_varint(&mut packed)?.cast_signed())?;
                }
                Ok(())
            }
            _ => Err(malformed("a field has the wrong wire type")),
        }
    }

    fn push_floats(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(malformed("packed numbers end in the middle of one"));
        }
        self.grow(floats.len())?;
        let out = &mut self.fixed;
        let singles = floats.iter().map(|bytes| f32::from_le_bytes(*bytes));
        match self.spec.dtype {
            DType::Float64 => singles.for_each(|it| out.extend(f64::from(it).to_le_bytes())),
            DType::Float16 => singles.for_each(|it| out.extend(f16::from_f32(it).to_le_bytes())),
            DType::Bfloat16 => singles.for_each(|it| out.extend(bf16::from_f32(it).to_le_bytes())),
            _ => out.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn push_int64(&mut self, number: i64) -> Result<(), ProtobufError> {
        self.grow(1)?;
        let bytes = &mut self.fixed;
        let fits = match self.spec.dtype {
            DType::Bool => {
                matches!(number, 0 | 1) && put(bytes, Ok::<_, ()>([u8::from(number != 0)]))
            }
            DType::Int8 => put(bytes, i8::try_from(number).map(i8::to_le_bytes)),
            DType::Int16 => put(bytes, i16::try_from(number).map(i16::to_le_bytes)),
            DType::Int32 => put(bytes, i32::try_from(number).map(i32::to_le_bytes)),
            DType::Uint8 => put(bytes, u8::try_from(number).map(u8::to_le_bytes)),
            DType::Uint16 => put(bytes, u16::try_from(number).map(u16::to_le_bytes)),
            DType::Uint32 => put(bytes, u32::try_from(number).map(u32::to_le_bytes)),
            DType::Uint64 => put(bytes, u64::try_from(number).map(u64::to_le_bytes)),
            _ => put(bytes, Ok::<_, ()>(number.to_le_bytes())),
        };
        match fits {
            true => Ok(()),
            false => Err(self.invalid(format!(
                "has {number}, which does not fit {}",
                self.spec.dtype
            ))),
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), ProtobufError> {
        self.elements += by;
        match self.elements > self.max_elements {
            true => Err(ProtobufError::too_large(format!(
                "feature {}: more than {} elements in all examples",
                Name(&self.spec.name),
                self.max_elements
            ))),
            false => Ok(()),
        }
    }

    fn invalid(&self, what: String) -> ProtobufError {
        let (name, row) = (Name(&self.spec.name), self.rows);
        ProtobufError::invalid(format!("feature {name} in example {row} {what}"))
    }

    /// The tensor of all rows.
    pub(super) fn finish(self) -> Result<Tensor, ProtobufError> {
        let mut shape = vec![self.rows];
        shape.extend(self.dimensions.iter().map(|size| size.unwrap_or(0)));
        let (name, dtype) = (self.spec.name.as_str(), self.spec.dtype);
        let tensor = match dtype.element_size_bytes() {
            Some(_) => Tensor::fixed(name, dtype, shape, self.fixed.into()),
            None => Tensor::variable(name, dtype, shape, self.variable),
        };
        tensor.map_err(|error| ProtobufError::invalid(error.to_string()))
    }
}
