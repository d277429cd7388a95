//! The golden vectors of `schemas/vectors`, and whether a record holds what their index says.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_wire::{
    ColumnParts, DType, Encoder, Record, SparseTensor, Tensor, TensorBuilder, TensorSlice,
};
use serde_json::Value;

/// A record and what the index says about it.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<GoldenColumn>,
}

/// What the index says about a column.
pub(crate) struct GoldenColumn {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) row_shapes: Vec<Vec<usize>>,
    pub(crate) data: Value,
}

/// The folder of the vectors.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/vectors")
}

/// The index of all vectors.
pub(crate) fn index() -> Value {
    let text = fs::read_to_string(folder().join("index.json")).expect("the index is committed");
    serde_json::from_str(&text).expect("the index is JSON")
}

/// All records that a decoder must take, as pyarrow wrote them.
pub(crate) fn arrow_vectors() -> Vec<Golden> {
    let index = index();
    let entries = index["arrow"].as_array().expect("a list of records");
    entries.iter().map(golden).collect()
}

fn golden(entry: &Value) -> Golden {
    let name = text(&entry["name"]).to_owned();
    Golden {
        payload: read("arrow", &format!("{name}.arrows")),
        name,
        rows: number(&entry["rows"]),
        columns: list(&entry["columns"]).iter().map(column).collect(),
    }
}

fn column(entry: &Value) -> GoldenColumn {
    let shape = |shape: &Value| list(shape).iter().map(number).collect();
    GoldenColumn {
        name: text(&entry["name"]).to_owned(),
        dtype: text(&entry["dtype"]).parse().expect("a dtype"),
        row_shapes: list(&entry["row_shapes"]).iter().map(shape).collect(),
        data: entry["data"].clone(),
    }
}

/// A file of the vectors.
pub(crate) fn read(kind: &str, file: &str) -> Vec<u8> {
    let path = folder().join(kind).join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails unless the record holds exactly what the index says.
pub(crate) fn assert_holds(record: &Record, golden: &Golden) {
    let name = &golden.name;
    assert_eq!(record.rows(), golden.rows, "{name}");
    assert_eq!(record.columns().len(), golden.columns.len(), "{name}");
    for (index, expected) in golden.columns.iter().enumerate() {
        let column = &record.columns()[index];
        assert_eq!(column.name(), expected.name, "{name}");
        assert_eq!(column.dtype(), expected.dtype, "{name}");
        for (row, shape) in expected.row_shapes.iter().enumerate() {
            assert_eq!(&*record.row_shape(index, row), shape, "{name} row {row}");
            assert_eq!(column.rank(), shape.len() + 1, "{name}");
        }
        let tensors = tensors(record, index);
        assert_eq!(contents(&tensors), expected.data, "{name}");
    }
}

/// The column as one tensor for each run of rows of one shape.
pub(crate) fn tensors(record: &Record, column: usize) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for run in record.uniform_runs() {
        let shape = record.row_shape(column, run.start);
        let dtype = record.columns()[column].dtype();
        let mut builder = TensorBuilder::new("x", dtype, &shape, run.len()).expect("fits memory");
        record
            .copy_rows(column, run, &mut builder)
            .expect("rows of one shape");
        tensors.push(builder.finish());
    }
    tensors
}

/// The record encoded again.
pub(crate) fn encode_again(record: &Record) -> Vec<u8> {
    let columns: Vec<Vec<Tensor>> = (0..record.columns().len())
        .map(|column| tensors(record, column))
        .collect();
    let sparse: Vec<SparseTensor> = (0..columns.len())
        .filter_map(|column| record.sparse_tensor(column))
        .collect();
    let mut parts = Vec::new();
    for (index, tensors) in columns.iter().enumerate() {
        if record.sparse_tensor(index).is_some() {
            continue;
        }
        parts.push(ColumnParts {
            name: record.columns()[index].name(),
            parts: tensors
                .iter()
                .map(|tensor| TensorSlice {
                    tensor,
                    rows: 0..tensor.rows(),
                })
                .collect(),
        });
    }
    let encoded = Encoder::default().encode_with_sparse(&parts, &sparse);
    encoded.expect("what was decoded can be encoded")
}

/// The elements as the index writes them.
fn contents(tensors: &[Tensor]) -> Value {
    if tensors[0].fixed_bytes().is_some() {
        let bytes: Vec<&[u8]> = tensors.iter().filter_map(Tensor::fixed_bytes).collect();
        return Value::from(hex(&bytes.concat()));
    }
    let is_text = tensors[0].dtype() == DType::String;
    let elements = tensors.iter().filter_map(Tensor::elements);
    let values = elements.flat_map(|elements| elements.iter());
    values
        .map(|element| match is_text {
            true => String::from_utf8(element.to_vec()).expect("STRING is UTF-8"),
            false => hex(element),
        })
        .collect()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// A text of the index.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn number(value: &Value) -> usize {
    let number = value.as_u64().expect("a number");
    usize::try_from(number).expect("a small number")
}
