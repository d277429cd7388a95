//! Records are held against a model's signature, and the sentence says what is wrong.

use millrace_wire::{
    ColumnParts, DType, Limits, Record, Signature, Tensor, TensorSlice, TensorSpec, encode,
    encode_tensors,
};

use crate::forge::{floats, texts};

#[test]
fn a_record_that_fits_is_taken() {
    check(
        &[floats("image", &[2, 3, 4]), texts("id", &["a", "b"])],
        Ok(()),
    );
    check(&[texts("id", &["a"]), floats("image", &[1, 0, 4])], Ok(()));
}

#[test]
fn the_sentence_names_input_expected_and_given() {
    let id = texts("id", &["a", "b"]);
    check(
        &[floats("image", &[2, 3, 4])],
        Err("missing input id, expected STRING[-1]"),
    );
    check(&[], Err("missing input image, expected FP32[-1,-1,4]"));
    check(
        &[id.clone(), floats("imaje", &[2, 3, 4])],
        Err("unknown input imaje; the model has 2 inputs, the first is image"),
    );
    check(
        &[id.clone(), floats("image", &[2, 3, 5])],
        Err("input image must be FP32[-1,-1,4], got FP32[2,3,5]"),
    );
    check(
        &[id.clone(), floats("image", &[2, 12])],
        Err("input image must be FP32[-1,-1,4], got FP32[2,12]"),
    );
    check(
        &[id, texts("image", &["a", "b"])],
        Err("input image must be FP32[-1,-1,4], got STRING[2]"),
    );
}

#[test]
fn every_row_of_differing_shapes_is_checked() {
    let (a, b) = (floats("a", &[1, 2, 4]), floats("b", &[1, 4, 2]));
    let parts = [&a, &b].map(|tensor| TensorSlice { tensor, rows: 0..1 });
    let column = ColumnParts {
        name: "image",
        parts: parts.to_vec(),
    };
    let record = Record::decode(encode(&[column]).unwrap(), &Limits::default()).unwrap();
    let error = Signature {
        inputs: vec![image()],
        outputs: vec![],
    }
    .check(&record)
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "input image must be FP32[-1,-1,4], got FP32[2,4,2]"
    );
}

#[test]
fn tensors_are_held_against_it_in_any_order() {
    let image = || floats("image", &[2, 3, 4]);
    let id = || texts("id", &["a", "b"]);
    check_tensors(&[image(), id()], Ok(()));
    check_tensors(&[id(), image()], Ok(()));
    check_tensors(&[id(), floats("image", &[2, 0, 4])], Ok(()));
    check_tensors(&[], Err("missing input image, expected FP32[-1,-1,4]"));
    check_tensors(&[image()], Err("missing input id, expected STRING[-1]"));
    check_tensors(
        &[image(), id(), image()],
        Err("input image was given twice"),
    );
    check_tensors(
        &[image(), id(), floats("other", &[2])],
        Err("unknown input other; the model has 2 inputs, the first is image"),
    );
    check_tensors(
        &[floats("image", &[2, 3, 5]), id()],
        Err("input image must be FP32[-1,-1,4], got FP32[2,3,5]"),
    );
    check_tensors(
        &[image(), floats("id", &[2])],
        Err("input id must be STRING[-1], got FP32[2]"),
    );
    check_tensors(
        &[image(), texts("id", &["a", "b", "c"])],
        Err("input id has 3 rows, expected 2 as in input image"),
    );
    check_tensors(
        &[floats("image", &[0, 3, 4]), texts("id", &[])],
        Err("input image has no rows, a request needs at least one"),
    );
}

fn check_tensors(tensors: &[Tensor], expected: Result<(), &str>) {
    let given = signature().check_tensors(tensors);
    assert_eq!(
        given.map_err(|error| error.to_string()),
        expected.map_err(str::to_owned)
    );
}

fn check(tensors: &[Tensor], expected: Result<(), &str>) {
    // A record has at least one column; the empty one here lacks all inputs but one.
    let id = [texts("id", &["a"])];
    let tensors = if tensors.is_empty() { &id } else { tensors };
    let record = Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap();
    let given = signature()
        .check(&record)
        .map_err(|error| error.to_string());
    assert_eq!(given, expected.map_err(str::to_owned));
}

fn signature() -> Signature {
    let id = TensorSpec {
        name: "id".into(),
        dtype: DType::String,
        shape: vec![None],
    };
    Signature {
        inputs: vec![image(), id],
        outputs: vec![],
    }
}

fn image() -> TensorSpec {
    TensorSpec {
        name: "image".into(),
        dtype: DType::Float32,
        shape: vec![None, None, Some(4)],
    }
}
