//! Answers beside the rows they belong to.

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::{Float32Type, Int64Type};
use millrace_wire::encode_tensors;

use super::*;
use crate::rows::Inputs;

fn signature() -> Signature {
    let spec = |name: &str, dtype, shape: &[Option<usize>]| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    };
    Signature {
        inputs: Vec::new(),
        outputs: vec![
            spec("scores", DType::Float32, &[None, Some(2)]),
            spec("label", DType::Int64, &[None]),
        ],
    }
}

fn answer(labels: &[i64]) -> Record {
    let rows = labels.len();
    let scores: Vec<f32> = labels
        .iter()
        .flat_map(|&label| [f32::from(u8::try_from(label).unwrap()), 0.5])
        .collect();
    let scores = Tensor::fixed(
        "scores",
        DType::Float32,
        vec![rows, 2],
        Buffer::from_vec(scores),
    );
    let labels = Buffer::from_vec(labels.to_vec());
    let labels = Tensor::fixed("label", DType::Int64, vec![rows], labels);
    let record = encode_tensors(&[scores.unwrap(), labels.unwrap()]).unwrap();
    Record::decode(record, &Default::default()).unwrap()
}

fn chunk(rows: i64, failed: Vec<(usize, String)>) -> Chunk {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    Chunk {
        first_row: 0,
        carried: RecordBatch::try_from_iter([("id", ids)]).unwrap(),
        inputs: Inputs::default(),
        failed,
        bytes: 0,
    }
}

fn columns() -> Columns {
    let carried = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    let taken = ["id".to_owned()];
    let naming = Naming {
        taken: &taken,
        output_prefix: "",
        error_column: "error",
    };
    Columns::new(&carried, &signature(), &naming).unwrap()
}

#[test]
fn answers_stand_beside_their_rows_whatever_came_first_or_failed() {
    let chunk = chunk(6, vec![(1, "no number".to_owned())]);
    // Rows 0, 2, 3, 4, 5 were sent; row 3, the third of them, was refused.
    let outcomes = Outcomes {
        answers: vec![(3..5, answer(&[4, 5])), (0..2, answer(&[0, 2]))],
        refused: vec![(2, "out of bounds".to_owned())],
    };
    let batch = columns().rows(&chunk, outcomes).unwrap();
    let labels = batch
        .column_by_name("label")
        .unwrap()
        .as_primitive::<Int64Type>();
    let labels: Vec<_> = labels.iter().collect();
    assert_eq!(labels, [Some(0), None, Some(2), None, Some(4), Some(5)]);
    let scores = batch.column_by_name("scores").unwrap().as_list::<i32>();
    assert!(scores.is_null(1) && scores.is_null(3));
    assert_eq!(
        scores.value(5).as_primitive::<Float32Type>().values(),
        &[5.0, 0.5]
    );
    let errors = batch.column_by_name("error").unwrap().as_string::<i32>();
    assert_eq!(
        (errors.value(1), errors.value(3)),
        ("no number", "out of bounds")
    );
    assert_eq!(errors.null_count(), 4);
}

#[test]
fn a_reply_that_does_not_fit_its_question_is_an_error() {
    let outcomes = Outcomes {
        answers: vec![(0..2, answer(&[1]))],
        refused: Vec::new(),
    };
    assert!(columns().rows(&chunk(2, Vec::new()), outcomes).is_err());
}

#[test]
fn names_that_clash_are_refused_with_what_to_do() {
    let carried = Arc::new(Schema::new(vec![Field::new(
        "label",
        DataType::Int64,
        false,
    )]));
    let taken = ["label".to_owned()];
    let mut naming = Naming {
        taken: &taken,
        output_prefix: "",
        error_column: "error",
    };
    let sentence = Columns::new(&carried, &signature(), &naming)
        .unwrap_err()
        .to_string();
    assert!(sentence.contains("--output-prefix"), "{sentence}");
    naming.output_prefix = "model_";
    Columns::new(&carried, &signature(), &naming).unwrap();
}
