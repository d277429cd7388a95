//! What the model gives as Arrow columns beside those that are carried along.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{
    ArrayData, ArrayRef, BinaryArray, BooleanArray, Float32Array, ListArray, RecordBatch,
    StringArray, UInt32Array, make_array, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use half::bf16;
use millrace_wire::{DType, Record, Signature, Tensor, TensorSpec};

use crate::rows::{Chunk, arrow_type};

/// The columns of the output.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    schema: SchemaRef,
    outputs: Vec<TensorSpec>,
    types: Vec<DataType>,
}

/// What became of the rows of a chunk that were sent, by their places among those that fit.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) answers: Vec<(Range<usize>, Record)>,
    pub(super) refused: Vec<(usize, String)>,
}

/// How columns are called.
pub(super) struct Naming<'a> {
    /// Names that the input has.
    pub(super) taken: &'a [String],
    pub(super) output_prefix: &'a str,
    pub(super) error_column: &'a str,
}

impl Columns {
    /// # Errors
    /// Two columns would have one name; the sentence says what to do.
    pub(super) fn new(
        carried: &SchemaRef,
        signature: &Signature,
        naming: &Naming<'_>,
    ) -> anyhow::Result<Self> {
        let mut fields: Vec<FieldRef> = carried.fields().iter().cloned().collect();
        let mut types = Vec::new();
        for output in &signature.outputs {
            let name = format!("{}{}", naming.output_prefix, output.name);
            if naming.taken.contains(&name) {
                bail!(
                    "column {name} is in the input and an output of the model; put something before the outputs' names, such as --output-prefix model_, or leave the column out with --keep"
                );
            }
            if name == naming.error_column {
                bail!(
                    "the model has an output {name}; name the column of errors with --error-column"
                );
            }
            let data_type = nested(
                arrow_type(output.dtype),
                output.shape.len().saturating_sub(1),
            );
            types.push(data_type.clone());
            fields.push(Arc::new(Field::new(name, data_type, true)));
        }
        let error = naming.error_column;
        if naming.taken.iter().any(|name| name == error) {
            bail!("the input has a column {error}; name the column of errors with --error-column");
        }
        fields.push(Arc::new(Field::new(error, DataType::Utf8, true)));
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            outputs: signature.outputs.clone(),
            types,
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows of a chunk with all columns, in their order.
    ///
    /// # Errors
    /// An answer does not have the outputs that the signature promises.
    pub(super) fn rows(&self, chunk: &Chunk, outcomes: Outcomes) -> anyhow::Result<RecordBatch> {
        let rows = chunk.carried.num_rows();
        let Outcomes {
            mut answers,
            refused,
        } = outcomes;
        answers.sort_by_key(|(range, _)| range.start);
        let fitting = chunk.fitting();
        // For each row of the chunk its place among the answered rows.
        let mut places: Vec<Option<u32>> = vec![None; rows];
        let mut answered = 0;
        for (range, record) in &answers {
            if record.rows() != range.len() {
                bail!(
                    "a reply has {} rows, {} were asked",
                    record.rows(),
                    range.len()
                );
            }
            for row in fitting
                .get(range.clone())
                .context("a reply has too many rows")?
            {
                places[*row] = Some(answered);
                answered += 1;
            }
        }
        let mut columns: Vec<ArrayRef> = chunk.carried.columns().to_vec();
        let is_whole = usize::try_from(answered) == Ok(rows);
        let places = UInt32Array::from(places);
        for (output, data_type) in self.outputs.iter().zip(&self.types) {
            let array = self.column(output, data_type, &answers)?;
            columns.push(match is_whole {
                true => array,
                false => take(&array, &places, None)?,
            });
        }
        let mut errors: Vec<Option<&str>> = vec![None; rows];
        for (row, sentence) in &chunk.failed {
            errors[*row] = Some(sentence);
        }
        for (place, sentence) in &refused {
            errors[fitting[*place]] = Some(sentence);
        }
        columns.push(Arc::new(StringArray::from(errors)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// One output of all answered rows.
    fn column(
        &self,
        output: &TensorSpec,
        data_type: &DataType,
        answers: &[(Range<usize>, Record)],
    ) -> anyhow::Result<ArrayRef> {
        let mut arrays = Vec::new();
        for (_, record) in answers {
            let index = record.column_index(&output.name);
            let index = index.with_context(|| format!("a reply has no output {}", output.name))?;
            for run in record.uniform_runs() {
                arrays.push(array(&record.tensor_of_rows(index, run)?)?);
            }
        }
        for array in &arrays {
            if array.data_type() != data_type {
                bail!(
                    "output {} of a reply is {}, the signature says {data_type}",
                    output.name,
                    array.data_type()
                );
            }
        }
        match arrays.as_slice() {
            [] => Ok(new_null_array(data_type, 0)),
            [one] => Ok(Arc::clone(one)),
            several => {
                let borrowed: Vec<_> = several.iter().map(AsRef::as_ref).collect();
                Ok(concat(&borrowed)?)
            }
        }
    }
}

fn nested(leaf: DataType, dimensions: usize) -> DataType {
    (0..dimensions).fold(leaf, |inner, _| DataType::List(element(inner)))
}

/// Lists are called as the Parquet standard calls them, as those that sink writes.
fn element(inner: DataType) -> FieldRef {
    Arc::new(Field::new("element", inner, false))
}

/// A tensor as lists within lists.
fn array(tensor: &Tensor) -> anyhow::Result<ArrayRef> {
    let mut array = values(tensor)?;
    let shape = tensor.shape();
    for dimension in (1..shape.len()).rev() {
        let count: usize = shape[..dimension].iter().product();
        let lengths = std::iter::repeat_n(shape[dimension], count);
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let field = element(array.data_type().clone());
        array = Arc::new(ListArray::try_new(field, offsets, array, None)?);
    }
    Ok(array)
}

fn values(tensor: &Tensor) -> anyhow::Result<ArrayRef> {
    if let Some(elements) = tensor.elements() {
        if tensor.dtype() == DType::Bytes {
            return Ok(Arc::new(BinaryArray::from_iter_values(elements.iter())));
        }
        let texts: Result<Vec<&str>, _> = elements.iter().map(std::str::from_utf8).collect();
        return Ok(Arc::new(StringArray::from(texts?)));
    }
    let bytes = tensor.fixed_bytes().unwrap_or_default();
    match tensor.dtype() {
        DType::Bool => {
            let bits = bytes.iter().map(|&byte| Some(byte != 0));
            Ok(Arc::new(bits.collect::<BooleanArray>()))
        }
        DType::Bfloat16 => {
            let bits = tensor.typed::<u16>().unwrap_or_default();
            let singles = bits.iter().map(|&bits| bf16::from_bits(bits).to_f32());
            Ok(Arc::new(Float32Array::from_iter_values(singles)))
        }
        dtype => {
            let width = dtype.element_size_bytes().unwrap_or(1);
            let data = ArrayData::builder(arrow_type(dtype))
                .len(bytes.len() / width)
                .add_buffer(Buffer::from(bytes));
            Ok(make_array(data.build()?))
        }
    }
}

#[cfg(test)]
mod tests;
