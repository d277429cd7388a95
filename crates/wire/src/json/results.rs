//! Results as TensorFlow Serving's answers to classify and regress.

use half::{bf16, f16};

use crate::{DType, Record, Tensor};

use super::decimal::{Floats, push_f32, push_f64};
use super::limits::JsonRules;
use super::method::{Classes, Described, Method, value_among};
use super::write::{WriteError, push_string, read_columns};

/// Appends `{"results": [[["label", score], …], …]}`, one list per row, laid out as TensorFlow
/// Serving does. Scores are the float output called `scores`, or the only one; labels the text
/// output called `classes`, or the only one, or all empty.
///
/// # Errors
/// [`WriteError::Unfit`] if the outputs are not such, [`WriteError::Column`] if they cannot be read.
pub fn write_classifications(
    outputs: &Record,
    rules: &JsonRules,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let described: Vec<Described<'_>> =
        outputs.columns().iter().map(Described::of_column).collect();
    let classes = Classes::among(&described)?;
    let floats = Floats::Serving(rules.strictness);
    out.extend_from_slice(b"{\n    \"results\": [");
    for run in outputs.uniform_runs() {
        let scores = read_one(outputs, classes.scores, &run)?;
        let labels = match classes.labels {
            Some(index) => Some(read_one(outputs, index, &run)?),
            None => None,
        };
        let per_row = scores.elements_per_row();
        if labels
            .as_ref()
            .is_some_and(|labels| labels.elements_per_row() != per_row)
        {
            return Err(WriteError::Unfit {
                method: Method::Classify,
                why: "as many classes as scores",
            });
        }
        for row in 0..run.len() {
            separate(run.start + row, out);
            out.push(b'[');
            for class in 0..per_row {
                let element = row * per_row + class;
                separate(class, out);
                out.push(b'[');
                let labels = labels.as_ref().and_then(Tensor::elements);
                push_string(labels.map_or(b"", |labels| labels.get(element)), out);
                out.extend_from_slice(b", ");
                push_number(&scores, element, floats, out);
                out.push(b']');
            }
            out.push(b']');
        }
    }
    out.extend_from_slice(b"\n    ]\n}");
    Ok(())
}

/// Appends `{"results": [value, …]}`, one number per row, laid out as TensorFlow Serving does. The
/// value is the float output called `outputs`, or the only one.
///
/// # Errors
/// [`WriteError::Unfit`] if there is no such output, [`WriteError::Column`] if it cannot be read.
pub fn write_regressions(
    outputs: &Record,
    rules: &JsonRules,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let described: Vec<Described<'_>> =
        outputs.columns().iter().map(Described::of_column).collect();
    let value = value_among(&described)?;
    let floats = Floats::Serving(rules.strictness);
    out.extend_from_slice(b"{\n    \"results\": [");
    for run in outputs.uniform_runs() {
        let values = read_one(outputs, value, &run)?;
        if values.elements_per_row() != 1 {
            return Err(WriteError::Unfit {
                method: Method::Regress,
                why: "a single float output of one number per row",
            });
        }
        for row in 0..run.len() {
            separate(run.start + row, out);
            push_number(&values, row, floats, out);
        }
    }
    out.extend_from_slice(b"]\n}");
    Ok(())
}

/// Rows of one shape of one column.
fn read_one(
    outputs: &Record,
    column: usize,
    rows: &std::ops::Range<usize>,
) -> Result<Tensor, WriteError> {
    let mut tensors = read_columns(outputs, column..column + 1, rows)?;
    Ok(tensors.remove(0))
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

/// Appends one element of a float tensor.
fn push_number(tensor: &Tensor, element: usize, floats: Floats, out: &mut Vec<u8>) {
    let single = match tensor.dtype() {
        DType::Float64 => {
            let values = tensor.typed::<f64>().unwrap_or_default();
            let value = values.get(element).copied().unwrap_or(f64::NAN);
            return push_f64(value, floats, out);
        }
        DType::Float16 => tensor
            .typed::<f16>()
            .and_then(|values| Some(values.get(element)?.to_f32())),
        DType::Bfloat16 => tensor
            .typed::<u16>()
            .and_then(|values| Some(bf16::from_bits(*values.get(element)?).to_f32())),
        _ => tensor
            .typed::<f32>()
            .and_then(|values| values.get(element).copied()),
    };
    push_f32(single.unwrap_or(f32::NAN), floats, out);
}
