//! The largest N of each row's values, as columns beside each other or as rows below each other.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

use super::layout::Projected;
use super::nested::{self, Part};

/// For each row the places of its largest values among all values, largest first.
struct Largest {
    leaves: ArrayRef,
    rows: Vec<Option<Row>>,
}

struct Row {
    start: usize,
    /// Places within the row.
    largest: Vec<usize>,
}

/// `n` pairs of index and value per row; null where a row has fewer values, or none.
pub(super) fn columns(
    column: &Projected,
    n: usize,
    parts: &[Part],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let largest = Largest::of(column, n, parts);
    let mut arrays = Vec::with_capacity(2 * n);
    for place in 0..n {
        let at = |row: &Option<Row>| {
            let row = row.as_ref()?;
            Some((row.start, *row.largest.get(place)?))
        };
        let found: Vec<Option<(usize, usize)>> = largest.rows.iter().map(at).collect();
        arrays.extend(largest.pair(&found)?);
    }
    Ok(arrays)
}

/// What turns each row into as many as it has largest values.
pub(super) struct Ranking {
    largest: Largest,
}

impl Ranking {
    pub(super) fn new(column: &Projected, n: usize, parts: &[Part]) -> Self {
        Self {
            largest: Largest::of(column, n, parts),
        }
    }

    /// Repeats the rows of all other columns, and adds rank (from 1), index and value. A row
    /// without values stays a single one, with nulls.
    pub(super) fn expand(&self, others: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        let (mut repeated, mut ranks, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (index, row) in (0u64..).zip(&self.largest.rows) {
            let Some(row) = row.as_ref().filter(|row| !row.largest.is_empty()) else {
                repeated.push(index);
                ranks.push(None);
                found.push(None);
                continue;
            };
            for (rank, place) in (1u32..).zip(&row.largest) {
                repeated.push(index);
                ranks.push(Some(rank));
                found.push(Some((row.start, *place)));
            }
        }
        let repeated = UInt64Array::from(repeated);
        let mut arrays = Vec::with_capacity(others.len() + 3);
        for other in others {
            arrays.push(take(other, &repeated, None)?);
        }
        arrays.push(Arc::new(UInt32Array::from(ranks)));
        arrays.extend(self.largest.pair(&found)?);
        Ok(arrays)
    }
}

impl Largest {
    fn of(column: &Projected, n: usize, parts: &[Part]) -> Self {
        let (leaves, cells) = nested::cells(column.dtype, parts);
        let row = |cells: Option<Range<usize>>| {
            let cells = cells?;
            Some(Row {
                start: cells.start,
                largest: largest(&leaves, cells, n),
            })
        };
        let rows = cells.into_iter().map(row).collect();
        Self { leaves, rows }
    }

    /// Indices within the rows, and values, of what was found.
    fn pair(&self, found: &[Option<(usize, usize)>]) -> Result<[ArrayRef; 2], ArrowError> {
        let index =
            |found: &Option<(usize, usize)>| found.and_then(|(_, place)| u32::try_from(place).ok());
        let indices: UInt32Array = found.iter().map(index).collect();
        let place =
            |found: &Option<(usize, usize)>| found.map(|(start, place)| (start + place) as u64);
        let places: UInt64Array = found.iter().map(place).collect();
        Ok([Arc::new(indices), take(&self.leaves, &places, None)?])
    }
}

fn largest(leaves: &ArrayRef, cells: Range<usize>, n: usize) -> Vec<usize> {
    match leaves.data_type() {
        DataType::Int8 => of::<Int8Type>(leaves, cells, n),
        DataType::Int16 => of::<Int16Type>(leaves, cells, n),
        DataType::Int32 => of::<Int32Type>(leaves, cells, n),
        DataType::Int64 => of::<Int64Type>(leaves, cells, n),
        DataType::UInt8 => of::<UInt8Type>(leaves, cells, n),
        DataType::UInt16 => of::<UInt16Type>(leaves, cells, n),
        DataType::UInt32 => of::<UInt32Type>(leaves, cells, n),
        DataType::UInt64 => of::<UInt64Type>(leaves, cells, n),
        DataType::Float32 => of::<Float32Type>(leaves, cells, n),
        DataType::Float64 => of::<Float64Type>(leaves, cells, n),
        _ => Vec::new(), // The layout lets numbers through only.
    }
}

/// The first of equal values wins; what is not a number is never among the largest.
fn of<T: ArrowPrimitiveType>(leaves: &ArrayRef, cells: Range<usize>, n: usize) -> Vec<usize> {
    let values = &leaves.as_primitive::<T>().values()[cells];
    let descending = |a: &usize, b: &usize| {
        let order = values[*b].partial_cmp(&values[*a]);
        order.unwrap_or(Ordering::Equal).then(a.cmp(b))
    };
    #[expect(
        clippy::eq_op,
        reason = "only what is not a number differs from itself"
    )]
    let is_number = |place: &usize| values[*place] == values[*place];
    let mut places: Vec<usize> = (0..values.len()).filter(is_number).collect();
    if places.len() > n {
        places.select_nth_unstable_by(n, descending);
        places.truncate(n);
    }
    places.sort_unstable_by(descending);
    places
}
