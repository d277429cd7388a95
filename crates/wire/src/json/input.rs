//! One model input while its values come in.

use std::sync::Arc;

use crate::signature::fix_row;
use crate::{DType, Limits, SparseTensor, Tensor, TensorError, TensorSpec};

use super::element::Boolean;
use super::fixed::FixedValues;
use super::float::Real;
use super::integer::Integer;
use super::limits::JsonLimits;
use super::nested::read_nested;
use super::request::Format;
use super::rounding::{Brain, Half};
use super::scanner::Scanner;
use super::sparse::{self, SparseRows, not_sparse};
use super::stop::{NotSparse, Stop};
use super::text::TextValues;

/// The values of one input so far, and the shape that the next must have.
#[derive(Debug)]
pub(super) struct Input<'s> {
    spec: &'s TensorSpec,
    /// Dimensions of one value: without the rows in row format, with them in column format.
    dimensions: Vec<Option<usize>>,
    values: Values,
    /// Values read: rows in row format, at most one in column format.
    count: usize,
    sparse: Sparseness,
    limits: JsonLimits,
}

/// Whether rows may be sparse, and where the elements of those that are stand.
#[derive(Debug)]
enum Sparseness {
    /// Not here.
    Never,
    /// The first row decides.
    Open,
    Dense,
    Sparse(Box<SparseRows>),
}

/// What an input becomes.
pub(super) enum Finished {
    Dense(Tensor),
    Sparse(SparseTensor),
}

#[derive(Debug)]
enum Values {
    Fixed(FixedValues),
    Text(TextValues),
}

impl<'s> Input<'s> {
    /// `None` if the specification has no dimension for rows or more dimensions than any tensor.
    pub(super) fn new(spec: &'s TensorSpec, limits: &JsonLimits) -> Option<Self> {
        if spec.shape.is_empty() || spec.shape.len() > Limits::MAX_RANK {
            return None;
        }
        let values = match spec.dtype {
            DType::String | DType::Bytes => Values::Text(TextValues::new(spec.dtype, limits)),
            _ => Values::Fixed(FixedValues::new(limits)),
        };
        Some(Self {
            spec,
            dimensions: Vec::new(),
            values,
            count: 0,
            sparse: Sparseness::Never,
            limits: limits.clone(),
        })
    }

    /// Fixes what one value is. Dimension 0 of the specification is the rows and open.
    pub(super) fn set_format(&mut self, format: Format) {
        self.dimensions = match format {
            Format::Row => self.spec.shape.iter().skip(1).copied().collect(),
            Format::Column => self.spec.shape.clone(),
        };
        if let (Format::Column, Some(rows)) = (format, self.dimensions.first_mut()) {
            *rows = None;
        }
        if format == Format::Row && !self.dimensions.is_empty() {
            self.sparse = Sparseness::Open;
        }
    }

    /// Fixes all dimensions of the only value, the rows included.
    pub(super) fn set_dimensions(&mut self, dimensions: &[usize]) {
        self.dimensions = dimensions.iter().map(|&size| Some(size)).collect();
    }

    pub(super) fn spec(&self) -> &'s TensorSpec {
        self.spec
    }

    /// What the next value must look like.
    pub(super) fn dimensions(&self) -> &[Option<usize>] {
        &self.dimensions
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Reads one value; the first sets the shape for all.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        if scanner.peek() == Some(b'{') && sparse::is_sparse(scanner) {
            self.read_sparse(scanner)?;
            self.count += 1;
            return Ok(());
        }
        match self.sparse {
            Sparseness::Open => self.sparse = Sparseness::Dense,
            Sparseness::Sparse(_) => return Err(not_sparse(NotSparse::Mixed, scanner)),
            Sparseness::Dense | Sparseness::Never => {}
        }
        let dimensions = &mut self.dimensions;
        match &mut self.values {
            Values::Text(text) => read_nested(scanner, dimensions, text),
            Values::Fixed(fixed) => read_fixed(scanner, dimensions, (fixed, self.spec.dtype)),
        }?;
        self.count += 1;
        Ok(())
    }

    fn read_sparse(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        let rows = match &mut self.sparse {
            Sparseness::Never => return Err(not_sparse(NotSparse::Elsewhere, scanner)),
            Sparseness::Dense => return Err(not_sparse(NotSparse::Mixed, scanner)),
            Sparseness::Sparse(rows) => rows,
            place @ Sparseness::Open => {
                let rows = SparseRows::new(self.dimensions.len(), &self.limits);
                *place = Sparseness::Sparse(Box::new(rows));
                match place {
                    Sparseness::Sparse(rows) => rows,
                    _ => unreachable!("it was set to be sparse"),
                }
            }
        };
        let dtype = self.spec.dtype;
        let values = &mut self.values;
        rows.read(scanner, &self.dimensions, |scanner| match values {
            Values::Text(text) => {
                read_nested(scanner, &mut [None], text)?;
                Ok(text.len())
            }
            Values::Fixed(fixed) => {
                read_fixed(scanner, &mut [None], (fixed, dtype))?;
                Ok(fixed.len())
            }
        })
    }

    /// Reads one row that is written as one value or as a flat list of `elements` values, which fit
    /// the row's shape.
    pub(super) fn read_flat(
        &mut self,
        scanner: &mut Scanner<'_>,
        elements: usize,
    ) -> Result<(), Stop> {
        let is_list = scanner.peek() == Some(b'[');
        let flat = &mut [Some(elements)][..usize::from(is_list)];
        match &mut self.values {
            Values::Text(text) => read_nested(scanner, flat, text),
            Values::Fixed(fixed) => read_fixed(scanner, flat, (fixed, self.spec.dtype)),
        }?;
        self.count += 1;
        Ok(())
    }

    /// Fixes the open dimension of a row, if there is one, so that a row has `elements`; false if
    /// no row of this input can have as many.
    pub(super) fn fix_row(&mut self, elements: usize) -> bool {
        fix_row(&mut self.dimensions, elements)
    }

    /// The tensor of all values; `rows` are the instances in row format.
    pub(super) fn finish(self, format: Format) -> Result<Finished, TensorError> {
        let sparse = match self.sparse {
            Sparseness::Sparse(rows) => Some(rows),
            _ => None,
        };
        let mut shape = Vec::with_capacity(self.spec.shape.len());
        if format == Format::Row {
            shape.push(self.count);
        }
        match &sparse {
            Some(rows) => shape = vec![rows.elements()],
            None => shape.extend(self.dimensions.iter().map(|size| size.unwrap_or(0))),
        }
        let name: Arc<str> = Arc::from(self.spec.name.as_str());
        let dtype = self.spec.dtype;
        let tensor = match self.values {
            Values::Text(text) => Tensor::variable(name, dtype, shape, text.finish())?,
            Values::Fixed(fixed) => {
                let size_bytes = dtype.element_size_bytes().unwrap_or(1);
                Tensor::fixed(name, dtype, shape, fixed.finish(size_bytes))?
            }
        };
        Ok(match sparse {
            Some(rows) => Finished::Sparse(rows.finish(tensor)),
            None => Finished::Dense(tensor),
        })
    }
}

fn read_fixed(
    scanner: &mut Scanner<'_>,
    dimensions: &mut [Option<usize>],
    (values, dtype): (&mut FixedValues, DType),
) -> Result<(), Stop> {
    match dtype {
        DType::Bool => read_nested(scanner, dimensions, &mut values.of::<Boolean>()),
        DType::Int8 => read_nested(scanner, dimensions, &mut values.of::<Integer<i8>>()),
        DType::Int16 => read_nested(scanner, dimensions, &mut values.of::<Integer<i16>>()),
        DType::Int32 => read_nested(scanner, dimensions, &mut values.of::<Integer<i32>>()),
        DType::Int64 => read_nested(scanner, dimensions, &mut values.of::<Integer<i64>>()),
        DType::Uint8 => read_nested(scanner, dimensions, &mut values.of::<Integer<u8>>()),
        DType::Uint16 => read_nested(scanner, dimensions, &mut values.of::<Integer<u16>>()),
        DType::Uint32 => read_nested(scanner, dimensions, &mut values.of::<Integer<u32>>()),
        DType::Uint64 => read_nested(scanner, dimensions, &mut values.of::<Integer<u64>>()),
        DType::Float16 => read_nested(scanner, dimensions, &mut values.of::<Real<Half>>()),
        DType::Bfloat16 => read_nested(scanner, dimensions, &mut values.of::<Real<Brain>>()),
        DType::Float32 => read_nested(scanner, dimensions, &mut values.of::<Real<f32>>()),
        DType::Float64 => read_nested(scanner, dimensions, &mut values.of::<Real<f64>>()),
        DType::String | DType::Bytes => unreachable!("text inputs have text values"),
    }
}
