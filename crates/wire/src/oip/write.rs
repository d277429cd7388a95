//! A result as an infer response: JSON, and raw tensors behind it where they are wanted.

use super::outputs::Outputs;
use super::{binary, datatype};
use crate::json::{JsonRules, Strictness, push_compact, push_string};
use crate::quote::Name;
use crate::tensor::TensorError;
use crate::{Column, DType, Record, Tensor, VariableData};

/// Who answers, and to which request.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The version that ran.
    pub version: i64,
    /// The request's own id, repeated.
    pub id: Option<&'a str>,
}

/// The body of an infer response.
#[derive(Debug)]
pub struct InferResponse {
    /// JSON, then the raw tensors.
    pub body: Vec<u8>,
    /// Bytes of JSON, if raw tensors may follow: the value of `Inference-Header-Content-Length`.
    pub header_length: Option<usize>,
}

/// Why a result cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// The result lacks an output of the signature.
    #[error("result has no output {}", Name(.name))]
    Missing {
        /// The output's name.
        name: String,
    },
    /// Rows of an output differ in shape, so that it is no tensor of this protocol.
    #[error("output {} has rows of different shapes, which this protocol cannot carry: send one row at a time", Name(.name))]
    Ragged {
        /// The output's name.
        name: String,
        /// Which shapes.
        #[source]
        source: TensorError,
    },
    /// Bytes that are not text were wanted as JSON.
    #[error("output {} holds bytes that are no text: ask for it with \"binary_data\": true", Name(.name))]
    NotText {
        /// The output's name.
        name: String,
    },
    /// An element is too long for the length before it.
    #[error("output {} holds an element of 4 GiB or more", Name(.name))]
    TooLong {
        /// The output's name.
        name: String,
    },
}

/// Writes the wanted outputs of a result. Data are flat lists in row-major order; strict rules write
/// `null` for floats that are not finite.
pub fn write_infer(
    answer: &Answer<'_>,
    result: &Record,
    outputs: &Outputs,
    rules: &JsonRules,
) -> Result<InferResponse, ResponseError> {
    let mut body = Vec::new();
    let mut raw = Vec::new();
    let mut any_binary = false;
    push_head(answer, &mut body);
    for (position, (index, binary)) in wanted(result, outputs)?.into_iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        any_binary |= binary;
        let tensor = read_output(result, index)?;
        match binary {
            true => push_raw_output(&tensor, &mut raw, &mut body)?,
            false => push_output(&tensor, rules.strictness, &mut body)?,
        }
    }
    body.extend_from_slice(b"]}");
    let header_length = any_binary.then_some(body.len());
    body.append(&mut raw);
    Ok(InferResponse {
        body,
        header_length,
    })
}

fn push_head(answer: &Answer<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"model_name":"#);
    push_string(answer.model.as_bytes(), out);
    out.extend_from_slice(format!(r#","model_version":"{}""#, answer.version).as_bytes());
    if let Some(id) = answer.id {
        out.extend_from_slice(br#","id":"#);
        push_string(id.as_bytes(), out);
    }
    out.extend_from_slice(br#","outputs":["#);
}

/// The index of each wanted column and whether it is to be raw.
fn wanted(result: &Record, outputs: &Outputs) -> Result<Vec<(usize, bool)>, ResponseError> {
    let Some(named) = outputs.named() else {
        let columns = 0..result.columns().len();
        return Ok(columns.map(|index| (index, outputs.binary())).collect());
    };
    let mut wanted = Vec::with_capacity(named.len());
    for output in named {
        let index = result.column_index(&output.name);
        let index = index.ok_or_else(|| ResponseError::Missing {
            name: output.name.clone(),
        })?;
        wanted.push((index, output.binary.unwrap_or(outputs.binary())));
    }
    Ok(wanted)
}

fn read_output(result: &Record, index: usize) -> Result<Tensor, ResponseError> {
    let name = || {
        result
            .columns()
            .get(index)
            .map_or("", Column::name)
            .to_owned()
    };
    let tensor = result.tensor(index);
    tensor.map_err(|source| ResponseError::Ragged {
        name: name(),
        source,
    })
}

/// Appends one entry of `outputs`, whose elements go to `raw`.
fn push_raw_output(
    tensor: &Tensor,
    raw: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), ResponseError> {
    push_description(tensor, out);
    let before = raw.len();
    if !binary::push(tensor, raw) {
        let name = tensor.name().to_owned();
        return Err(ResponseError::TooLong { name });
    }
    let size_bytes = raw.len() - before;
    let parameters = format!(r#","parameters":{{"binary_data_size":{size_bytes}}}}}"#);
    out.extend_from_slice(parameters.as_bytes());
    Ok(())
}

/// Appends one entry of `outputs` with its elements.
fn push_output(
    tensor: &Tensor,
    strictness: Strictness,
    out: &mut Vec<u8>,
) -> Result<(), ResponseError> {
    push_description(tensor, out);
    out.extend_from_slice(br#","data":"#);
    match tensor.elements() {
        Some(elements) => push_texts(tensor, elements, out)?,
        None => {
            let count = tensor.rows() * tensor.elements_per_row();
            let flat = tensor.clone().reshaped(vec![1, count]);
            let flat = flat.expect("the same elements in one row");
            push_compact(&flat, strictness, out);
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends the start of an entry of `outputs`: name, type and shape.
fn push_description(tensor: &Tensor, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"name":"#);
    push_string(tensor.name().as_bytes(), out);
    let datatype = datatype(tensor.dtype());
    out.extend_from_slice(format!(r#","datatype":"{datatype}","shape":["#).as_bytes());
    for (position, size) in tensor.shape().iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        out.extend_from_slice(format!("{comma}{size}").as_bytes());
    }
    out.push(b']');
}

fn push_texts(
    tensor: &Tensor,
    elements: &VariableData,
    out: &mut Vec<u8>,
) -> Result<(), ResponseError> {
    if tensor.dtype() == DType::Bytes && !elements.is_utf8() {
        return Err(ResponseError::NotText {
            name: tensor.name().to_owned(),
        });
    }
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(element, out);
    }
    out.push(b']');
    Ok(())
}
