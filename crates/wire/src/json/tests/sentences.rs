//! The exact words of a few refusals: field, expected, given, and little of the body.

use super::*;

#[test]
fn a_type_error_names_value_type_input_and_instance() {
    let model = signature(vec![input("image", DType::Float32, &[2])]);
    let error = refuse(r#"{"instances":[[1,2],[3,"2"]]}"#, &model);
    assert_eq!(
        error.to_string(),
        "JSON Value: \"2\" Type: String is not of expected type: float (input image, instance 1)"
    );
    assert_eq!(error.kind(), JsonErrorKind::Invalid);
}

#[test]
fn no_more_than_64_bytes_of_the_body_are_repeated() {
    let long = "ü\\n".repeat(1000);
    let model = single(DType::Float32, &[1]);
    for body in [
        format!("{{\"instances\":[[\"{long}\"]]}}"),
        format!("{{\"instances\":[{{\"{long}\":1}}]}}"),
        format!("{{\"signature_name\":[\"{long}\"]}}"),
        format!("{{\"instances\":\"{long}\"}}"),
        format!("[\"{long}\"]"),
    ] {
        let sentence = refuse(&body, &model).to_string();
        assert!(sentence.matches('ü').count() <= 32, "{sentence}");
        assert!(sentence.contains("..."), "{sentence}");
    }
}

#[test]
fn line_breaks_of_the_body_do_not_reach_the_sentence() {
    let sentence = refuse(
        "{\"instances\":{\n\"a\":\t1}}",
        &single(DType::Float32, &[]),
    )
    .to_string();
    assert!(
        sentence.starts_with("JSON Value: {?\"a\":?1} "),
        "{sentence}"
    );
}

#[test]
fn many_and_long_input_names_still_make_a_short_sentence() {
    let names: Vec<String> = (0..100)
        .map(|index| format!("{}{index}", "n".repeat(100)))
        .collect();
    let model = signature(
        names
            .iter()
            .map(|name| input(name, DType::Int32, &[]))
            .collect(),
    );
    refuse(r#"{"instances":[{}]}"#, &model);
    refuse(
        format!("{{\"instances\":[{{\"{}\":1}}]}}", "k".repeat(1000)),
        &model,
    );
    refuse(r#"{"inputs":{}}"#, &model);
}

#[test]
fn signatures_that_cannot_be_served_are_refused() {
    check_refused(
        r#"{"instances":[1]}"#,
        &signature(Vec::new()),
        "the signature has no inputs",
    );
    let mut scalar = input("k", DType::Float32, &[]);
    scalar.shape.clear();
    check_refused(
        r#"{"inputs":1}"#,
        &signature(vec![scalar]),
        "input k has no dimension for rows",
    );
}

#[test]
fn an_error_body_is_escaped_and_bounded() {
    assert_eq!(
        error_body("a \"b\"\n\\ \u{1} ü"),
        "{\n    \"error\": \"a \\\"b\\\"\\n\\\\ \\u0001 ü\"\n}".as_bytes()
    );
    let body = error_body(&"\"".repeat(1000));
    assert!(body.len() <= 512 && body.len() > 500);
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
}
