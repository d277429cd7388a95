//! Rows of records become rows of batches.

use millrace_wire::{
    ColumnParts, DType, Limits, Record, Tensor, TensorBuilder, TensorError, TensorSlice,
    VariableData, encode, encode_tensors,
};

use crate::forge::{floats, texts};

#[test]
fn rows_of_several_records_share_one_batch_tensor() {
    let first = decode(&[floats("x", &[2, 3])]);
    let second = decode(&[floats("x", &[3, 3])]);
    let mut batch = TensorBuilder::new("x", DType::Float32, &[3], 4).unwrap();
    first.copy_rows(0, 1..2, &mut batch).unwrap();
    second.copy_rows(0, 0..3, &mut batch).unwrap();
    let batch = batch.finish();
    assert_eq!(batch.shape(), [4, 3]);
    let expected = [4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    assert_eq!(batch.typed::<f32>().unwrap(), expected);
}

#[test]
fn a_batch_tensor_begins_at_a_64_byte_boundary() {
    let mut batch = TensorBuilder::new("x", DType::Float32, &[3], 2).unwrap();
    decode(&[floats("x", &[2, 3])])
        .copy_rows(0, 0..2, &mut batch)
        .unwrap();
    let batch = batch.finish();
    assert_eq!(batch.fixed_bytes().unwrap().as_ptr().align_offset(64), 0);
}

#[test]
fn booleans_are_unpacked_from_any_bit() {
    let values: Vec<u8> = (0..21).map(|i| u8::from(i % 3 == 0)).collect();
    let shape = vec![7, 3];
    let tensor = Tensor::fixed("x", DType::Bool, shape, values.clone().into()).unwrap();
    let record = decode(&[tensor]);
    for row in 0..7 {
        let mut batch = TensorBuilder::new("x", DType::Bool, &[3], 1).unwrap();
        record.copy_rows(0, row..row + 1, &mut batch).unwrap();
        assert_eq!(
            batch.finish().fixed_bytes().unwrap(),
            &values[row * 3..row * 3 + 3]
        );
    }
}

#[test]
fn texts_are_copied_from_any_row() {
    let record = decode(&[texts("x", &["a", "", "ccc", "dd"])]);
    let mut batch = TensorBuilder::new("x", DType::String, &[], 3).unwrap();
    record.copy_rows(0, 2..4, &mut batch).unwrap();
    record.copy_rows(0, 0..2, &mut batch).unwrap();
    record.copy_rows(0, 1..1, &mut batch).unwrap();
    let batch = batch.finish();
    let elements: Vec<&[u8]> = batch.elements().unwrap().iter().collect();
    assert_eq!(elements, [&b"ccc"[..], b"dd", b"a", b""]);
}

#[test]
fn rows_of_differing_shapes_form_runs() {
    let tensors = [
        floats("a", &[2, 1, 2]),
        floats("b", &[1, 2, 2]),
        floats("c", &[2, 1, 2]),
    ];
    let record = decode_parts(&tensors);
    assert_eq!(record.uniform_runs(), [0..2, 2..3, 3..5]);
    assert_eq!(*record.row_shape(0, 2), [2, 2]);
    assert_eq!(record.columns()[0].fixed_row_shape(), None);
    assert_eq!(record.columns()[0].shape(), [None, None, None]);

    let error = record.tensor(0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("rows of shape [1,2], got a row of shape [2,2]"),
        "{error}"
    );
    let mut batch = TensorBuilder::new("x", DType::Float32, &[2, 2], 1).unwrap();
    assert!(record.copy_rows(0, 2..4, &mut batch).is_err());
    assert_eq!(batch.rows(), 0, "a failed copy changes nothing");
    record.copy_rows(0, 2..3, &mut batch).unwrap();
    assert_eq!(batch.finish().typed::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn fixed_shapes_form_a_single_run() {
    let record = decode(&[floats("x", &[5, 2]), texts("y", &["a", "b", "c", "d", "e"])]);
    assert_eq!(record.uniform_runs(), vec![0..5]);
    assert_eq!(record.columns()[0].shape(), [None, Some(2)]);
    assert_eq!(record.column("y").unwrap().fixed_row_shape(), Some(&[][..]));
}

#[test]
fn rows_of_another_type_or_shape_do_not_join_a_batch() {
    let record = decode(&[floats("x", &[2, 3])]);
    let mut of_doubles = TensorBuilder::new("x", DType::Float64, &[3], 2).unwrap();
    let error = record.copy_rows(0, 0..2, &mut of_doubles).unwrap_err();
    assert_eq!(error.to_string(), "tensor x is of type FP64, got FP32");
    let mut of_pairs = TensorBuilder::new("x", DType::Float32, &[2], 2).unwrap();
    let error = record.copy_rows(0, 0..2, &mut of_pairs).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor x has rows of shape [2], got a row of shape [3]"
    );
}

#[test]
#[expect(
    clippy::reversed_empty_ranges,
    reason = "a caller's mistake that must be answered"
)]
fn rows_and_columns_that_do_not_exist_are_an_error() {
    let record = decode(&[floats("x", &[2, 3])]);
    let mut batch = TensorBuilder::new("x", DType::Float32, &[3], 2).unwrap();
    for (column, rows) in [(0, 1..3), (1, 0..1), (0, 2..1)] {
        let error = record.copy_rows(column, rows, &mut batch).unwrap_err();
        assert!(matches!(error, TensorError::Range { .. }), "{error}");
    }
    assert!(record.tensor(1).is_err());
}

#[test]
fn a_tensor_is_consistent_by_construction() {
    let fixed = |dtype, shape: &[usize], bytes: usize| {
        Tensor::fixed("x", dtype, shape.to_vec(), vec![2u8; bytes].into())
    };
    assert!(fixed(DType::Int16, &[2, 3], 12).is_ok());
    assert!(fixed(DType::Int16, &[0, 3], 0).is_ok());
    assert!(fixed(DType::Int16, &[2, 3], 13).is_err());
    assert!(
        fixed(DType::Int16, &[], 2).is_err(),
        "dimension 0 is the rows"
    );
    assert!(
        fixed(DType::Int16, &[usize::MAX, 2], 0).is_err(),
        "overflow"
    );
    assert!(fixed(DType::Bool, &[1], 1).is_err(), "2 is no boolean");
    assert!(fixed(DType::String, &[1], 1).is_err());
    assert!(TensorBuilder::new("x", DType::Int16, &[usize::MAX], 2).is_err());

    let text = |bytes: &[&[u8]]| {
        let data: VariableData = bytes.iter().collect();
        Tensor::variable("x", DType::String, vec![bytes.len()], data)
    };
    assert!(text(&[b"a", "ü".as_bytes()]).is_ok());
    assert!(text(&[b"\xC3", b"\xBC"]).is_err(), "a character cut in two");
    assert!(Tensor::variable("x", DType::Bytes, vec![2], VariableData::new()).is_err());
    assert!(Tensor::variable("x", DType::Int8, vec![0], VariableData::new()).is_err());
}

#[test]
fn dimensions_beyond_counting_beside_an_empty_one_are_harmless() {
    let empty = |shape: Vec<usize>| {
        Tensor::fixed("x", DType::Int8, shape, Vec::<u8>::new().into()).unwrap()
    };
    assert_eq!(empty(vec![0, usize::MAX, 2]).elements_per_row(), 0);
    let shape = vec![1, 1 << 40, 1 << 40, 0];
    let record = decode(&[empty(shape.clone())]);
    assert_eq!(record.tensor(0).unwrap().shape(), shape);
}

#[test]
fn a_tensor_shows_its_numbers_only_as_their_own_type() {
    let tensor = floats("x", &[2]);
    assert_eq!(tensor.typed::<f32>(), Some(&[1.0, 2.0][..]));
    assert_eq!(tensor.typed::<i32>(), None);
    assert_eq!(tensor.typed::<f64>(), None);
    assert_eq!(texts("x", &["a"]).typed::<u8>(), None);
}

#[test]
fn data_that_are_not_aligned_are_copied() {
    let bytes = arrow::buffer::Buffer::from(vec![0u8; 17]);
    let tensor = Tensor::fixed("x", DType::Float64, vec![2], bytes.slice(1)).unwrap();
    assert_eq!(tensor.typed::<f64>(), Some(&[0.0, 0.0][..]));
}

fn decode(tensors: &[Tensor]) -> Record {
    Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap()
}

fn decode_parts(tensors: &[Tensor]) -> Record {
    let parts = tensors.iter().map(|tensor| TensorSlice {
        tensor,
        rows: 0..tensor.rows(),
    });
    let column = ColumnParts {
        name: "x",
        parts: parts.collect(),
    };
    Record::decode(encode(&[column]).unwrap(), &Limits::default()).unwrap()
}
