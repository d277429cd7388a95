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
fn the_sentence_names_column_expected_and_given() {
    let id = texts("id", &["a", "b"]);
    check(
        &[floats("image", &[2, 3, 4])],
        Err("missing column id, expected STRING[-1]"),
    );
    check(&[], Err("missing column image, expected FP32[-1,-1,4]"));
    check(
        &[id.clone(), floats("imaje", &[2, 3, 4])],
        Err("unknown column imaje; the model has 2 inputs, the first is image"),
    );
    check(
        &[id.clone(), floats("image", &[2, 3, 5])],
        Err("column image must be FP32[-1,-1,4], got FP32[2,3,5]"),
    );
    check(
        &[id.clone(), floats("image", &[2, 12])],
        Err("column image must be FP32[-1,-1,4], got FP32[2,12]"),
    );
    check(
        &[id, texts("image", &["a", "b"])],
        Err("column image must be FP32[-1,-1,4], got STRING[2]"),
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
        "column image must be FP32[-1,-1,4], got FP32[2,4,2]"
    );
}

fn check(tensors: &[Tensor], expected: Result<(), &str>) {
    // A record has at least one column; the empty one here lacks all inputs but one.
    let id = [texts("id", &["a"])];
    let tensors = if tensors.is_empty() { &id } else { tensors };
    let record = Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap();
    let signature = Signature {
        inputs: vec![
            image(),
            TensorSpec {
                name: "id".into(),
                dtype: DType::String,
                shape: vec![None],
            },
        ],
        outputs: vec![],
    };
    let given = signature.check(&record).map_err(|error| error.to_string());
    assert_eq!(given, expected.map_err(str::to_owned));
}

fn image() -> TensorSpec {
    TensorSpec {
        name: "image".into(),
        dtype: DType::Float32,
        shape: vec![None, None, Some(4)],
    }
}
