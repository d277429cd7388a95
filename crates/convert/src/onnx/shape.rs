//! Shapes of values: fixed sizes, the batch, and what is only known when the model runs.

use std::fmt;
use std::str::FromStr;

use crate::error::{LayerResult, Problem};

/// More elements than any tensor of a model has (2^31 - 1 bytes is what an ONNX file may hold).
const MAX_ELEMENTS: u64 = 1 << 32;

/// One dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Rows of the batch, whatever their number.
    Batch,
    /// A size that is known when the model is converted.
    Fixed(u64),
    /// Known only when the model runs.
    Open,
}

/// Dimensions of a value, the outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(pub Vec<Dim>);

impl Shape {
    /// A shape without batch.
    pub fn fixed(sizes: &[u64]) -> Self {
        Self(sizes.iter().map(|&size| Dim::Fixed(size)).collect())
    }

    /// A batch of rows of these sizes.
    pub fn rows_of(sizes: &[u64]) -> Self {
        let row = sizes.iter().map(|&size| Dim::Fixed(size));
        Self(std::iter::once(Dim::Batch).chain(row).collect())
    }

    /// How many dimensions there are.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The size of a dimension that must be known.
    ///
    /// # Errors
    ///
    /// If there is no such dimension, or it is the batch, or open.
    pub fn size(&self, axis: usize) -> LayerResult<u64> {
        match self.0.get(axis) {
            Some(Dim::Fixed(size)) => Ok(*size),
            Some(Dim::Batch) => Err(Problem::MixesRows(format!("axis {axis}"))),
            Some(Dim::Open) => Err(Problem::Misfit(format!(
                "the size of axis {axis} is not known"
            ))),
            None => Err(Problem::Misfit(format!(
                "there is no axis {axis} in {self}"
            ))),
        }
    }

    /// Product of the sizes of `axes`, all of which must be known.
    ///
    /// # Errors
    ///
    /// As [`Shape::size`], and if the product is larger than any tensor.
    pub fn count(&self, axes: std::ops::Range<usize>) -> LayerResult<u64> {
        let mut product = 1_u64;
        for axis in axes {
            product = checked(product.checked_mul(self.size(axis)?))?;
        }
        Ok(product)
    }

    /// The same with another size at one axis (which must exist).
    #[must_use]
    pub fn with(&self, axis: usize, dim: Dim) -> Self {
        let mut changed = self.clone();
        if let Some(place) = changed.0.get_mut(axis) {
            *place = dim;
        }
        changed
    }
}

/// A number of elements that a tensor can have.
pub(crate) fn checked(elements: Option<u64>) -> LayerResult<u64> {
    elements
        .filter(|&elements| elements <= MAX_ELEMENTS)
        .ok_or_else(|| Problem::Misfit("it has more elements than any tensor".to_owned()))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, dim) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            match dim {
                Dim::Batch => f.write_str("N")?,
                Dim::Fixed(size) => write!(f, "{size}")?,
                Dim::Open => f.write_str("?")?,
            }
        }
        f.write_str("]")
    }
}

impl FromStr for Shape {
    type Err = Problem;

    /// As people write shapes: `N,3,224,224`, with `?` for what is open.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let dim = |part: &str| match part.trim() {
            "N" => Ok(Dim::Batch),
            "?" => Ok(Dim::Open),
            size => match size.parse() {
                Ok(size) if size > 0 => Ok(Dim::Fixed(size)),
                _ => Err(Problem::Misfit(format!(
                    "{size:?} in shape {text} is neither a size nor N nor ?"
                ))),
            },
        };
        text.split(',').map(dim).collect::<Result<_, _>>().map(Self)
    }
}

/// Element types that converted models use, with ONNX's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ElementType {
    /// float32
    Float = 1,
    /// int32
    Int32 = 6,
    /// int64
    Int64 = 7,
    /// bool
    Bool = 9,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_people_write_them() {
        let shape: Shape = "N, 3,?".parse().unwrap();
        assert_eq!(shape.0, [Dim::Batch, Dim::Fixed(3), Dim::Open]);
        for bad in ["", "N,", "N,0", "N,-1", "N,x", "N,99999999999999999999"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad}");
        }
    }
}
