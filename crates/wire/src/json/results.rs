//! Results as TensorFlow Serving's answers to classify and regress.

use half::{bf16, f16};

use crate::{DType, Record, Tensor};

use super::decimal::{Floats, push_f32, push_f64};
use super::limits::JsonRules;
use super::method::{Classes, Described, Method, value_among};
use super::write::{WriteError, push_string};

/// Some rows of a classification, all with as many classes.
pub(crate) struct ClassRun {
    /// Of the first of the rows.
    first_row: usize,
    scores: Tensor,
    labels: Option<Tensor>,
}

impl ClassRun {
    pub(crate) fn rows(&self) -> usize {
        self.scores.rows()
    }

    pub(crate) fn classes_per_row(&self) -> usize {
        self.scores.elements_per_row()
    }

    /// The label of one class, by its index over all rows; empty where the model gives none.
    pub(crate) fn label(&self, element: usize) -> &[u8] {
        let labels = self.labels.as_ref().and_then(Tensor::elements);
        labels.map_or(b"", |labels| labels.get(element))
    }

    pub(crate) fn score(&self, element: usize) -> f32 {
        single(&self.scores, element)
    }
}

/// Hands the classes of all rows to `visit`, in order: scores are the float output called `scores`,
/// or the only one; labels the text output called `classes`, or the only one.
///
/// # Errors
/// [`WriteError::Unfit`] if the outputs are not such, [`WriteError::Column`] if they cannot be read.
pub(crate) fn each_classification(
    outputs: &Record,
    mut visit: impl FnMut(&ClassRun),
) -> Result<(), WriteError> {
    let described: Vec<Described<'_>> =
        outputs.columns().iter().map(Described::of_column).collect();
    let classes = Classes::among(&described)?;
    for rows in outputs.uniform_runs() {
        let scores = read_one(outputs, classes.scores, &rows)?;
        let labels = match classes.labels {
            Some(index) => Some(read_one(outputs, index, &rows)?),
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
        visit(&ClassRun {
            first_row: rows.start,
            scores,
            labels,
        });
    }
    Ok(())
}

/// Some rows of a regression.
pub(crate) struct ValueRun {
    first_row: usize,
    values: Tensor,
}

impl ValueRun {
    pub(crate) fn rows(&self) -> usize {
        self.values.rows()
    }

    pub(crate) fn value(&self, row: usize) -> f32 {
        single(&self.values, row)
    }
}

/// Hands the values of all rows to `visit`, in order: the float output called `outputs`, or the only
/// one.
///
/// # Errors
/// [`WriteError::Unfit`] if there is no such output, [`WriteError::Column`] if it cannot be read.
pub(crate) fn each_regression(
    outputs: &Record,
    mut visit: impl FnMut(&ValueRun),
) -> Result<(), WriteError> {
    let described: Vec<Described<'_>> =
        outputs.columns().iter().map(Described::of_column).collect();
    let value = value_among(&described)?;
    for rows in outputs.uniform_runs() {
        let values = read_one(outputs, value, &rows)?;
        if values.elements_per_row() != 1 {
            return Err(WriteError::Unfit {
                method: Method::Regress,
                why: "a single float output of one number per row",
            });
        }
        visit(&ValueRun {
            first_row: rows.start,
            values,
        });
    }
    Ok(())
}

/// Appends `{"results": [[["label", score], …], …]}`, one list per row, laid out as TensorFlow
/// Serving does.
///
/// # Errors
/// [`WriteError::Unfit`] if the outputs are no classification, [`WriteError::Column`] if they cannot
/// be read.
pub fn write_classifications(
    outputs: &Record,
    rules: &JsonRules,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let floats = Floats::Serving(rules.strictness);
    out.extend_from_slice(b"{\n    \"results\": [");
    each_classification(outputs, |run| push_classes(run, floats, out))?;
    out.extend_from_slice(b"\n    ]\n}");
    Ok(())
}

fn push_classes(run: &ClassRun, floats: Floats, out: &mut Vec<u8>) {
    let per_row = run.classes_per_row();
    for row in 0..run.rows() {
        separate(run.first_row + row, out);
        out.push(b'[');
        for class in 0..per_row {
            let element = row * per_row + class;
            separate(class, out);
            out.push(b'[');
            push_string(run.label(element), out);
            out.extend_from_slice(b", ");
            push_number(&run.scores, element, floats, out);
            out.push(b']');
        }
        out.push(b']');
    }
}

/// Appends `{"results": [value, …]}`, one number per row, laid out as TensorFlow Serving does.
///
/// # Errors
/// [`WriteError::Unfit`] if the outputs are no regression, [`WriteError::Column`] if they cannot be
/// read.
pub fn write_regressions(
    outputs: &Record,
    rules: &JsonRules,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let floats = Floats::Serving(rules.strictness);
    out.extend_from_slice(b"{\n    \"results\": [");
    each_regression(outputs, |run| {
        for row in 0..run.rows() {
            separate(run.first_row + row, out);
            push_number(&run.values, row, floats, out);
        }
    })?;
    out.extend_from_slice(b"]\n}");
    Ok(())
}

/// Rows of one shape of one column.
fn read_one(
    outputs: &Record,
    column: usize,
    rows: &std::ops::Range<usize>,
) -> Result<Tensor, WriteError> {
    let tensor = outputs.tensor_of_rows(column, rows.clone());
    tensor.map_err(WriteError::Column)
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

/// Appends one element of a float tensor.
fn push_number(tensor: &Tensor, element: usize, floats: Floats, out: &mut Vec<u8>) {
    match tensor.dtype() {
        DType::Float64 => push_f64(double(tensor, element), floats, out),
        _ => push_f32(single(tensor, element), floats, out),
    }
}

fn double(tensor: &Tensor, element: usize) -> f64 {
    let values = tensor.typed::<f64>().unwrap_or_default();
    values.get(element).copied().unwrap_or(f64::NAN)
}

/// One element of a float tensor, the nearest `f32` of a double.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest is what is wanted"
)]
fn single(tensor: &Tensor, element: usize) -> f32 {
    let single = match tensor.dtype() {
        DType::Float64 => Some(double(tensor, element) as f32),
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
    single.unwrap_or(f32::NAN)
}
