use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, UInt32Type};
use millrace_wire::{DType, Tensor};

use super::*;
use crate::batch::OpenBatch;
use crate::settings::{Renamed, TopForm};
use crate::testing::{TOPIC, fixed, kafka_record, partition, record_of_failure, try_parse};
use millrace_wire::{Status, encode_tensors};

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    fixed(name, DType::Float32, shape, bytes.collect())
}

fn named(name: &str) -> ColumnSettings {
    ColumnSettings::Named(name.into())
}

fn top(n: usize, into: TopForm) -> TopSettings {
    TopSettings {
        column: "scores".into(),
        n,
        into,
    }
}

fn read(projection: &mut Projection, tensors: &[Tensor]) -> Result<ResultRecord<'static>, String> {
    let record = kafka_record(0, Status::Ok, Some(encode_tensors(tensors).unwrap()));
    try_parse(&record, projection).map_err(|rejected| rejected.reason.to_string())
}

/// The rows of one record with these outputs and of a failure after it.
fn rows(mut projection: Projection, tensors: &[Tensor]) -> RecordBatch {
    let mut batch = OpenBatch::new(partition(TOPIC, 0), 0);
    batch.push(&read(&mut projection, tensors).unwrap());
    batch.push(&record_of_failure(1));
    batch.close().unwrap().rows().clone()
}

fn outputs(rows: &RecordBatch) -> Vec<String> {
    let schema = rows.schema();
    let names = schema.fields()[fixed::NAMES.len()..].iter();
    names.map(|field| field.name().clone()).collect()
}

fn check_refused(mut projection: Projection, tensors: &[Tensor], expected: &str) {
    let error = read(&mut projection, tensors).err().unwrap();
    assert!(error.contains(expected), "{error}");
}

fn scores() -> Tensor {
    floats("scores", &[2, 3], &[0.1, 0.7, 0.2, 0.5, f32::NAN, 0.5])
}

#[test]
fn columns_are_chosen_and_renamed() {
    let renamed = ColumnSettings::Renamed(Renamed {
        name: "label".into(),
        r#as: "class".into(),
    });
    let projection = Projection::new(&[renamed, named("scores")], TensorForm::Array, None);
    let tensors = [
        scores(),
        fixed("label", DType::Uint8, &[2], vec![1, 0]),
        floats("more", &[2], &[0.0; 2]),
    ];
    let rows = rows(projection, &tensors);
    assert_eq!(outputs(&rows), ["class", "scores"]);
    assert_eq!(rows.num_rows(), 3);
}

#[test]
fn output_that_the_settings_name_must_be_there() {
    let projection = Projection::new(&[named("label")], TensorForm::Array, None);
    check_refused(projection, &[scores()], "has no output \"label\"");
}

#[test]
fn tensors_become_json_text_and_scalars_stay() {
    let projection = Projection::new(&[], TensorForm::Json, None);
    let rows = rows(projection, &[scores(), floats("y", &[2], &[1.0, 2.0])]);
    let texts = rows["scores"].as_string::<i32>();
    assert_eq!(
        (texts.value(0), texts.value(1)),
        ("[0.1,0.7,0.2]", "[0.5,\"NaN\",0.5]")
    );
    assert!(texts.is_null(2));
    assert_eq!(rows["y"].as_primitive::<Float32Type>().value(1), 2.0);
}

#[test]
fn tensors_become_a_column_per_element() {
    let projection = Projection::new(&[], TensorForm::Columns, None);
    let matrix = floats("m", &[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let rows = rows(projection, &[matrix]);
    assert_eq!(outputs(&rows), ["m_0_0", "m_0_1", "m_1_0", "m_1_1"]);
    let element = rows["m_1_0"].as_primitive::<Float32Type>();
    assert_eq!((element.value(0), element.value(1)), (3.0, 7.0));
    assert!(element.is_null(2));
}

#[test]
fn too_many_elements_are_refused() {
    let projection = Projection::new(&[], TensorForm::Columns, None);
    let wide = floats("wide", &[1, 1001], &[0.0; 1001]);
    check_refused(projection, &[wide], "1001 elements");
}

#[test]
fn rows_of_another_shape_have_other_columns() {
    let mut projection = Projection::new(&[], TensorForm::Columns, None);
    let three = read(&mut projection, &[floats("y", &[1, 3], &[0.0; 3])]).unwrap();
    let two = read(&mut projection, &[floats("y", &[1, 2], &[0.0; 2])]).unwrap();
    let mut batch = OpenBatch::new(partition(TOPIC, 0), 0);
    batch.push(&three);
    assert!(!batch.admits(&two));
}

#[test]
fn largest_become_columns_without_what_is_not_a_number() {
    let projection = Projection::new(&[], TensorForm::Array, Some(&top(3, TopForm::Columns)));
    let rows = rows(projection, &[scores()]);
    let expected = [
        "top1_index",
        "top1_value",
        "top2_index",
        "top2_value",
        "top3_index",
        "top3_value",
    ];
    assert_eq!(
        outputs(&rows),
        expected.map(|name| format!("scores_{name}"))
    );
    let index = |place: u32, row: usize| {
        let column = &rows[&*format!("scores_top{place}_index")];
        let column = column.as_primitive::<UInt32Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    assert_eq!(
        [index(1, 0), index(2, 0), index(3, 0)],
        [Some(1), Some(2), Some(0)]
    );
    assert_eq!(
        [index(1, 1), index(2, 1), index(3, 1)],
        [Some(0), Some(2), None]
    );
    assert_eq!(index(1, 2), None);
    let value = rows["scores_top1_value"].as_primitive::<Float32Type>();
    assert_eq!((value.value(0), value.value(1)), (0.7, 0.5));
}

#[test]
fn largest_become_rows() {
    let projection = Projection::new(
        &[named("scores")],
        TensorForm::Json,
        Some(&top(2, TopForm::Rows)),
    );
    let rows = rows(projection, &[scores()]);
    assert_eq!(
        outputs(&rows),
        ["scores", "rank", "scores_index", "scores_value"]
    );
    let instance = rows["row"].as_primitive::<UInt32Type>();
    assert_eq!(instance.values(), &[0, 0, 1, 1, 0]);
    let index = rows["scores_index"].as_primitive::<UInt32Type>();
    assert_eq!(&index.values()[..4], &[1, 2, 0, 2]);
    assert!(index.is_null(4) && rows["rank"].is_null(4));
    assert_eq!(fixed::offsets(&rows), &[0, 0, 0, 0, 1]);
}

#[test]
fn only_numbers_have_a_largest() {
    let projection = || Projection::new(&[], TensorForm::Array, Some(&top(1, TopForm::Columns)));
    let text = Tensor::variable("scores", DType::String, vec![1], ["a"].iter().collect());
    check_refused(projection(), &[text.unwrap()], "only numbers");
    check_refused(
        projection(),
        &[floats("y", &[1], &[0.0])],
        "no output \"scores\"",
    );
}

#[test]
fn value_of_millions_of_empty_lists_is_refused() {
    let attack = floats("y", &[1, 1 << 30, 0], &[]);
    check_refused(Projection::default(), &[attack], "in memory");
    let harmless = floats("y", &[1, 1 << 10, 0], &[]);
    read(&mut Projection::default(), &[harmless]).unwrap();
}
