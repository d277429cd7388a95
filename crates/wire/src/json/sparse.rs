//! Sparse rows as Cluster Serving's clients send them: `{"shape": […], "data": […], "indices": [[…], …]}`.

use crate::sparse::check_row;
use crate::tensor::checked_product;
use crate::{SparseFault, SparsePlaces, SparseTensor, Tensor};

use super::fixed::FixedValues;
use super::integer::Integer;
use super::limits::JsonLimits;
use super::nested::read_nested;
use super::scanner::{Next, Scanner};
use super::stop::{Fault, NotSparse, Stop};

/// Where the elements of an input's sparse rows stand, so far.
#[derive(Debug)]
pub(super) struct SparseRows {
    rank: usize,
    /// int32, `rank` per row.
    shapes: FixedValues,
    /// int32, `rank` per element.
    indices: FixedValues,
    ends: Vec<usize>,
    /// Elements that the rows may still stand for.
    elements_left: usize,
}

/// True for an object that begins like a sparse tensor.
pub(super) fn is_sparse(token: &Scanner<'_>) -> bool {
    let mut scanner = token.clone();
    scanner.take(b'{') && scanner.key().is_ok_and(|key| is_sparse_key(&key))
}

/// True for the keys of a sparse tensor.
pub(super) fn is_sparse_key(key: &[u8]) -> bool {
    matches!(key, b"shape" | b"data" | b"indices")
}

/// The stop for an object at the scanner's place.
#[cold]
pub(super) fn not_sparse(fault: NotSparse, scanner: &Scanner<'_>) -> Stop {
    Stop {
        fault: Fault::Sparse(fault),
        at: scanner.at(),
    }
}

impl SparseRows {
    pub(super) fn new(rank: usize, limits: &JsonLimits) -> Self {
        Self {
            rank,
            shapes: FixedValues::new(limits),
            indices: FixedValues::new(limits),
            ends: Vec::new(),
            elements_left: limits.max_elements,
        }
    }

    /// Elements of all rows.
    pub(super) fn elements(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Reads one row whose shape must go with `dimensions`. `data` reads a flat list of elements and
    /// returns how many there are, those of earlier rows counted.
    pub(super) fn read(
        &mut self,
        scanner: &mut Scanner<'_>,
        dimensions: &[Option<usize>],
        mut data: impl FnMut(&mut Scanner<'_>) -> Result<usize, Stop>,
    ) -> Result<(), Stop> {
        let object = scanner.clone();
        let (first_size, first_index) = (self.shapes.len(), self.indices.len());
        let mut end = None;
        let mut seen = [false; 3];
        let mut shape_at = object.clone();
        scanner.take(b'{');
        loop {
            let key = scanner.key()?;
            let member = match key.as_ref() {
                b"shape" => 0,
                b"data" => 1,
                b"indices" => 2,
                _ => return Err(not_sparse(NotSparse::Members, &object)),
            };
            if std::mem::replace(&mut seen[member], true) {
                return Err(not_sparse(NotSparse::Members, &object));
            }
            scanner.peek();
            match member {
                0 => {
                    shape_at = scanner.clone();
                    self.read_shape(scanner)?;
                }
                1 => end = Some(data(scanner).map_err(|stop| not_a_list(stop, scanner, &object))?),
                _ => self.read_indices(scanner)?,
            }
            if scanner.after_member()? == Next::Closed {
                break;
            }
        }
        let (Some(end), [true, true, true]) = (end, seen) else {
            return Err(not_sparse(NotSparse::Members, &object));
        };
        let shape: &[i32] = self.shapes.from(first_size);
        let elements = fitting(shape, dimensions);
        let elements = elements.ok_or_else(|| not_sparse(NotSparse::Shape, &shape_at))?;
        self.elements_left = self.elements_left.checked_sub(elements).ok_or(Stop {
            fault: Fault::TooManyElements,
            at: object.at(),
        })?;
        let indices: &[i32] = self.indices.from(first_index);
        let checked = match indices.len() == (end - self.elements()) * self.rank {
            true => check_row(shape, indices),
            false => Err(SparseFault::Length),
        };
        checked.map_err(|fault| not_sparse(NotSparse::Places(fault), &object))?;
        self.ends.push(end);
        Ok(())
    }

    fn read_shape(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        let start = scanner.clone();
        let read = read_nested(
            scanner,
            &mut [Some(self.rank)],
            &mut self.shapes.of::<Integer<i32>>(),
        );
        read.map_err(|stop| match stop.fault {
            Fault::Syntax(_) => stop,
            _ => not_sparse(NotSparse::Shape, &start),
        })
    }

    fn read_indices(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        let start = scanner.clone();
        let mut ahead = scanner.clone();
        if ahead.take(b'[') && ahead.take(b']') {
            *scanner = ahead;
            return Ok(());
        }
        let read = read_nested(
            scanner,
            &mut [None, Some(self.rank)],
            &mut self.indices.of::<Integer<i32>>(),
        );
        read.map_err(|stop| {
            let fault = match stop.fault {
                Fault::Size { .. } => NotSparse::Places(SparseFault::Length),
                Fault::OutOfRange => NotSparse::Places(SparseFault::Outside),
                Fault::NotAList { .. } | Fault::WrongType => NotSparse::Members,
                _ => return stop,
            };
            not_sparse(fault, &start)
        })
    }

    /// The tensor of all rows, whose elements are `values`.
    pub(super) fn finish(self, values: Tensor) -> SparseTensor {
        let places = SparsePlaces {
            rank: self.rank,
            shapes: self.shapes.from(0).to_vec(),
            ends: self.ends,
            indices: self.indices.from(0).to_vec(),
        };
        SparseTensor::new(places, values).expect("every row was checked when it was read")
    }
}

/// The stop for data that are no flat list; what is wrong with an element stays as it is.
#[cold]
fn not_a_list(stop: Stop, scanner: &Scanner<'_>, object: &Scanner<'_>) -> Stop {
    let is_list = scanner.bytes().get(stop.at) == Some(&b'[');
    match stop.fault {
        Fault::Size { .. } | Fault::NotAList { .. } => not_sparse(NotSparse::Members, object),
        Fault::WrongType if is_list => not_sparse(NotSparse::Members, object),
        _ => stop,
    }
}

/// How many elements rows of this shape have, if the input takes such rows.
fn fitting(shape: &[i32], dimensions: &[Option<usize>]) -> Option<usize> {
    let mut sizes = Vec::with_capacity(shape.len());
    for (&size, dimension) in shape.iter().zip(dimensions) {
        let size = usize::try_from(size).ok()?;
        if dimension.is_some_and(|dimension| dimension != size) {
            return None;
        }
        sizes.push(size);
    }
    checked_product(&sizes).filter(|_| sizes.len() == dimensions.len())
}
