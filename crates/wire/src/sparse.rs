//! Rows of which only the elements that are not zero are there, each with its place (COO).

use std::sync::Arc;

use crate::dtype::DType;
use crate::quote::Name;
use crate::tensor::{Tensor, checked_product};

/// A named tensor of sparse rows; dense it would have the rows as dimension 0.
#[derive(Debug, Clone)]
pub struct SparseTensor {
    places: SparsePlaces,
    /// All elements of all rows, of shape `[elements]`; it has the tensor's name and type.
    values: Tensor,
}

/// Where the elements of sparse rows stand.
#[derive(Debug, Clone, Default)]
pub struct SparsePlaces {
    /// Dimensions of one row, at least 1.
    pub rank: usize,
    /// The sizes of each row's dimensions: `rows * rank` numbers.
    pub shapes: Vec<i32>,
    /// For each row, one past its last element.
    pub ends: Vec<usize>,
    /// For each element, its index in every dimension: `elements * rank` numbers.
    pub indices: Vec<i32>,
}

/// Why places and values are no sparse tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sparse tensor {}: {fault}", Name(.name))]
pub struct SparseError {
    /// The tensor's name.
    pub name: Arc<str>,
    /// What is wrong.
    #[source]
    pub fault: SparseFault,
}

/// What can be wrong with a sparse row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SparseFault {
    /// Numbers of indices, values, rows and dimensions do not go together.
    #[error("indices and values differ in number")]
    Length,
    /// A dimension is negative, or all of them together are beyond counting.
    #[error("its shape is negative or too large")]
    Shape,
    /// An index is negative or not below its dimension.
    #[error("an index is outside the shape")]
    Outside,
    /// Two elements have the same place.
    #[error("two elements have the same index")]
    Duplicate,
}

impl SparseTensor {
    /// Checks that every element has a place of its own within its row.
    ///
    /// # Errors
    /// What is wrong with the first row that is not right.
    pub fn new(places: SparsePlaces, values: Tensor) -> Result<Self, SparseError> {
        match places.check(values.shape()) {
            Ok(()) => Ok(Self { places, values }),
            Err(fault) => Err(SparseError {
                name: Arc::from(values.name()),
                fault,
            }),
        }
    }

    /// The input's name.
    pub fn name(&self) -> &str {
        self.values.name()
    }

    /// The type of every element.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.places.ends.len()
    }

    /// Where the elements stand.
    pub fn places(&self) -> &SparsePlaces {
        &self.places
    }

    /// All elements, of shape `[elements]`.
    pub fn values(&self) -> &Tensor {
        &self.values
    }
}

impl SparsePlaces {
    fn check(&self, values_shape: &[usize]) -> Result<(), SparseFault> {
        let elements = self.ends.last().copied().unwrap_or(0);
        let ascend = self.ends.is_sorted();
        let numbers = [self.ends.len(), elements].map(|count| count.checked_mul(self.rank));
        if self.rank == 0
            || !ascend
            || values_shape != [elements]
            || numbers != [Some(self.shapes.len()), Some(self.indices.len())]
        {
            return Err(SparseFault::Length);
        }
        let mut start = 0;
        for (shape, &end) in self.shapes.chunks_exact(self.rank).zip(&self.ends) {
            let indices = &self.indices[start * self.rank..end * self.rank];
            check_row(shape, indices)?;
            start = end;
        }
        Ok(())
    }
}

/// Checks one row: `indices` are those of its elements, one after the other.
pub(crate) fn check_row(shape: &[i32], indices: &[i32]) -> Result<(), SparseFault> {
    let shape = row_shape(shape)?;
    let mut places = Places::new(&shape)?;
    for index in indices.chunks_exact(shape.len().max(1)) {
        places.add(index.iter().map(|&index| i64::from(index)))?;
    }
    places.finish()
}

fn row_shape(shape: &[i32]) -> Result<Vec<usize>, SparseFault> {
    let mut sizes = Vec::with_capacity(shape.len());
    for &size in shape {
        sizes.push(usize::try_from(size).map_err(|_| SparseFault::Shape)?);
    }
    Ok(sizes)
}

/// The places of a row's elements while they are checked.
pub(crate) struct Places<'s> {
    shape: &'s [usize],
    last: Option<usize>,
    /// All places so far.
    all: Vec<usize>,
    sorted: bool,
}

impl<'s> Places<'s> {
    pub(crate) fn new(shape: &'s [usize]) -> Result<Self, SparseFault> {
        checked_product(shape).ok_or(SparseFault::Shape)?;
        Ok(Self {
            shape,
            last: None,
            all: Vec::new(),
            sorted: true,
        })
    }

    /// Takes one element's index in every dimension.
    pub(crate) fn add(&mut self, index: impl Iterator<Item = i64>) -> Result<(), SparseFault> {
        let place = dense_place(self.shape, index).ok_or(SparseFault::Outside)?;
        self.sorted &= self.last.is_none_or(|last| last < place);
        self.last = Some(place);
        self.all.push(place);
        Ok(())
    }

    /// Whether no place was taken twice.
    pub(crate) fn finish(mut self) -> Result<(), SparseFault> {
        if self.sorted {
            return Ok(());
        }
        self.all.sort_unstable();
        match self.all.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(SparseFault::Duplicate),
            false => Ok(()),
        }
    }
}

/// Where in its dense row an element stands; `None` if outside. The row's elements can be counted.
pub(crate) fn dense_place(shape: &[usize], index: impl Iterator<Item = i64>) -> Option<usize> {
    let mut place = 0;
    for (&size, index) in shape.iter().zip(index) {
        let index = usize::try_from(index).ok().filter(|&index| index < size)?;
        place = place * size + index;
    }
    Some(place)
}
