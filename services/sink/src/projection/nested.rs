//! Tensors as Arrow arrays: the values one after the other, wrapped in one list per dimension.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Float32Array, ListArray, PrimitiveArray, StringBuilder,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use millrace_wire::{DType, Tensor};

/// What stands in consecutive rows of one column.
pub(super) enum Part {
    /// As many rows as the tensor has.
    Rows(Tensor),
    /// Rows of failed records, this many.
    Nulls(usize),
}

/// The type of values of `dtype`, wrapped in `rank` lists.
pub(super) fn data_type(dtype: DType, rank: usize) -> DataType {
    (0..rank).fold(leaf_type(dtype), |inner, _| {
        DataType::List(element_field(inner))
    })
}

/// All values of the parts one after the other, and for each row where its own are; `None` is a
/// row of a failed record.
pub(super) fn cells(dtype: DType, parts: &[Part]) -> (ArrayRef, Vec<Option<Range<usize>>>) {
    let mut rows = Vec::new();
    let mut start = 0;
    for part in parts {
        match part {
            Part::Rows(tensor) => {
                let length = tensor.elements_per_row();
                for _ in 0..tensor.rows() {
                    rows.push(Some(start..start + length));
                    start += length;
                }
            }
            Part::Nulls(count) => rows.extend(iter::repeat_n(None, *count)),
        }
    }
    (leaves(dtype, parts, None), rows)
}

fn leaf_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Boolean,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Uint8 => DataType::UInt8,
        DType::Uint16 => DataType::UInt16,
        DType::Uint32 => DataType::UInt32,
        DType::Uint64 => DataType::UInt64,
        // Few readers know the halves, and every value of them is a float32.
        DType::Float16 | DType::Bfloat16 | DType::Float32 => DataType::Float32,
        DType::Float64 => DataType::Float64,
        DType::String => DataType::Utf8,
        DType::Bytes => DataType::Binary,
    }
}

/// The parts of one column, whose rows have `rank` dimensions, as one array of [`data_type`].
pub(super) fn array(dtype: DType, rank: usize, parts: &[Part]) -> ArrayRef {
    let outer_nulls = nulls(parts);
    let leaf_nulls = outer_nulls.clone().filter(|_| rank == 0);
    let mut array = leaves(dtype, parts, leaf_nulls);
    for level in (1..=rank).rev() {
        let offsets = OffsetBuffer::from_lengths(lengths(parts, level));
        let field = element_field(array.data_type().clone());
        let nulls = outer_nulls.clone().filter(|_| level == 1);
        array = Arc::new(ListArray::new(field, offsets, array, nulls));
    }
    array
}

/// Lists are called as the Parquet standard calls them, and never hold nulls.
fn element_field(inner: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", inner, false))
}

/// One bit per row; `None` if no row is null.
fn nulls(parts: &[Part]) -> Option<NullBuffer> {
    if parts.iter().all(|part| matches!(part, Part::Rows(_))) {
        return None;
    }
    let mut valid = Vec::new();
    for part in parts {
        match part {
            Part::Rows(tensor) => valid.extend(iter::repeat_n(true, tensor.rows())),
            Part::Nulls(rows) => valid.extend(iter::repeat_n(false, *rows)),
        }
    }
    Some(NullBuffer::from(valid))
}

/// The lengths of all lists at a level; level 1 has one list per row.
fn lengths(parts: &[Part], level: usize) -> impl Iterator<Item = usize> {
    parts.iter().flat_map(move |part| match part {
        Part::Rows(tensor) => {
            let lists = tensor.shape()[..level].iter().product();
            iter::repeat_n(tensor.shape()[level], lists)
        }
        Part::Nulls(rows) => iter::repeat_n(0, if level == 1 { *rows } else { 0 }),
    })
}

fn leaves(dtype: DType, parts: &[Part], nulls: Option<NullBuffer>) -> ArrayRef {
    match dtype {
        DType::Bool => {
            let bits = gather::<UInt8Type>(parts, nulls.as_ref());
            let bits = BooleanBuffer::collect_bool(bits.len(), |index| bits[index] != 0);
            Arc::new(BooleanArray::new(bits, nulls))
        }
        DType::Bfloat16 => {
            let bits = gather::<UInt16Type>(parts, nulls.as_ref());
            let wide = bits
                .into_iter()
                .map(|bits| f32::from_bits(u32::from(bits) << 16));
            Arc::new(Float32Array::new(wide.collect(), nulls))
        }
        DType::Int8 => primitive::<Int8Type>(parts, nulls),
        DType::Int16 => primitive::<Int16Type>(parts, nulls),
        DType::Int32 => primitive::<Int32Type>(parts, nulls),
        DType::Int64 => primitive::<Int64Type>(parts, nulls),
        DType::Uint8 => primitive::<UInt8Type>(parts, nulls),
        DType::Uint16 => primitive::<UInt16Type>(parts, nulls),
        DType::Uint32 => primitive::<UInt32Type>(parts, nulls),
        DType::Uint64 => primitive::<UInt64Type>(parts, nulls),
        DType::Float16 => {
            let halves = gather::<Float16Type>(parts, nulls.as_ref());
            let wide = halves.into_iter().map(half::f16::to_f32);
            Arc::new(Float32Array::new(wide.collect(), nulls))
        }
        DType::Float32 => primitive::<Float32Type>(parts, nulls),
        DType::Float64 => primitive::<Float64Type>(parts, nulls),
        DType::String => strings(parts, nulls.is_some()),
        DType::Bytes => binaries(parts, nulls.is_some()),
    }
}

fn primitive<T: ArrowPrimitiveType>(parts: &[Part], nulls: Option<NullBuffer>) -> ArrayRef {
    let values = gather::<T>(parts, nulls.as_ref());
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

/// All values in order; a place is kept for a null only where the values themselves can be null.
fn gather<T: ArrowPrimitiveType>(parts: &[Part], nulls: Option<&NullBuffer>) -> Vec<T::Native> {
    let mut values = Vec::new();
    for part in parts {
        match part {
            Part::Rows(tensor) => {
                let typed = tensor.typed::<T::Native>();
                values.extend_from_slice(typed.expect("columns of a batch have one type"));
            }
            Part::Nulls(rows) if nulls.is_some() => {
                values.extend(iter::repeat_n(T::Native::default(), *rows));
            }
            Part::Nulls(_) => {}
        }
    }
    values
}

fn strings(parts: &[Part], leaf_nulls: bool) -> ArrayRef {
    let mut builder = StringBuilder::new();
    for element in variable_elements(parts, leaf_nulls) {
        let text = element.map(|bytes| std::str::from_utf8(bytes));
        builder.append_option(text.map(|text| text.expect("string tensors hold UTF-8")));
    }
    Arc::new(builder.finish())
}

fn binaries(parts: &[Part], leaf_nulls: bool) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    for element in variable_elements(parts, leaf_nulls) {
        builder.append_option(element);
    }
    Arc::new(builder.finish())
}

fn variable_elements(parts: &[Part], leaf_nulls: bool) -> Vec<Option<&[u8]>> {
    let mut elements = Vec::new();
    for part in parts {
        match part {
            Part::Rows(tensor) => {
                let data = tensor.elements().expect("columns of a batch have one type");
                elements.extend(data.iter().map(Some));
            }
            Part::Nulls(rows) if leaf_nulls => elements.extend(iter::repeat_n(None, *rows)),
            Part::Nulls(_) => {}
        }
    }
    elements
}
