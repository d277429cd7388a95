//! Bad requests; numbers are rows of the project's list of bad inputs.

use super::*;

/// An `x: FP32[-1,4]`.
fn model() -> Signature {
    single(DType::Float32, &[4])
}

#[test]
fn what_is_no_request_is_refused() {
    for (body, fragment) in NO_REQUESTS {
        refuse_json(body, &model(), fragment);
    }
    let twice = r#"{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}"#;
    refuse_json(
        &format!(r#"{{"inputs":[{twice},{twice}]}}"#),
        &model(),
        "input x was given twice",
    );
    let both = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4],"parameters":{"binary_data_size":16}}]}"#;
    refuse_json(both, &model(), "both \"data\" and \"binary_data_size\"");
    let shared = r#"{"inputs":[{"name":"x","parameters":{"shared_memory_region":"r"}}]}"#;
    refuse_json(shared, &model(), "shared memory is not supported");
}

const NO_REQUESTS: [(&str, &str); 24] = [
    ("", "empty body"),
    (" ", "JSON Parse error"),
    ("null", "must be an object with \"inputs\", got null"),
    ("[]", "must be an object"),
    ("{}", "the request has no \"inputs\"; the model has 1"),
    (r#"{"inputs":{}}"#, "\"inputs\" must be a list, got {}"),
    (r#"{"inputs":[]}"#, "missing input x, expected FP32[-1,4]"),
    (
        r#"{"inputs":[5]}"#,
        "an entry of \"inputs\" must be an object, got 5",
    ),
    (r#"{"inputs":[{}]}"#, "has no \"name\""),
    (r#"{"inputs":[{"name":"x"}]}"#, "(x) has no \"datatype\""),
    (
        r#"{"inputs":[{"name":"x","datatype":"FP32"}]}"#,
        "(x) has no \"shape\"",
    ),
    (
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4]}]}"#,
        "neither \"data\" nor",
    ),
    (
        r#"{"inputs":[{"name":5}]}"#,
        "\"name\" must be a string, got 5",
    ),
    (
        r#"{"inputs":[{"name":"z","datatype":"FP32","shape":[1]}]}"#,
        "unknown input z",
    ),
    (
        r#"{"inputs":[{"name":"x","name":"x"}]}"#,
        "duplicate key \"name\"",
    ),
    (r#"{"inputs":[],"inputs":[]}"#, "duplicate key \"inputs\""),
    (r#"{"id":{},"inputs":[]}"#, "\"id\" must be a string"),
    (
        r#"{"parameters":[],"inputs":[]}"#,
        "\"parameters\" must be an object",
    ),
    (
        r#"{"parameters":{"timeout":-1}}"#,
        "parameter timeout must be an integer from 0 on, got -1",
    ),
    (
        r#"{"parameters":{"binary_data_output":1}}"#,
        "must be true or false, got 1",
    ),
    (r#"{"parameters":{"a":1,"a":2}}"#, "duplicate parameter a"),
    (
        r#"{"parameters":{"sequence_id":5}}"#,
        "sequences are not supported",
    ),
    (
        r#"{"parameters":{"sequence_start":true}}"#,
        "sequences are not supported",
    ),
    (r#"{"inputs":[]}{"#, "must not be followed"),
];

#[test]
fn a_shape_whose_product_overflows_is_refused_before_anything_is_allocated() {
    // H47
    let sixteen = vec!["1152921504606846978"; 16].join(",");
    let model = single(DType::Float32, &[-1; 15]);
    refuse_json(
        &x("FP32", &format!("[{sixteen}]"), "[1]"),
        &model,
        "too many elements to count",
    );
    let binary = x_binary("FP32", &format!("[{sixteen}]"), "8");
    let (body, length) = with_tail(&binary, &[0; 8]);
    refuse(&body, Some(&length), &model, "too many elements to count");
    let many = single(DType::Float32, &[-1]);
    let error = parse(
        x("FP32", "[1,1099511627776]", "[1]").as_bytes(),
        None,
        &many,
    )
    .unwrap_err();
    assert_eq!(error.kind(), OipErrorKind::TooLarge);
    assert!(
        error
            .to_string()
            .contains("more than the limit of 67108864"),
        "{error}"
    );
}

#[test]
fn dimensions_that_are_no_sizes_are_refused() {
    // H48
    for shape in [
        "[-1,4]",
        "[0,4]",
        "[1.5,4]",
        "[1.0,4]",
        "[\"1\",4]",
        "[null,4]",
        "[[1],4]",
        "[true,4]",
        "[9223372036854775808,4]",
        "[1e0,4]",
    ] {
        refuse_json(
            &x("FP32", shape, "[1,2,3,4]"),
            &model(),
            "list of integers from 1 on",
        );
    }
    refuse_json(
        &x("FP32", "4", "[1,2,3,4]"),
        &model(),
        "\"shape\" must be a list, got 4",
    );
    let thousand = format!("[{}]", vec!["1"; 1000].join(","));
    refuse_json(
        &x("FP32", &thousand, "[1]"),
        &model(),
        "more than 16 dimensions",
    );
    for shape in ["[]", "[4]", "[1,3]", "[1,1,4]"] {
        let expected = format!("unexpected shape for input 'x'. Expected [-1,4], got {shape}");
        refuse_json(&x("FP32", shape, "[1,2,3,4]"), &model(), &expected);
    }
}

#[test]
fn a_datatype_that_is_not_the_input_s_is_refused() {
    // H49
    for datatype in ["fp32", "FLOAT", "", "FP64", "STRING", "BYTES"] {
        let expected = format!("unexpected datatype for input 'x'. Expected FP32, got {datatype}");
        refuse_json(&x(datatype, "[1,4]", "[1,2,3,4]"), &model(), &expected);
    }
    let text = single(DType::String, &[]);
    refuse_json(
        &x("STRING", "[1]", "[\"a\"]"),
        &text,
        "Expected BYTES, got STRING",
    );
    for data in [
        "[1,2,3,\"4\"]",
        "[1,2,3,true]",
        "[1,2,3,null]",
        "[1,2,3,{}]",
    ] {
        refuse_json(&x("FP32", "[1,4]", data), &model(), "(input x)");
    }
    refuse_json(
        &x("INT32", "[1]", "[1.5]"),
        &single(DType::Int32, &[]),
        "(input x)",
    );
    refuse_json(&x("BYTES", "[1]", "[5]"), &text, "(input x)");
    for dtype in [DType::Float16, DType::Bfloat16] {
        let mut model = single(dtype, &[]);
        refuse_json(&x(dtype.name(), "[1]", "[1]"), &model, "has no JSON form");
        let (body, length) = with_tail(&x_binary(dtype.name(), "[1]", "2"), &[0; 2]);
        refuse(
            &body,
            Some(&length),
            &model,
            "ask for it with \"binary_data\": true",
        );
        model.outputs.clear();
        assert!(parse(&body, Some(&length), &model).is_ok());
    }
}

#[test]
fn data_of_another_length_than_the_shape_are_refused() {
    // H50
    for data in [
        "[1,2,3]",
        "[1,2,3,4,5]",
        "[]",
        "[[1,2,3,4],[5,6,7,8]]",
        "[[1,2,3]]",
        "[[1,2,3,4,5]]",
    ] {
        refuse_json(&x("FP32", "[1,4]", data), &model(), "(input x)");
    }
    for data in ["5", "\"a\"", "{}", "[[[1,2,3,4]]]"] {
        refuse_json(
            &x("FP32", "[1,4]", data),
            &model(),
            "must be a flat list or lists nested",
        );
    }
    for data in ["[[1,2],[3]]", "[[1,2],3,4]", "[[1,2],[]]"] {
        refuse_json(
            &x("FP32", "[2,2]", data),
            &single(DType::Float32, &[2]),
            "(input x)",
        );
    }
}

#[test]
fn outputs_that_do_not_exist_or_come_twice_are_refused() {
    // H52
    let with = |outputs: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}}],"outputs":{outputs}}}"#
        )
    };
    for (outputs, fragment) in [
        (
            r#"[{"name":"y"},{"name":"y"}]"#,
            "output y was requested twice",
        ),
        (
            r#"[{"name":"z"}]"#,
            "unknown output z; the model has 2 outputs, the first is x",
        ),
        ("[{}]", "has no \"name\""),
        ("[5]", "must be an object"),
        ("{}", "\"outputs\" must be a list"),
        (
            r#"[{"name":"y","parameters":{"binary_data":1}}]"#,
            "binary_data must be true or false",
        ),
        (
            r#"[{"name":"y","parameters":{"classification":3}}]"#,
            "classification is not supported",
        ),
        (
            r#"[{"name":"y","parameters":{"shared_memory_region":"r"}}]"#,
            "shared memory",
        ),
    ] {
        refuse_json(&with(outputs), &model(), fragment);
    }
}

#[test]
fn strict_rules_let_nothing_pass_that_nobody_asked_for() {
    let mut limits = JsonLimits::default();
    limits.rules.strictness = crate::json::Strictness::Strict;
    for (body, fragment) in [
        (x("FP32", "[1,4]", "[1,2,3,NaN]"), "strict JSON"),
        (
            x("FP32", "[1,4]", "[1,2,3,4]").replacen('{', "{\"other\":1,", 1),
            "unknown key other",
        ),
    ] {
        let body_of = InferBody {
            bytes: body.as_bytes(),
            header_length: None,
        };
        let error = parse_infer(body_of, &model(), &limits)
            .unwrap_err()
            .to_string();
        assert!(error.contains(fragment), "{body}: {error}");
        assert!(parse(body.as_bytes(), None, &model()).is_ok(), "{body}");
    }
}

#[test]
fn rows_that_differ_between_inputs_are_refused() {
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]},
        {"name":"id","datatype":"BYTES","shape":[2],"data":["a","b"]}]}"#;
    refuse_json(
        body,
        &two(),
        "input id has 2 rows, expected 1 as in input x",
    );
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}"#;
    refuse_json(body, &two(), "missing input id, expected STRING[-1]");
}

#[test]
fn every_truncation_of_a_good_request_is_refused() {
    let json = x("FP32", "[1,4]", "[1,2,3,4]");
    for end in 0..json.len() {
        refuse(&json.as_bytes()[..end], None, &model(), "");
    }
    let (body, length) = with_tail(&x_binary("FP32", "[1,4]", "16"), &[0; 16]);
    for end in 0..body.len() {
        refuse(&body[..end], Some(&length), &model(), "");
    }
}

#[test]
fn bombs_cost_no_more_than_their_length() {
    let nested = "[".repeat(1_000_000);
    refuse_json(&x("FP32", "[1,4]", &nested), &model(), "");
    refuse_json(&format!("{{\"other\":{nested}"), &model(), "too deep");
    let keys: String = (0..100_000).map(|i| format!("\"k{i}\":0,")).collect();
    refuse_json(&format!("{{{keys}"), &model(), "too many keys");
    refuse_json(
        &format!("{{\"parameters\":{{{keys}"),
        &model(),
        "more than 64 parameters",
    );
    let name = "n".repeat(1 << 20);
    refuse_json(
        &format!(r#"{{"inputs":[{{"name":"{name}"}}]}}"#),
        &model(),
        "unknown input nnn",
    );
    refuse_json(
        &format!(r#"{{"id":"{name}"}}"#),
        &model(),
        "at most 256 bytes, got 1048576",
    );
    let deferred = x("FP32", "[1,4]", "[1,2,3,4]").replacen("\"name\":\"x\",", "", 1);
    refuse_json(&deferred, &model(), "has no \"name\"");
}
