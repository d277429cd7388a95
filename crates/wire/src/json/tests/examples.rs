//! Classify and regress: features into tensors, scores and values into results.

use arrow::buffer::Buffer;

use crate::{Limits, Record, Tensor, encode_tensors};

use super::*;

fn three_inputs() -> Signature {
    signature(vec![
        input("age", DType::Int64, &[]),
        input("vector", DType::Float32, &[2, 2]),
        input("words", DType::Bytes, &[-1]),
    ])
}

fn parse_with(
    body: &str,
    signature: &Signature,
    method: Method,
) -> Result<ExamplesRequest, JsonError> {
    parse_examples(body.as_bytes(), signature, &JsonLimits::default(), method)
}

#[track_caller]
fn taken(body: &str, signature: &Signature) -> ExamplesRequest {
    parse_with(body, signature, Method::Classify).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn check_unfit(body: &str, signature: &Signature, fragment: &str) {
    let error = parse_with(body, signature, Method::Classify).unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains(fragment), "{body}: {sentence}");
    assert!(sentence.len() <= 400, "{sentence}");
}

#[test]
fn features_become_rows_of_their_inputs() {
    let request = taken(
        r#"{"signature_name": "serving_default", "examples": [
            {"age": 30, "vector": [1.5, 2.5, -0.0, 4e0], "words": ["a", {"b64": "/w=="}]},
            {"words": ["", "ü"], "vector": [1, 2, 3, 4], "age": [true]}
        ]}"#,
        &three_inputs(),
    );
    assert_eq!(request.signature_name.as_deref(), Some("serving_default"));
    let shapes: Vec<&[usize]> = request.tensors.iter().map(|it| it.shape()).collect();
    assert_eq!(shapes, [&[2][..], &[2, 2, 2], &[2, 2]]);
    assert_eq!(request.tensors[0].typed::<i64>().unwrap(), [30, 1]);
    let vector = request.tensors[1].typed::<f32>().unwrap();
    assert_eq!(vector, [1.5, 2.5, -0.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    let words: Vec<&[u8]> = request.tensors[2].elements().unwrap().iter().collect();
    assert_eq!(words, [&b"a"[..], b"\xff", b"", "ü".as_bytes()]);
    request.encode().unwrap();
}

#[test]
fn the_context_belongs_to_every_example_wherever_it_stands() {
    for body in [
        r#"{"context": {"age": 7}, "examples": [{"vector": [1,2,3,4], "words": "a"}, {"words": ["b"], "vector": [5,6,7,8]}]}"#,
        r#"{"examples": [{"vector": [1,2,3,4], "words": "a"}, {"words": ["b"], "vector": [5,6,7,8]}], "context": {"age": 7}}"#,
    ] {
        let request = taken(body, &three_inputs());
        assert_eq!(request.tensors[0].typed::<i64>().unwrap(), [7, 7]);
    }
    let both =
        r#"{"context": {"age": 7}, "examples": [{"age": 7, "vector": [1,2,3,4], "words": "a"}]}"#;
    check_unfit(
        both,
        &three_inputs(),
        "feature age is in example 0 and in the context",
    );
}

#[test]
fn a_context_that_would_be_repeated_beyond_all_bounds_is_too_large() {
    let model = signature(vec![
        input("a", DType::String, &[]),
        input("b", DType::Int32, &[]),
    ]);
    let context = "x".repeat(1 << 20);
    let examples = vec!["{\"b\":1}"; 100].join(",");
    let body = format!("{{\"context\":{{\"a\":\"{context}\"}},\"examples\":[{examples}]}}");
    let error = parse_with(&body, &model, Method::Classify).unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
    assert!(error.to_string().contains("'context'"), "{error}");
}

#[test]
fn true_and_false_are_integers_unless_the_input_is_boolean() {
    let model = signature(vec![
        input("f", DType::Float32, &[4]),
        input("k", DType::Bool, &[2]),
    ]);
    let request = taken(
        r#"{"examples": [{"f": [true, 0, false , 12], "k": [true,false]}]}"#,
        &model,
    );
    assert_eq!(
        request.tensors[0].typed::<f32>().unwrap(),
        [1.0, 0.0, 0.0, 12.0]
    );
    assert_eq!(request.tensors[1].typed::<u8>().unwrap(), [1, 0]);
    check_unfit(
        r#"{"examples": [{"f": [1,2,3,4], "k": [1, 0]}]}"#,
        &model,
        "is not of expected type: bool",
    );
}

#[test]
fn what_is_no_list_of_examples_is_refused_in_tensorflow_servings_words() {
    let model = three_inputs();
    for method in [Method::Classify, Method::Regress] {
        let error = parse_with("{}", &model, method).unwrap_err().to_string();
        let expected =
            format!("When method is {method}, key 'examples' is expected and was not found");
        assert_eq!(error, expected);
    }
    for (body, fragment) in [
        ("", "The document is empty"),
        ("[]", "Is not object"),
        (
            r#"{"examples": {}}"#,
            "Expecting 'examples' value to be an list/array",
        ),
        (r#"{"examples": []}"#, "'examples' value is an empty array"),
        (
            r#"{"examples": [5]}"#,
            "Example must be JSON object but got JSON Number",
        ),
        (
            r#"{"examples": [[]]}"#,
            "Example must be JSON object but got JSON Array",
        ),
        (
            r#"{"examples": [{}], "examples": [{}]}"#,
            "duplicate key 'examples'",
        ),
        (
            r#"{"examples": [{}], "context": []}"#,
            "Example must be JSON object but got JSON Array",
        ),
        (r#"{"examples": [{}]}"#, "Missing feature: age in example 0"),
        (
            r#"{"examples": [{"age": 1, "age": 1}]}"#,
            "duplicate feature age in example 0",
        ),
        (
            r#"{"examples": [{"Age": 1}]}"#,
            "unknown feature Age in example 0",
        ),
        (
            r#"{"examples": [{"age": 1}]}x"#,
            "must not be followed by other values",
        ),
        (
            r#"{"signature_name": 1, "examples": [{}]}"#,
            "'signature_name' key must be a string value.",
        ),
    ] {
        check_unfit(body, &model, fragment);
    }
}

#[test]
fn features_of_the_wrong_kind_or_size_are_refused() {
    let model = three_inputs();
    for (feature, fragment) in [
        (
            r#""age": null"#,
            "Feature: age has element with unexpected JSON type: Null",
        ),
        (
            r#""age": [[1]]"#,
            "Feature: age has element with unexpected JSON type: Array",
        ),
        (
            r#""age": {"a": 1}"#,
            "Feature: age has element with unexpected JSON type: Object",
        ),
        (
            r#""age": 9223372036854775808"#,
            "Feature: age has uint64_t element. Only int64_t is supported.",
        ),
        (r#""age": 1.5"#, "is not of expected type: int64"),
        (
            r#""age": [1, 2]"#,
            "Feature: age has 2 elements in example 0, expected a row of shape []",
        ),
        (r#""age": []"#, "Feature: age has 0 elements"),
        (
            r#""age": "1""#,
            "Type: String is not of expected type: int64",
        ),
        (
            r#""vector": [1, 2, 3.5, 4]"#,
            "Unexpected element type in feature: vector expecting type: int64",
        ),
        (
            r#""vector": [1.5, true]"#,
            "Unexpected element type in feature: vector expecting type: float",
        ),
        (
            r#""vector": [1.0, 2.0, 3.0]"#,
            "Feature: vector has 3 elements in example 0, expected a row of shape [2,2]",
        ),
        (
            r#""words": ["a", 1]"#,
            "Unexpected element type in feature: words expecting type: bytes",
        ),
        (r#""words": {"b64": "***"}"#, "Unable to base64 decode"),
        (r#""words": {"b64": "YQ==", "x": 1}"#, "JSON is nested"),
        (r#""words": [1 2]"#, "JSON Parse error"),
    ] {
        let body = format!(r#"{{"examples": [{{{feature}}}]}}"#);
        if feature.contains("\"x\"") {
            // Which of two faults is named does not matter.
            assert!(parse_with(&body, &model, Method::Classify).is_err());
            continue;
        }
        check_unfit(&body, &model, fragment);
    }
    check_unfit(
        r#"{"examples": [{"age":1,"vector":[1,2,3,4],"words":["a"]},{"age":1,"vector":[1,2,3,4],"words":["a","b"]}]}"#,
        &model,
        "Feature: words has 2 elements in example 1, expected a row of shape [1]",
    );
}

#[test]
fn strict_rules_refuse_unknown_keys_and_numbers_that_are_not_finite() {
    let strict = JsonLimits {
        rules: JsonRules {
            strictness: Strictness::Strict,
            ..JsonRules::default()
        },
        ..JsonLimits::default()
    };
    let model = signature(vec![input("f", DType::Float32, &[2])]);
    for (body, fragment) in [
        (
            r#"{"other": 1, "examples": [{"f": [1,2]}]}"#,
            "unknown key other",
        ),
        (
            r#"{"examples": [{"f": [1.5,NaN]}]}"#,
            "NaN is not a finite FP32",
        ),
        (
            r#"{"examples": [{"f": [1.5, 1e39]}]}"#,
            "1e39 is not a finite FP32",
        ),
    ] {
        let error = parse_examples(body.as_bytes(), &model, &strict, Method::Regress).unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        taken(body, &model);
    }
}

fn record(tensors: &[Tensor]) -> Record {
    Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap()
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let data = Buffer::from_slice_ref(values);
    Tensor::fixed(name, DType::Float32, shape.to_vec(), data).unwrap()
}

fn texts(name: &str, shape: &[usize], values: &[&str]) -> Tensor {
    let data = values.iter().collect();
    Tensor::variable(name, DType::String, shape.to_vec(), data).unwrap()
}

fn classified(tensors: &[Tensor]) -> Result<String, WriteError> {
    let mut out = Vec::new();
    write_classifications(&record(tensors), &JsonRules::default(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn regressed(tensors: &[Tensor]) -> Result<String, WriteError> {
    let mut out = Vec::new();
    write_regressions(&record(tensors), &JsonRules::default(), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn classifications_are_laid_out_as_tensorflow_serving_does() {
    let scores = floats("scores", &[2, 2], &[0.2, 0.7, 0.5, 3.0]);
    let classes = texts("classes", &[2, 2], &["car", "bike", "a\"", ""]);
    assert_eq!(
        classified(&[classes, scores.clone()]).unwrap(),
        "{\n    \"results\": [[[\"car\", 0.2], [\"bike\", 0.7]], [[\"a\\\"\", 0.5], [\"\", 3.0]]\n    ]\n}"
    );
    assert_eq!(
        classified(&[scores.renamed("any")]).unwrap(),
        "{\n    \"results\": [[[\"\", 0.2], [\"\", 0.7]], [[\"\", 0.5], [\"\", 3.0]]\n    ]\n}"
    );
    assert_eq!(
        classified(&[floats("one", &[1], &[12.0])]).unwrap(),
        "{\n    \"results\": [[[\"\", 12.0]]\n    ]\n}"
    );
}

#[test]
fn regressions_are_laid_out_as_tensorflow_serving_does() {
    let expected = "{\n    \"results\": [0.2, 0.9]\n}";
    for shape in [&[2][..], &[2, 1]] {
        assert_eq!(
            regressed(&[floats("y", shape, &[0.2, 0.9])]).unwrap(),
            expected
        );
    }
}

#[test]
fn outputs_that_do_not_fit_the_verb_are_refused_before_and_after_the_model_ran() {
    let wide = floats("y", &[1, 3], &[1.0, 2.0, 3.0]);
    let error = regressed(std::slice::from_ref(&wide)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "method regress needs a model with a single float output of one number per row; this one is for :predict"
    );
    let label = texts("label", &[1], &["a"]);
    assert!(classified(std::slice::from_ref(&label)).is_err());
    assert!(classified(&[wide.clone(), wide.clone().renamed("z")]).is_err());
    let labels = texts("classes", &[1, 2], &["a", "b"]);
    assert!(classified(&[wide, labels]).is_err());
    let outputs = [input("y", DType::Float32, &[3])];
    assert!(Method::Regress.check_outputs(&outputs).is_err());
    assert!(Method::Classify.check_outputs(&outputs).is_ok());
    let outputs = [
        input("y", DType::Float32, &[]),
        input("i", DType::Int64, &[]),
    ];
    assert!(Method::Regress.check_outputs(&outputs).is_ok());
    let outputs = [input("scores", DType::Float32, &[2, 2])];
    assert!(Method::Classify.check_outputs(&outputs).is_err());
}
