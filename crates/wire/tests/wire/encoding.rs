//! What the encoder writes, arrow-rs reads; pyarrow's turn is in `schemas/test_vectors.py`.

use std::io::Cursor;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type};
use arrow::ipc::reader::StreamReader;
use millrace_wire::{
    ColumnParts, DType, EncodeError, Encoder, Limits, Record, Tensor, TensorSlice, encode,
    encode_tensors,
};

use crate::forge::{floats, texts};
use crate::golden;

#[test]
fn arrow_rs_reads_every_vector_as_we_encode_it() {
    for vector in golden::arrow_vectors() {
        let payload = golden::read("rust", &format!("{}.arrows", vector.name));
        let batch = arrow_rs(payload);
        assert_eq!(batch.num_rows(), vector.rows, "{}", vector.name);
    }
}

#[test]
fn equal_row_shapes_become_a_fixed_shape_tensor() {
    let batch = arrow_rs(encode_tensors(&[floats("x", &[2, 3, 1])]).unwrap());
    let schema = batch.schema();
    let field = schema.field(0);
    assert_eq!(
        field.metadata()["ARROW:extension:name"],
        "arrow.fixed_shape_tensor"
    );
    assert_eq!(
        field.metadata()["ARROW:extension:metadata"],
        r#"{"shape":[3,1]}"#
    );
    let values = batch.column(0).as_fixed_size_list().values();
    assert_eq!(
        values.as_primitive::<Float32Type>().values(),
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
}

#[test]
fn differing_row_shapes_become_a_variable_shape_tensor() {
    let (a, b) = (floats("a", &[2, 1]), floats("b", &[1, 2]));
    let batch = arrow_rs(encode(&[column("x", &[(&a, 1..2), (&b, 0..1)])]).unwrap());
    let schema = batch.schema();
    let metadata = schema.field(0).metadata();
    assert_eq!(
        metadata["ARROW:extension:name"],
        "arrow.variable_shape_tensor"
    );
    let tensor = batch.column(0).as_struct();
    assert_eq!(
        tensor.column(0).as_list::<i32>().value_offsets(),
        &[0, 1, 3]
    );
    let values = tensor.column(0).as_list::<i32>().values();
    assert_eq!(
        values.as_primitive::<Float32Type>().values(),
        &[2.0, 1.0, 2.0]
    );
    let sizes = tensor.column(1).as_fixed_size_list().values();
    assert_eq!(sizes.as_primitive::<Int32Type>().values(), &[1, 2]);
}

#[test]
fn texts_of_differing_row_shapes_become_nested_lists() {
    let [a, b, c] = [vec![2, 1, 2], vec![1, 2, 1], vec![1, 0, 3]].map(|shape: Vec<usize>| {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|i| format!("{shape:?}{i}")).collect();
        Tensor::variable("x", DType::String, shape, data).unwrap()
    });
    let payload = encode(&[column("x", &[(&a, 1..2), (&c, 0..1), (&b, 0..1)])]).unwrap();
    let batch = arrow_rs(payload.clone());
    let rows = batch.column(0).as_list::<i32>();
    assert_eq!(rows.value_offsets(), &[0, 1, 1, 3]);
    let lists = rows.values().as_list::<i32>();
    assert_eq!(lists.value_offsets(), &[0, 2, 3, 4]);
    let texts: Vec<&str> = lists.values().as_string::<i32>().iter().flatten().collect();
    assert_eq!(
        texts,
        ["[2, 1, 2]2", "[2, 1, 2]3", "[1, 2, 1]0", "[1, 2, 1]1"]
    );
    let record = Record::decode(payload, &Limits::default()).unwrap();
    assert_eq!(*record.row_shape(0, 2), [2, 1]);
}

#[test]
fn tensors_of_rank_one_become_plain_columns() {
    let (a, b) = (texts("a", &["x", "yy"]), texts("b", &["", "zzz", "w"]));
    let batch = arrow_rs(encode(&[column("t", &[(&a, 1..2), (&b, 0..2)])]).unwrap());
    let texts: Vec<&str> = batch
        .column(0)
        .as_string::<i32>()
        .iter()
        .flatten()
        .collect();
    assert_eq!(texts, ["yy", "", "zzz"]);
}

#[test]
fn bits_of_several_parts_are_packed_without_gaps() {
    let bools = |values: &[u8]| {
        Tensor::fixed("b", DType::Bool, vec![values.len()], values.to_vec().into()).unwrap()
    };
    let (a, b) = (bools(&[1, 0, 1]), bools(&[0, 1, 1, 1, 0, 0, 1]));
    let batch = arrow_rs(encode(&[column("b", &[(&a, 1..3), (&b, 0..7)])]).unwrap());
    let values: Vec<bool> = batch.column(0).as_boolean().iter().flatten().collect();
    assert_eq!(
        values,
        [false, true, false, true, true, true, false, false, true]
    );
}

#[test]
fn an_encoder_that_remembers_schemas_writes_the_same() {
    let mut encoder = Encoder::default();
    let (a, b, c) = (
        floats("a", &[2, 3]),
        floats("a", &[2, 3, 1]),
        texts("a", &["x", "y"]),
    );
    for tensor in [&a, &a, &b, &c, &a] {
        let columns = [column(tensor.name(), &[(tensor, 0..2)])];
        assert!(encoder.encode(&columns).unwrap() == encode(&columns).unwrap());
    }
    let renamed = [column("other", &[(&a, 0..2)])];
    assert!(encoder.encode(&renamed).unwrap() == encode(&renamed).unwrap());
}

#[test]
#[expect(
    clippy::reversed_empty_ranges,
    reason = "a caller's mistake that must be answered"
)]
fn columns_that_do_not_go_together_are_refused() {
    let (a, b, c) = (
        floats("a", &[2, 3]),
        floats("b", &[3, 3]),
        texts("c", &["x", "y"]),
    );
    assert_eq!(encode(&[]), Err(EncodeError::Empty));
    assert_eq!(encode(&[column("a", &[])]), Err(EncodeError::Empty));
    assert_eq!(
        encode(&[column("a", &[(&a, 1..1)])]),
        Err(EncodeError::Empty)
    );
    let error = encode_tensors(&[a.clone(), b.clone()])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "column b has 3 rows, expected 2 as in the first column"
    );
    let error = encode(&[column("a", &[(&a, 0..2), (&c, 0..2)])])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "column a has parts of different types or ranks");
    for rows in [0..3, 2..1] {
        let error = encode(&[column("a", &[(&b, 0..1), (&a, rows)])]).unwrap_err();
        assert!(matches!(error, EncodeError::Range { .. }), "{error}");
    }
}

#[test]
fn a_column_beyond_32_bit_offsets_is_refused() {
    let huge = Tensor::fixed(
        "x",
        DType::Int8,
        vec![1, 1 << 31, 0],
        Vec::<u8>::new().into(),
    );
    let small = Tensor::fixed("x", DType::Int8, vec![1, 2, 0], Vec::<u8>::new().into());
    let (huge, small) = (huge.unwrap(), small.unwrap());
    let error = encode(&[column("x", &[(&huge, 0..1), (&small, 0..1)])]).unwrap_err();
    assert_eq!(error.to_string(), "column x is too large for one record");
}

fn column<'a>(name: &'a str, parts: &[(&'a Tensor, Range<usize>)]) -> ColumnParts<'a> {
    let slice = |(tensor, rows): &(&'a Tensor, Range<usize>)| TensorSlice {
        tensor,
        rows: rows.clone(),
    };
    ColumnParts {
        name,
        parts: parts.iter().map(slice).collect(),
    }
}

/// The only batch of a stream, as arrow-rs reads and validates it.
fn arrow_rs(payload: Vec<u8>) -> RecordBatch {
    let mut reader = StreamReader::try_new(Cursor::new(payload), None).unwrap();
    let batch = reader.next().unwrap().unwrap();
    for column in batch.columns() {
        column.to_data().validate_full().unwrap();
    }
    assert!(reader.next().is_none());
    batch
}
