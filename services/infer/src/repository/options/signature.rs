//! `[[inputs]]` and `[[outputs]]`: the signature of a model whose format carries none, or other names for the model's own.

use std::str::FromStr;

use millrace_boot::InvalidSetting;
use millrace_wire::{DType, Signature, TensorSpec};
use serde::Deserialize;

/// One input or output as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredTensor {
    name: String,
    /// As the Open Inference Protocol names it, such as `FP32`.
    dtype: String,
    /// All dimensions, -1 where open; the first is the rows: -1, or 1 for a model that takes them one at a time.
    shape: Vec<i64>,
}

/// Inputs and outputs as `model.toml` declares them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SignatureOptions {
    pub(super) inputs: Vec<DeclaredTensor>,
    pub(super) outputs: Vec<DeclaredTensor>,
}

impl SignatureOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        specs("inputs", &self.inputs)?;
        specs("outputs", &self.outputs).map(|_| ())
    }

    /// What is declared, if anything is.
    pub(crate) fn declared(&self) -> Option<Signature> {
        if self.inputs.is_empty() && self.outputs.is_empty() {
            return None;
        }
        Some(Signature {
            inputs: specs("inputs", &self.inputs).ok()?,
            outputs: specs("outputs", &self.outputs).ok()?,
        })
    }
}

fn specs(section: &str, tensors: &[DeclaredTensor]) -> Result<Vec<TensorSpec>, InvalidSetting> {
    let mut specs: Vec<TensorSpec> = Vec::with_capacity(tensors.len());
    for (index, tensor) in tensors.iter().enumerate() {
        let wrong = |key: &str, problem: String| {
            InvalidSetting::new(format!("{section}[{index}].{key}"), problem)
        };
        let name = &tensor.name;
        if name.is_empty() || specs.iter().any(|spec| spec.name == *name) {
            let problem = format!("is {name:?}; every one needs a name of its own");
            return Err(wrong("name", problem));
        }
        let dtype = DType::from_str(&tensor.dtype).map_err(|_| {
            let known: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
            wrong(
                "dtype",
                format!("is {:?}; there are: {}", tensor.dtype, known.join(", ")),
            )
        })?;
        let rows = tensor.shape.first();
        if !matches!(rows, Some(-1 | 1)) || tensor.shape.iter().any(|size| *size < -1) {
            let problem = format!(
                "is {:?}; the first dimension is the rows, -1 or 1, and another that is open is -1",
                tensor.shape
            );
            return Err(wrong("shape", problem));
        }
        specs.push(TensorSpec {
            name: name.clone(),
            dtype,
            shape: tensor
                .shape
                .iter()
                .map(|size| usize::try_from(*size).ok())
                .collect(),
        });
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dtype: &str, shape: &[i64]) -> DeclaredTensor {
        DeclaredTensor {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
        }
    }

    fn declared(inputs: &[DeclaredTensor]) -> SignatureOptions {
        SignatureOptions {
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
        }
    }

    #[test]
    fn open_dimensions_are_minus_one() {
        let options = declared(&[tensor("image", "FP32", &[-1, 8, -1])]);
        let signature = options.declared().unwrap();
        assert_eq!(signature.inputs[0].dtype, DType::Float32);
        assert_eq!(signature.inputs[0].shape, [None, Some(8), None]);
        assert!(SignatureOptions::default().declared().is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let problem =
            |tensors: &[DeclaredTensor]| declared(tensors).validate().unwrap_err().to_string();
        assert!(problem(&[tensor("x", "float", &[-1])]).contains("inputs[0].dtype"));
        assert!(problem(&[tensor("x", "FP32", &[])]).contains("inputs[0].shape"));
        assert!(problem(&[tensor("x", "FP32", &[8, 4])]).contains("first dimension"));
        assert!(problem(&[tensor("x", "FP32", &[-1, -2])]).contains("inputs[0].shape"));
        let twice = [tensor("x", "FP32", &[-1]), tensor("x", "FP32", &[-1])];
        assert!(problem(&twice).contains("inputs[1].name"));
    }
}
