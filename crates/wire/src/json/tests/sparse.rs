//! Sparse rows: read, refused where they are wrong, and dense again in the record.

use crate::{Limits, Record};

use super::*;

/// The dense tensor of the only input, through a record.
#[track_caller]
fn dense(body: &str, signature: &Signature) -> (Vec<usize>, crate::Tensor) {
    let request = accept(body, signature);
    assert_eq!(request.sparse.len(), 1, "{body}");
    let record = Record::decode(request.encode().unwrap(), &Limits::default()).unwrap();
    signature.check(&record).unwrap();
    let index = record.column_index(&signature.inputs[0].name).unwrap();
    let tensor = record.tensor(index).unwrap();
    (tensor.shape().to_vec(), tensor)
}

#[test]
fn sparse_rows_of_cluster_serving_become_dense_in_the_record() {
    let body = r#"{"instances": [
        {"x": {"shape":[3,4],"data":[0.2,-5,3.45],"indices":[[0,1],[2,3],[1,0]]}},
        {"x": {"indices":[],"data":[],"shape":[3,4]}},
        {"x": {"data": [7], "indices": [[2, 0]], "shape": [3, 4]}}
    ]}"#;
    let (shape, tensor) = dense(body, &single(DType::Float32, &[3, 4]));
    assert_eq!(shape, [3, 3, 4]);
    let mut expected = vec![0f32; 36];
    (expected[1], expected[11], expected[4]) = (0.2, -5.0, 3.45);
    expected[24 + 8] = 7.0;
    assert_eq!(tensor.typed::<f32>().unwrap(), expected);
}

#[test]
fn the_documented_example_is_read_whole_and_twice() {
    let row = r#"{"shape":[100,10000,10],"data":[0.2,0.5,3.45,6.78],"indices":[[1,1,1],[2,2,2],[3,3,3],[4,4,4]]}"#;
    let body = format!(r#"{{"instances":[{{"x":{row}}},{{"x":{row}}}]}}"#);
    let (shape, tensor) = dense(&body, &single(DType::Float32, &[-1, -1, 10]));
    assert_eq!(shape, [2, 100, 10000, 10]);
    let values = tensor.typed::<f32>().unwrap();
    let set: Vec<(usize, f32)> = values
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, value)| *value != 0.0)
        .collect();
    let at = |k: usize| k * 100_000 + k * 10 + k;
    let expected: Vec<(usize, f32)> = [0, 10_000_000]
        .iter()
        .flat_map(|row| {
            [(1, 0.2), (2, 0.5), (3, 3.45), (4, 6.78)].map(|(k, value)| (row + at(k), value))
        })
        .collect();
    assert_eq!(set, expected);
}

#[test]
fn every_kind_of_element_can_be_sparse_and_bare_for_the_only_input() {
    let body = r#"{"instances": [{"shape":[4],"data":[true],"indices":[[2]]}]}"#;
    let (_, tensor) = dense(body, &single(DType::Bool, &[4]));
    assert_eq!(tensor.typed::<u8>().unwrap(), [0, 0, 1, 0]);
    let body = r#"{"instances": [{"shape":[4],"data":["b","a"],"indices":[[3],[0]]}]}"#;
    let (_, tensor) = dense(body, &single(DType::String, &[-1]));
    let texts: Vec<&[u8]> = tensor.elements().unwrap().iter().collect();
    assert_eq!(texts, [&b"a"[..], b"", b"", b"b"]);
    let body = r#"{"instances": [{"shape":[2],"data":[9007199254740993],"indices":[[1]]}]}"#;
    let (_, tensor) = dense(body, &single(DType::Int64, &[2]));
    assert_eq!(tensor.typed::<i64>().unwrap(), [0, 9_007_199_254_740_993]);
}

#[test]
fn an_input_may_be_called_like_a_member_of_a_sparse_tensor() {
    let model = signature(vec![input("data", DType::Int32, &[2])]);
    accept(r#"{"instances": [{"data": [1, 2]}]}"#, &model);
    let (_, tensor) = dense(
        r#"{"instances": [{"data": {"data": [5], "shape": [2], "indices": [[1]]}}]}"#,
        &model,
    );
    assert_eq!(tensor.typed::<i32>().unwrap(), [0, 5]);
}

#[test]
fn dense_inputs_beside_sparse_ones_keep_their_names() {
    let model = signature(vec![
        input("a", DType::Float32, &[2]),
        input("b", DType::Int32, &[]),
    ]);
    let row = r#"{"a": {"shape":[2],"data":[1.5],"indices":[[1]]}, "b": 7}"#;
    let request = accept(format!("{{\"instances\": [{row},{row}]}}"), &model);
    let record = Record::decode(request.encode().unwrap(), &Limits::default()).unwrap();
    model.check(&record).unwrap();
    let index = record.column_index("a").unwrap();
    let values = record.tensor(index).unwrap();
    assert_eq!(values.typed::<f32>().unwrap(), [0.0, 1.5, 0.0, 1.5]);
}

/// Sparse tensors for a row of [3,-1], and what is said of each.
const WRONG: [(&str, &str); 19] = [
    (
        r#"{"shape":[3,4],"data":[1]}"#,
        "each once (input x, instance 0)",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[0,0]],"x":1}"#,
        "each once",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"data":[1],"indices":[[0,0]]}"#,
        "each once",
    ),
    (
        r#"{"shape":[2,4],"data":[],"indices":[]}"#,
        "Expecting shape [3,-1] but got: [2,4] in a sparse tensor",
    ),
    (
        r#"{"shape":[3],"data":[],"indices":[]}"#,
        "Expecting shape [3,-1] but got: [3]",
    ),
    (
        r#"{"shape":[3,4,1],"data":[],"indices":[]}"#,
        "Expecting shape [3,-1] but got: [3,4,1]",
    ),
    (
        r#"{"shape":[3,-4],"data":[],"indices":[]}"#,
        "Expecting shape [3,-1] but got: [3,-4]",
    ),
    (
        r#"{"shape":[3,99999999999],"data":[],"indices":[]}"#,
        "Expecting shape [3,-1] but got: [3,99999999999]",
    ),
    (
        r#"{"shape":[3,4],"data":[1,2],"indices":[[0,0]]}"#,
        "indices and values differ in number",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[0,0],[1,1]]}"#,
        "indices and values differ in number",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[0]]}"#,
        "indices and values differ in number",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[3,0]]}"#,
        "an index is outside the shape",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[0,-1]]}"#,
        "an index is outside the shape",
    ),
    (
        r#"{"shape":[3,4],"data":[1],"indices":[[0,4294967296]]}"#,
        "an index is outside the shape",
    ),
    (
        r#"{"shape":[3,4],"data":[1,2,3],"indices":[[1,1],[0,0],[1,1]]}"#,
        "two elements have the same index",
    ),
    (
        r#"{"shape":[3,4],"data":["a"],"indices":[[1,1]]}"#,
        "Type: String is not of expected type: float",
    ),
    (
        r#"{"shape":[3,4],"data":[[1]],"indices":[[1,1]]}"#,
        "is no sparse tensor",
    ),
    (
        r#"{"shape":[3,4],"data":1,"indices":[[1,1]]}"#,
        "is no sparse tensor",
    ),
    (
        r#"{"shape":[3,4.5],"data":[1],"indices":[[1,1]]}"#,
        "Expecting shape [3,-1] but got: [3,4.5]",
    ),
];

#[test]
fn wrong_sparse_tensors_are_refused_with_the_reason() {
    let model = single(DType::Float32, &[3, -1]);
    for (value, fragment) in WRONG {
        let named = format!("{{\"instances\": [{{\"x\": {value}}}]}}");
        check_refused(&named, &model, fragment);
        check_refused(format!("{{\"instances\": [{value}]}}"), &model, "");
    }
    check_refused(
        r#"{"instances": [{"shape":[3,4],"data":[1],"indices":[[1,1]]}, [[1],[2],[3]]]}"#,
        &model,
        "must all be sparse tensors, or none",
    );
    check_refused(
        r#"{"instances": [[[1],[2],[3]], {"shape":[3,1],"data":[1],"indices":[[1,0]]}]}"#,
        &model,
        "must all be sparse tensors, or none",
    );
}

#[test]
fn sparse_tensors_where_none_can_be_are_refused() {
    let sparse = r#"{"shape":[2],"data":[1],"indices":[[1]]}"#;
    let one = single(DType::Float32, &[2]);
    let scalar = single(DType::Float32, &[]);
    let fragment = "can only be a row of 'instances' with one dimension or more";
    for body in [
        format!("{{\"inputs\":{{\"x\":{sparse}}}}}"),
        format!("{{\"inputs\":{sparse}}}"),
    ] {
        check_refused(&body, &one, fragment);
    }
    check_refused(format!("{{\"instances\":[{sparse}]}}"), &scalar, fragment);
    check_refused(
        format!("{{\"instances\":[{{\"x\":{sparse}}}]}}"),
        &scalar,
        fragment,
    );
}

#[test]
fn a_few_bytes_cannot_stand_for_more_elements_than_the_limit() {
    let model = single(DType::Float32, &[-1, -1]);
    let row = r#"{"shape":[1048576,63],"data":[1],"indices":[[5,5]]}"#;
    accept(format!("{{\"instances\":[{row}]}}"), &model);
    let error = refuse(format!("{{\"instances\":[{row},{row}]}}"), &model);
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
    let huge = r#"{"instances":[{"shape":[2147483647,2147483647],"data":[1],"indices":[[5,5]]}]}"#;
    assert_eq!(refuse(huge, &model).kind(), JsonErrorKind::TooLarge);
}
