//! Sparse columns: what they stand for, what that may cost, and that two ways to the same row agree.

use millrace_wire::{
    DType, DecodeErrorKind, Decoder, Limits, Record, SparseError, SparseFault, SparsePlaces,
    SparseTensor, Tensor, TensorBuilder, VariableData, encode_inputs,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

fn floats(values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor::fixed("x", DType::Float32, vec![values.len()], bytes.into()).unwrap()
}

fn places(rank: usize, shapes: &[i32], ends: &[usize], indices: &[i32]) -> SparsePlaces {
    SparsePlaces {
        rank,
        shapes: shapes.to_vec(),
        ends: ends.to_vec(),
        indices: indices.to_vec(),
    }
}

#[test]
fn only_rows_whose_elements_have_places_of_their_own_are_taken() {
    let check = |places: SparsePlaces, count: usize, fault: Option<SparseFault>| {
        let tensor = SparseTensor::new(places, floats(&vec![1.0; count]));
        assert_eq!(tensor.err().map(|error: SparseError| error.fault), fault);
    };
    check(places(2, &[2, 3, 1, 1], &[2, 2], &[1, 2, 0, 0]), 2, None);
    check(places(1, &[0], &[0], &[]), 0, None);
    let length = Some(SparseFault::Length);
    check(places(0, &[], &[0], &[]), 0, length);
    check(places(1, &[3], &[2], &[0, 1]), 1, length);
    check(places(1, &[3], &[2], &[0]), 2, length);
    check(places(1, &[3, 3], &[2], &[0, 1]), 2, length);
    check(places(1, &[3, 3], &[2, 1], &[0]), 1, length);
    check(places(1, &[-1], &[0], &[]), 0, Some(SparseFault::Shape));
    let huge = [i32::MAX, i32::MAX, i32::MAX];
    check(places(3, &huge, &[0], &[]), 0, Some(SparseFault::Shape));
    check(places(1, &[3], &[1], &[3]), 1, Some(SparseFault::Outside));
    check(places(1, &[3], &[1], &[-1]), 1, Some(SparseFault::Outside));
    check(
        places(1, &[3], &[3], &[2, 0, 2]),
        3,
        Some(SparseFault::Duplicate),
    );
    check(
        places(1, &[3], &[2], &[1, 1]),
        2,
        Some(SparseFault::Duplicate),
    );
}

#[test]
fn random_sparse_rows_become_the_dense_rows_that_they_stand_for() {
    let mut random = SmallRng::seed_from_u64(8);
    let mut decoder = Decoder::new(Limits::default());
    for _ in 0..300 {
        let rank = random.random_range(1..4);
        let shape: Vec<i32> = (0..rank).map(|_| random.random_range(0..5)).collect();
        let rows = random.random_range(1..4);
        let size: i32 = shape.iter().product();
        let mut expected = vec![0f32; usize::try_from(size).unwrap() * rows];
        let mut places = places(rank, &shape.repeat(rows), &[], &[]);
        let mut values = Vec::new();
        for row in expected.chunks_mut(usize::try_from(size.max(1)).unwrap()) {
            for place in (0..row.len()).rev() {
                if random.random_bool(0.3) {
                    row[place] = random.random_range(1.0..2.0);
                    values.push(row[place]);
                    places.indices.extend(index_of(place, &shape));
                }
            }
            places.ends.push(values.len());
        }
        places.ends.resize(rows, values.len());
        let sparse = SparseTensor::new(places, floats(&values)).unwrap();
        let record = decoder
            .decode(encode_inputs(&[], std::slice::from_ref(&sparse)).unwrap())
            .unwrap();
        let tensor = record.tensor(0).unwrap();
        assert_eq!(tensor.typed::<f32>().unwrap(), expected);
        let again = record.sparse_tensor(0).unwrap();
        assert_eq!(again.places().indices, sparse.places().indices);
        assert_eq!(again.values().fixed_bytes(), sparse.values().fixed_bytes());
        assert_eq!(
            record.dense_bytes() - record.payload().len(),
            expected.len() * 4
        );
    }
}

fn index_of(mut place: usize, shape: &[i32]) -> Vec<i32> {
    let mut index = vec![0; shape.len()];
    for (position, &size) in shape.iter().enumerate().rev() {
        let size = usize::try_from(size).unwrap();
        index[position] = i32::try_from(place % size).unwrap();
        place /= size;
    }
    index
}

#[test]
fn what_sparse_columns_stand_for_is_bounded_before_it_is_made() {
    let row = |name: &str| {
        let data = [b"a"].into_iter().collect::<VariableData>();
        let values = Tensor::variable(name, DType::String, vec![1], data).unwrap();
        SparseTensor::new(places(2, &[1000, 1000], &[1], &[5, 5]), values).unwrap()
    };
    let payload = encode_inputs(&[], &[row("x"), row("y")]).unwrap();
    assert!(payload.len() < 4000, "{}", payload.len());
    let decode = |limits| Record::decode(payload.clone(), &limits);
    // An empty text takes as much as the number that says where it ends.
    decode(Limits {
        max_dense_bytes: 16_000_000,
        ..Limits::default()
    })
    .unwrap();
    let error = decode(Limits {
        max_dense_bytes: 15_999_999,
        ..Limits::default()
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooLarge);
    assert_eq!(
        error.to_string(),
        "sparse column y and those before it stand for more than the limit of 15999999 bytes"
    );
    let error = decode(Limits {
        max_elements: 999_999,
        ..Limits::default()
    });
    assert_eq!(error.unwrap_err().kind(), DecodeErrorKind::TooLarge);
}

#[test]
fn a_row_of_another_shape_does_not_join_and_changes_nothing() {
    let sparse = SparseTensor::new(places(1, &[2, 3], &[1, 2], &[0, 2]), floats(&[1.0, 2.0]));
    let payload = encode_inputs(&[], &[sparse.unwrap()]).unwrap();
    let record = Record::decode(payload, &Limits::default()).unwrap();
    let mut builder = TensorBuilder::new("x", DType::Float32, &[2], 2).unwrap();
    assert!(record.copy_rows(0, 0..2, &mut builder).is_err());
    record.copy_rows(0, 0..1, &mut builder).unwrap();
    let tensor = builder.finish();
    assert_eq!(tensor.typed::<f32>().unwrap(), [1.0, 0.0]);
}
