//! Lists in Arrow arrays: which elements belong to a row, and in which shape.

use std::ops::Range;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

/// The type inside all lists, and how many lists there are around it.
pub(crate) fn leaf_and_rank(data_type: &DataType) -> (&DataType, usize) {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            let (leaf, rank) = leaf_and_rank(field.data_type());
            (leaf, rank + 1)
        }
        leaf => (leaf, 0),
    }
}

/// The array inside all lists.
pub(crate) fn leaf_array(array: &dyn Array) -> &dyn Array {
    match values(array) {
        Some(values) => leaf_array(values),
        None => array,
    }
}

/// The array inside the outermost lists; `None` if these are no lists.
pub(crate) fn values(array: &dyn Array) -> Option<&dyn Array> {
    Some(match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().values().as_ref(),
        DataType::LargeList(_) => array.as_list::<i64>().values().as_ref(),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values().as_ref(),
        _ => return None,
    })
}

/// Which of [`values`] the list at `index` holds.
pub(crate) fn range(array: &dyn Array, index: usize) -> Range<usize> {
    match array.data_type() {
        DataType::List(_) => {
            let offsets = array.as_list::<i32>().value_offsets();
            place(offsets[index].into())..place(offsets[index + 1].into())
        }
        DataType::LargeList(_) => {
            let offsets = array.as_list::<i64>().value_offsets();
            place(offsets[index])..place(offsets[index + 1])
        }
        DataType::FixedSizeList(_, size) => {
            let lists = array.as_fixed_size_list();
            let start = lists.value_offset_at(index);
            start..start + place((*size).into())
        }
        _ => index..index + 1,
    }
}

fn place(offset: i64) -> usize {
    usize::try_from(offset).expect("offsets of lists are never negative")
}

/// Where the elements of one row are, and its lengths along every dimension.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) elements: Range<usize>,
    pub(crate) shape: Vec<usize>,
}

/// The row at `index` as one block; `None` if its lists differ in length.
pub(crate) fn block(array: &dyn Array, index: usize) -> Option<Block> {
    let mut elements = index..index + 1;
    let mut shape = Vec::new();
    let mut level = array;
    while let Some(inner) = values(level) {
        let mut length = None;
        for list in elements.clone() {
            let found = range(level, list).len();
            if *length.get_or_insert(found) != found {
                return None;
            }
        }
        let (first, last) = (elements.start, elements.end);
        elements = match length {
            Some(_) => range(level, first).start..range(level, last - 1).end,
            None => 0..0,
        };
        shape.push(length.unwrap_or(0));
        level = inner;
    }
    Some(Block { elements, shape })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn list(inner: Arc<dyn Array>, lengths: &[usize]) -> Arc<dyn Array> {
        let field = Arc::new(Field::new("element", inner.data_type().clone(), false));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Arc::new(ListArray::new(field, offsets, inner, None))
    }

    fn ints(count: i32) -> Arc<dyn Array> {
        Arc::new(Int32Array::from_iter_values(0..count))
    }

    fn check(array: &dyn Array, index: usize, elements: Range<usize>, shape: &[usize]) {
        let shape = shape.to_vec();
        assert_eq!(block(array, index), Some(Block { elements, shape }));
    }

    #[test]
    fn rows_are_blocks_of_elements() {
        check(&ints(3), 1, 1..2, &[]);
        check(&list(ints(5), &[2, 3]), 1, 2..5, &[3]);
        let matrices = list(list(ints(10), &[2, 2, 3, 3]), &[2, 2]);
        check(&matrices, 0, 0..4, &[2, 2]);
        check(&matrices, 1, 4..10, &[2, 3]);
        check(&list(list(ints(0), &[]), &[0]), 0, 0..0, &[0, 0]);
    }

    #[test]
    fn lists_of_differing_lengths_are_no_block() {
        assert_eq!(block(&list(list(ints(3), &[1, 2]), &[2]), 0), None);
    }
}
