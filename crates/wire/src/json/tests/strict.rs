//! What a stricter reader than TensorFlow Serving refuses, and what Cluster Serving reads otherwise.

use super::*;

fn limits(rules: JsonRules) -> JsonLimits {
    JsonLimits {
        rules,
        ..JsonLimits::default()
    }
}

fn strict() -> JsonLimits {
    limits(JsonRules {
        strictness: Strictness::Strict,
        ..JsonRules::default()
    })
}

#[track_caller]
fn check(values: &str, dtype: DType, sentence: Option<&str>) {
    let body = format!("{{\"instances\": [[{values}]]}}");
    let model = single(dtype, &[-1]);
    accept(&body, &model);
    let read = parse_predict(body.as_bytes(), &model, &strict());
    assert_eq!(
        read.err().map(|error| error.to_string()).as_deref(),
        sentence,
        "{values}"
    );
}

#[test]
fn strict_rules_take_finite_numbers_only() {
    check("1, 2.5, -1e-400, 3.4028235e38", DType::Float32, None);
    let refused = |value: &str, dtype| {
        format!(
            "JSON Value: {value} is not a finite {dtype}, as strict JSON requires (input x, instance 0)"
        )
    };
    for value in ["NaN", "Infinity", "-Infinity", "1e39", "-1e39"] {
        let sentence = refused(value, DType::Float32);
        check(&format!("1.5, {value}, 2"), DType::Float32, Some(&sentence));
        check(value, DType::Float32, Some(&sentence));
    }
    check("0, 1e39", DType::Float64, None);
    check(
        "1,NaN",
        DType::Float64,
        Some(&refused("NaN", DType::Float64)),
    );
    check(
        "65536",
        DType::Float16,
        Some(&refused("65536", DType::Float16)),
    );
    check(
        "1e39",
        DType::Bfloat16,
        Some(&refused("1e39", DType::Bfloat16)),
    );
}

#[test]
fn a_long_list_names_the_one_value_that_is_not_finite() {
    let mut values = vec!["1.25"; 1000];
    values[701] = "-Infinity";
    let body = format!("{{\"inputs\": [[{}]]}}", values.join(" , "));
    let error = parse_predict(body.as_bytes(), &single(DType::Float32, &[-1]), &strict());
    let sentence = error.unwrap_err().to_string();
    assert!(
        sentence.contains("JSON Value: -Infinity is not a finite FP32"),
        "{sentence}"
    );
    let scalar = br#"{"instances": [1, NaN]}"#;
    let error = parse_predict(scalar, &single(DType::Float32, &[]), &strict()).unwrap_err();
    assert!(error.to_string().contains("instance 1"), "{error}");
}

#[test]
fn strict_rules_refuse_keys_that_nobody_defined() {
    let body = r#"{"instances": [1], "extra": {"a": []}}"#;
    let model = single(DType::Float32, &[]);
    assert_eq!(accept(body, &model).ignored_keys, 1);
    let error = parse_predict(body.as_bytes(), &model, &strict()).unwrap_err();
    assert_eq!(error.to_string(), "unknown key extra in the request");
}

#[test]
fn a_plain_string_for_bytes_is_base64_where_cluster_serving_is_spoken() {
    let rules = limits(JsonRules {
        plain_bytes: PlainBytes::Base64,
        ..JsonRules::default()
    });
    let body = br#"{"instances": [{"image": "/9j/4A=="}, {"image": {"b64": "AAE="}}]}"#;
    let model = signature(vec![input("image", DType::Bytes, &[])]);
    let request = parse_predict(body, &model, &rules).unwrap();
    let images: Vec<&[u8]> = request.tensors[0].elements().unwrap().iter().collect();
    assert_eq!(images, [&b"\xff\xd8\xff\xe0"[..], b"\0\x01"]);
    let text = accept(body, &model);
    assert_eq!(text.tensors[0].elements().unwrap().get(0), b"/9j/4A==");
    let words = br#"{"instances": ["not base64!"]}"#;
    let error = parse_predict(words, &single(DType::Bytes, &[]), &rules).unwrap_err();
    assert!(
        error.to_string().contains("Unable to base64 decode"),
        "{error}"
    );
    // Text stays text.
    parse_predict(words, &single(DType::String, &[]), &rules).unwrap();
}
