//! What the tests of all engines need.

use std::path::{Path, PathBuf};

use arrow::buffer::Buffer;
use arrow::datatypes::ArrowNativeType;
use millrace_wire::{DType, Tensor, VariableData};

use super::EngineKind;

/// The project's folder.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where `make setup` puts an engine's library, or else where a variable such as `MILLRACE_ENGINE__LIBRARY` says.
pub(super) fn native_library(kind: EngineKind) -> PathBuf {
    let (variable, folder) = match kind {
        EngineKind::Onnx => ("MILLRACE_ENGINE__LIBRARY", "onnxruntime"),
        EngineKind::OpenVino => ("MILLRACE_ENGINE__OPENVINO__LIBRARY", "openvino"),
        EngineKind::Torch => ("LIBTORCH", "libtorch/lib"),
    };
    let default = || {
        root()
            .join(".native")
            .join(folder)
            .join(kind.library_name())
    };
    let path = std::env::var_os(variable).map_or_else(default, PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `make setup`, or set {variable}",
        path.display()
    );
    path
}

/// A model of `tests/formats`.
pub(super) fn probe(model: &str, file: &str) -> PathBuf {
    root()
        .join("tests/formats")
        .join(model)
        .join("1")
        .join(file)
}

/// A tensor of `rows` rows.
pub(super) fn numbers<T: ArrowNativeType>(
    name: &str,
    dtype: DType,
    rows: usize,
    values: &[T],
) -> Tensor {
    let shape = vec![rows, values.len() / rows];
    Tensor::fixed(name, dtype, shape, Buffer::from_slice_ref(values)).unwrap()
}

/// A tensor of text.
pub(super) fn texts(name: &str, rows: usize, values: &[&str]) -> Tensor {
    let mut data = VariableData::new();
    for value in values {
        data.push(value.as_bytes());
    }
    Tensor::variable(name, DType::String, vec![rows, values.len() / rows], data).unwrap()
}

/// The first held-out images of the digits network, and their labels.
pub(super) fn held_out_digits(rows: usize) -> (Tensor, Vec<i64>) {
    let text = std::fs::read_to_string(root().join("models/digits/held_out.json")).unwrap();
    let mut lists = text.split("\"labels\":");
    let numbers = |text: &str| -> Vec<i64> {
        text.split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect()
    };
    let pixels = numbers(lists.next().unwrap());
    let labels = numbers(lists.next().unwrap())[..rows].to_vec();
    let pixels: Vec<f32> = pixels[..rows * 64]
        .iter()
        .map(|pixel| f32::from(u8::try_from(*pixel).unwrap()))
        .collect();
    let tensor = Tensor::fixed(
        "image",
        DType::Float32,
        vec![rows, 8, 8],
        Buffer::from_vec(pixels),
    );
    (tensor.unwrap(), labels)
}
