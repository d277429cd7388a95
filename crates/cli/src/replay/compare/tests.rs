//! What answers are to each other.

use arrow::buffer::Buffer;
use millrace_wire::{Limits, encode_tensors};

use super::*;

fn floats(name: &str, columns: usize, values: &[f32]) -> Tensor {
    let shape = vec![values.len() / columns, columns];
    let data = Buffer::from_vec(values.to_vec());
    Tensor::fixed(name, DType::Float32, shape, data).unwrap()
}

fn record(tensors: &[Tensor]) -> Record {
    Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap()
}

fn of(before: &[Tensor], now: &[Tensor]) -> Compared {
    compare(&record(before), &record(now), 1e-5)
}

#[test]
fn numbers_may_differ_by_the_tolerance() {
    let before = [floats("y", 2, &[0.1, 0.9, 1_000.0, f32::NAN])];
    let now = [floats("y", 2, &[0.100_001, 0.9, 1_000.001, f32::NAN])];
    assert_eq!(of(&before, &now).verdict, Verdict::Equal);
    let far = [floats("y", 2, &[0.1, 0.9, 1_000.5, f32::NAN])];
    let Verdict::Different(difference) = of(&before, &far).verdict else {
        panic!("they differ");
    };
    assert_eq!((difference.row, difference.amount), (1, Some(0.5)));
    assert_eq!(
        (difference.before.as_str(), difference.now.as_str()),
        ("1000", "1000.5")
    );
    let broken = [floats("y", 2, &[f32::NAN, 0.9, 1_000.5, f32::NAN])];
    let Verdict::Different(difference) = of(&before, &broken).verdict else {
        panic!("they differ");
    };
    assert_eq!(
        (difference.row, difference.amount),
        (0, None),
        "what has no size comes first"
    );
}

#[test]
fn the_highest_class_is_compared_row_by_row() {
    let before = [floats("scores", 3, &[0.1, 0.7, 0.2, 0.5, 0.3, 0.2])];
    let now = [floats("scores", 3, &[0.2, 0.6, 0.2, 0.3, 0.5, 0.2])];
    let top = of(&before, &now).top;
    assert_eq!(
        top,
        Some(Top {
            rows: 2,
            agreeing: 1
        })
    );
    assert_eq!(
        of(&[floats("y", 1, &[1.0])], &[floats("y", 1, &[1.0])]).top,
        None
    );
}

#[test]
fn whole_numbers_must_be_the_same() {
    let label = |value: i64| {
        let data = Buffer::from_vec(vec![value]);
        [Tensor::fixed("label", DType::Int64, vec![1], data).unwrap()]
    };
    assert_eq!(of(&label(-7), &label(-7)).verdict, Verdict::Equal);
    let Verdict::Different(difference) = of(&label(-7), &label(1_000_000)).verdict else {
        panic!("they differ");
    };
    assert_eq!(difference.before, "-7");
    assert_eq!(difference.amount, Some(1_000_007.0));
}

#[test]
fn other_outputs_types_and_shapes_are_told_apart() {
    let before = [floats("y", 2, &[1.0, 2.0])];
    assert_eq!(
        of(&before, &[floats("z", 2, &[1.0, 2.0])]).verdict,
        Verdict::Outputs
    );
    let two = [floats("y", 2, &[1.0, 2.0]), floats("z", 2, &[1.0, 2.0])];
    assert_eq!(of(&before, &two).verdict, Verdict::Outputs);
    let wide = Buffer::from_vec(vec![1.0f64, 2.0]);
    let wide = Tensor::fixed("y", DType::Float64, vec![1, 2], wide).unwrap();
    assert_eq!(of(&before, &[wide]).verdict, Verdict::DTypes);
    assert_eq!(
        of(&before, &[floats("y", 1, &[1.0, 2.0])]).verdict,
        Verdict::Shapes
    );
}
