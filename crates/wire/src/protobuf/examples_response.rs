//! The answer of infer as TensorFlow Serving's answers to classify, to regress, and to both at once.

use super::predict_response::{PredictAnswer, spec};
use super::write::{push_bytes, push_float, push_message, push_text};
use crate::Record;
use crate::json::{ClassRun, Method, ValueRun, WriteError, each_classification, each_regression};

/// Writes a `ClassificationResponse`: scores are the float output called `scores`, or the only one;
/// labels the text output called `classes`, or the only one, or all empty.
///
/// # Errors
/// [`WriteError::Unfit`] if the outputs are not such, [`WriteError::Column`] if they cannot be read.
pub fn write_classification_response(
    answer: PredictAnswer<'_>,
    outputs: &Record,
) -> Result<Vec<u8>, WriteError> {
    Ok(response(answer, &classifications(outputs)?))
}

/// Writes a `RegressionResponse`: the value is the float output called `outputs`, or the only one.
///
/// # Errors
/// [`WriteError::Unfit`] if there is no such output, [`WriteError::Column`] if it cannot be read.
pub fn write_regression_response(
    answer: PredictAnswer<'_>,
    outputs: &Record,
) -> Result<Vec<u8>, WriteError> {
    Ok(response(answer, &regressions(outputs)?))
}

/// Writes a `MultiInferenceResponse` with one result per method, in their order.
///
/// # Errors
/// Those of the two above.
pub fn write_multi_inference_response(
    answer: PredictAnswer<'_>,
    methods: &[Method],
    outputs: &Record,
) -> Result<Vec<u8>, WriteError> {
    let mut out = Vec::new();
    for method in methods {
        let (number, result) = match method {
            Method::Classify => (2, classifications(outputs)?),
            Method::Regress => (3, regressions(outputs)?),
        };
        push_message(&mut out, 1, |task| {
            push_bytes(task, 1, &spec(answer));
            push_bytes(task, number, &result);
        });
    }
    Ok(out)
}

fn response(answer: PredictAnswer<'_>, result: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(result.len() + 64);
    push_bytes(&mut out, 1, result);
    push_bytes(&mut out, 2, &spec(answer));
    out
}

/// A `ClassificationResult`.
fn classifications(outputs: &Record) -> Result<Vec<u8>, WriteError> {
    let mut out = Vec::new();
    each_classification(outputs, |run| {
        for row in 0..run.rows() {
            push_message(&mut out, 1, |classes| push_classes(run, row, classes));
        }
    })?;
    Ok(out)
}

fn push_classes(run: &ClassRun, row: usize, out: &mut Vec<u8>) {
    let per_row = run.classes_per_row();
    let mut class = Vec::new();
    for element in row * per_row..(row + 1) * per_row {
        class.clear();
        // A model may call its classes by bytes; the protocol has text.
        push_text(&mut class, 1, &String::from_utf8_lossy(run.label(element)));
        push_float(&mut class, 2, run.score(element));
        push_bytes(out, 1, &class);
    }
}

/// A `RegressionResult`.
fn regressions(outputs: &Record) -> Result<Vec<u8>, WriteError> {
    let mut out = Vec::new();
    each_regression(outputs, |run: &ValueRun| {
        for row in 0..run.rows() {
            push_message(&mut out, 1, |value| push_float(value, 1, run.value(row)));
        }
    })?;
    Ok(out)
}
