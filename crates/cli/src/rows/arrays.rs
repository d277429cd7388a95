//! Columns of Arrow batches as tensors: lists within lists become dimensions.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field};
use millrace_wire::{Tensor, TensorSpec};

use super::elements;
use super::mapping::{Feed, FeedSource, row_shape};

/// Some rows of a batch as the tensors of all inputs.
///
/// # Errors
/// Rows that do not fit or differ in shape, as a sentence about one of them.
pub(super) fn tensors(
    feeds: &[Feed],
    batch: &RecordBatch,
    rows: Range<usize>,
) -> Result<Vec<Tensor>, String> {
    let mut tensors = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let made = match &feed.source {
            FeedSource::Column(column) => {
                let field = batch.schema().field(*column).clone();
                let array = batch.column(*column).slice(rows.start, rows.len());
                of_column(&feed.spec, &field, &array)
            }
            FeedSource::Elements(columns) => of_elements(feed, batch, columns, &rows),
        };
        let made = made.and_then(|tensor| feed.shaped(tensor));
        tensors.push(made.map_err(|what| named(feed, batch, &what))?);
    }
    Ok(tensors)
}

fn named(feed: &Feed, batch: &RecordBatch, what: &str) -> String {
    match feed.columns() {
        [column] => format!("column {}: {what}", batch.schema().field(*column).name()),
        _ => format!("columns of input {}: {what}", feed.spec.name),
    }
}

fn of_column(spec: &TensorSpec, field: &Field, array: &ArrayRef) -> Result<Tensor, String> {
    let rows = array.len();
    let (given, values) = flattened(array)?;
    let mut shape = vec![rows];
    shape.extend(dimensions(spec, field, given));
    elements::tensor(&spec.name, spec.dtype, shape, &values)
}

/// The dimensions of a row, where its lists do not say all: a flat list of fixed length may stand
/// for a tensor of several dimensions.
fn dimensions(spec: &TensorSpec, field: &Field, given: Vec<usize>) -> Vec<usize> {
    let fits = |sizes: &[usize]| {
        let count = |sizes: &[usize]| sizes.iter().product::<usize>();
        count(sizes) == count(&given) && sizes.len() + 1 == spec.shape.len()
    };
    if given.len() + 1 == spec.shape.len() {
        return given;
    }
    let declared = tensor_shape(field).filter(|sizes| fits(sizes));
    let expected = row_shape(spec).filter(|sizes| fits(sizes));
    declared.or(expected).unwrap_or(given)
}

/// What the canonical extension type for tensors says.
fn tensor_shape(field: &Field) -> Option<Vec<usize>> {
    let metadata = field.metadata().get("ARROW:extension:metadata")?;
    let json: serde_json::Value = serde_json::from_str(metadata).ok()?;
    let size = |size: &serde_json::Value| usize::try_from(size.as_u64()?).ok();
    json.get("shape")?.as_array()?.iter().map(size).collect()
}

/// The dimensions of every row, and the values inside the lists.
fn flattened(array: &ArrayRef) -> Result<(Vec<usize>, ArrayRef), String> {
    let mut values = Arc::clone(array);
    let mut sizes = Vec::new();
    loop {
        if values.null_count() > 0 {
            return Err("there is no value (null)".to_owned());
        }
        let (size, inner) = match values.data_type() {
            DataType::FixedSizeList(_, size) => {
                let size = usize::try_from(*size).map_err(|_| "a negative list size")?;
                (size, Arc::clone(values.as_fixed_size_list().values()))
            }
            DataType::List(_) => {
                let list = values.as_list::<i32>();
                let offsets = list.offsets().iter().map(|&offset| i64::from(offset));
                even(offsets, list.values())?
            }
            DataType::LargeList(_) => {
                let list = values.as_list::<i64>();
                even(list.offsets().iter().copied(), list.values())?
            }
            _ => return Ok((sizes, values)),
        };
        sizes.push(size);
        values = inner;
    }
}

/// The length of all lists, which must be one, and what is in them.
fn even(
    offsets: impl Iterator<Item = i64>,
    values: &ArrayRef,
) -> Result<(usize, ArrayRef), String> {
    let offsets: Vec<usize> = offsets
        .filter_map(|offset| usize::try_from(offset).ok())
        .collect();
    let length = |pair: &[usize]| pair[1] - pair[0];
    let first = offsets.windows(2).next().map_or(0, length);
    if let Some(other) = offsets.windows(2).map(length).find(|size| *size != first) {
        return Err(format!(
            "lists of {first} and of {other} elements are no tensor"
        ));
    }
    let (begin, end) = (offsets.first().copied(), offsets.last().copied());
    let (begin, end) = (begin.unwrap_or(0), end.unwrap_or(0));
    Ok((first, values.slice(begin, end - begin)))
}

/// One column per element: they are put side by side.
fn of_elements(
    feed: &Feed,
    batch: &RecordBatch,
    columns: &[usize],
    rows: &Range<usize>,
) -> Result<Tensor, String> {
    let mut sides = Vec::with_capacity(columns.len());
    for &column in columns {
        let array = batch.column(column).slice(rows.start, rows.len());
        if array.null_count() > 0 {
            let name = batch.schema().field(column).name().clone();
            return Err(format!("column {name} has no value (null)"));
        }
        // One type for all of them, whatever the file has.
        sides.push(elements::same_type(&array, feed.spec.dtype)?);
    }
    let borrowed: Vec<&dyn Array> = sides.iter().map(AsRef::as_ref).collect();
    let stacked = concat(&borrowed).map_err(|error| error.to_string())?;
    let count = rows.len();
    let order = (0..count).flat_map(|row| (0..columns.len()).map(move |side| side * count + row));
    let order: arrow::array::UInt64Array = order.map(|index| index as u64).collect();
    let values = arrow::compute::take(&stacked, &order, None).map_err(|error| error.to_string())?;
    let shape = vec![count, columns.len()];
    elements::tensor(&feed.spec.name, feed.spec.dtype, shape, &values)
}

#[cfg(test)]
mod tests {
    use arrow::array::{FixedSizeListArray, Float32Array, Int32Array, ListArray};
    use arrow::datatypes::{Float32Type, Schema};
    use millrace_wire::DType;

    use super::*;

    fn feed(shape: &[Option<usize>], source: FeedSource) -> Feed {
        let mut all = vec![None];
        all.extend(shape);
        Feed {
            spec: TensorSpec {
                name: "x".to_owned(),
                dtype: DType::Float32,
                shape: all,
            },
            source,
        }
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn lists(rows: Vec<Option<Vec<Option<f32>>>>) -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    #[test]
    fn a_flat_list_stands_for_the_dimensions_of_its_input() {
        let values = Arc::new(Float32Array::from(
            (0..8_u8).map(f32::from).collect::<Vec<_>>(),
        ));
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let array: ArrayRef = Arc::new(FixedSizeListArray::new(item, 4, values, None));
        let batch = batch(vec![("x", array)]);
        let feeds = [feed(&[Some(2), Some(2)], FeedSource::Column(0))];
        let tensor = tensors(&feeds, &batch, 1..2).unwrap().remove(0);
        assert_eq!(tensor.shape(), [1, 2, 2]);
        assert_eq!(tensor.typed::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn rows_of_differing_shape_are_no_tensor_together_but_each_alone() {
        let array = lists(vec![
            Some(vec![Some(1.0)]),
            Some(vec![Some(2.0), Some(3.0)]),
            None,
        ]);
        let batch = batch(vec![("x", array)]);
        let feeds = [feed(&[None], FeedSource::Column(0))];
        let sentence = tensors(&feeds, &batch, 0..2).unwrap_err();
        assert_eq!(
            sentence,
            "column x: lists of 1 and of 2 elements are no tensor"
        );
        let second = tensors(&feeds, &batch, 1..2).unwrap().remove(0);
        assert_eq!(second.shape(), [1, 2]);
        let sentence = tensors(&feeds, &batch, 2..3).unwrap_err();
        assert_eq!(sentence, "column x: there is no value (null)");
    }

    #[test]
    fn columns_of_single_values_are_put_side_by_side() {
        let whole: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let broken: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 0.2, 0.3]));
        let batch = batch(vec![("a", whole), ("b", broken)]);
        let feeds = [feed(&[Some(2)], FeedSource::Elements(vec![1, 0]))];
        let tensor = tensors(&feeds, &batch, 1..3).unwrap().remove(0);
        assert_eq!(tensor.typed::<f32>().unwrap(), [0.2, 2.0, 0.3, 3.0]);
    }

    #[test]
    fn the_extension_type_says_the_shape_of_open_dimensions() {
        let values = Arc::new(Float32Array::from(vec![0.0; 6]));
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let array: ArrayRef = Arc::new(FixedSizeListArray::new(item, 6, values, None));
        let metadata = [("ARROW:extension:metadata", r#"{"shape":[2,3]}"#)];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata = std::collections::HashMap::from(metadata);
        let field = Field::new("x", array.data_type().clone(), false).with_metadata(metadata);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
        let feeds = [feed(&[None, None], FeedSource::Column(0))];
        assert_eq!(tensors(&feeds, &batch, 0..1).unwrap()[0].shape(), [1, 2, 3]);
    }
}
