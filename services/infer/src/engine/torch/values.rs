//! Our tensors as libtorch's and back.

use arrow::buffer::MutableBuffer;
use millrace_wire::{DType, Tensor, TensorSpec};
use tch::{IValue, Kind, TchError};

use super::failed;
use crate::engine::{EngineError, wrong_rows};

/// libtorch's type of the same elements, if it computes with them.
pub(super) fn kind(dtype: DType) -> Option<Kind> {
    match dtype {
        DType::Bool => Some(Kind::Bool),
        DType::Int8 => Some(Kind::Int8),
        DType::Int16 => Some(Kind::Int16),
        DType::Int32 => Some(Kind::Int),
        DType::Int64 => Some(Kind::Int64),
        DType::Uint8 => Some(Kind::Uint8),
        DType::Float16 => Some(Kind::Half),
        DType::Bfloat16 => Some(Kind::BFloat16),
        DType::Float32 => Some(Kind::Float),
        DType::Float64 => Some(Kind::Double),
        DType::Uint16 | DType::Uint32 | DType::Uint64 | DType::String | DType::Bytes => None,
    }
}

fn dtype(tensor: &tch::Tensor) -> Option<DType> {
    let given = tensor.f_kind().ok()?;
    DType::ALL
        .into_iter()
        .find(|dtype| kind(*dtype) == Some(given))
}

/// A copy of `input` that libtorch owns.
pub(super) fn input(input: &Tensor) -> Result<tch::Tensor, TchError> {
    let unsupported = || TchError::Kind(format!("input {:?} is {}", input.name(), input.dtype()));
    let kind = kind(input.dtype()).ok_or_else(unsupported)?;
    let bytes = input.fixed_bytes().ok_or_else(unsupported)?;
    let too_large = |_| TchError::Shape(format!("input {:?} is too large", input.name()));
    let mut shape = Vec::with_capacity(input.shape().len());
    for size in input.shape() {
        shape.push(i64::try_from(*size).map_err(too_large)?);
    }
    tch::Tensor::f_from_data_size(bytes, &shape, kind)
}

/// The tensors of an answer, in the order of `specs`.
///
/// # Errors
/// [`EngineError::Type`] for what is no tensor, [`EngineError::Failed`] where one is missing.
pub(super) fn outputs(
    answer: IValue,
    specs: &[TensorSpec],
) -> Result<Vec<tch::Tensor>, EngineError> {
    if let IValue::GenericDict(pairs) = answer {
        return by_name(pairs, specs);
    }
    let mut found = Vec::with_capacity(specs.len());
    flatten(answer, &mut found, specs)?;
    if found.len() != specs.len() {
        let problem = format!(
            "forward answers {} tensors, but {} outputs are declared",
            found.len(),
            specs.len()
        );
        return Err(EngineError::Failed(problem.into()));
    }
    Ok(found)
}

fn by_name(
    mut pairs: Vec<(IValue, IValue)>,
    specs: &[TensorSpec],
) -> Result<Vec<tch::Tensor>, EngineError> {
    let mut found = Vec::with_capacity(specs.len());
    for spec in specs {
        let is_named =
            |(key, _): &(IValue, IValue)| matches!(key, IValue::String(name) if *name == spec.name);
        let Some(place) = pairs.iter().position(is_named) else {
            let problem = format!("forward answers no {:?} in its dictionary", spec.name);
            return Err(EngineError::Failed(problem.into()));
        };
        flatten(
            pairs.swap_remove(place).1,
            &mut found,
            std::slice::from_ref(spec),
        )?;
    }
    Ok(found)
}

/// Tuples and lists may hold each other.
fn flatten(
    value: IValue,
    found: &mut Vec<tch::Tensor>,
    specs: &[TensorSpec],
) -> Result<(), EngineError> {
    match value {
        IValue::Tensor(tensor) => found.push(tensor),
        IValue::TensorList(tensors) => found.extend(tensors),
        IValue::Tuple(values) | IValue::GenericList(values) => {
            for value in values {
                flatten(value, found, specs)?;
            }
        }
        other => {
            let next = specs.get(found.len()).or(specs.last());
            return Err(EngineError::Type {
                output: next.map(|spec| spec.name.clone()).unwrap_or_default(),
                given: described(&other).to_owned(),
            });
        }
    }
    Ok(())
}

fn described(value: &IValue) -> &'static str {
    match value {
        IValue::None => "None",
        IValue::Double(_) => "float",
        IValue::Int(_) => "int",
        IValue::Bool(_) => "bool",
        IValue::String(_) | IValue::StringList(_) => "str",
        _ => "value that is no tensor",
    }
}

/// Copies an output out of libtorch's memory.
///
/// # Errors
/// [`EngineError::Rows`] if dimension 0 is not `rows`; [`EngineError::Type`] if records cannot hold it.
pub(super) fn output(name: &str, tensor: &tch::Tensor, rows: usize) -> Result<Tensor, EngineError> {
    let unsupported = |given: String| EngineError::Type {
        output: name.to_owned(),
        given,
    };
    if !tensor.defined() || tensor.is_sparse() || tensor.is_mkldnn() {
        return Err(unsupported("tensor that is not dense".to_owned()));
    }
    let dtype =
        dtype(tensor).ok_or_else(|| unsupported(format!("tensor of {:?}", tensor.f_kind())))?;
    let shape: Vec<usize> = tensor
        .size()
        .iter()
        .filter_map(|size| usize::try_from(*size).ok())
        .collect();
    if shape.first() != Some(&rows) {
        return Err(wrong_rows(name, rows, &shape));
    }
    let elements = tensor.numel();
    let size_bytes = elements * dtype.element_size_bytes().unwrap_or(0);
    let mut copy = MutableBuffer::from_len_zeroed(size_bytes);
    tensor
        .f_copy_data_u8(copy.as_slice_mut(), elements)
        .map_err(failed)?;
    Tensor::fixed(name, dtype, shape, copy.into())
        .map_err(|error| EngineError::Failed(Box::new(error)))
}

/// The sentence of an error, without the stack of C++ and TorchScript around it.
pub(super) fn said(error: &TchError) -> String {
    let text = error.to_string();
    let text = text
        .split("\nException raised from")
        .next()
        .unwrap_or(&text);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let raised = lines().rfind(|line| line.contains("Error: "));
    let first = lines().next();
    let said = raised.or(first).unwrap_or(text);
    said.strip_prefix("Internal torch error: ")
        .unwrap_or(said)
        .to_owned()
}
