//! Rows H01 to H46 of the project's corpus of bad inputs, as far as they concern the body.

use std::time::{Duration, Instant};

use super::corpus::*;
use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
fn bodies_without_the_right_outline_are_refused() {
    check(vec![
        (
            "H01",
            x(),
            vec![b""],
            "JSON Parse error: The document is empty",
        ),
        ("H01", x(), vec![b""], "empty body"),
        (
            "H02",
            x(),
            vec![b"  \n "],
            "JSON Parse error: The document is empty",
        ),
        (
            "H02",
            x(),
            vec![b"null", b"[]", b"\"x\"", b"1", b"[1,{}]"],
            "Is not object",
        ),
        (
            "H02",
            x(),
            vec![b"nul", b"x"],
            "JSON Parse error: Invalid value. at offset: 0",
        ),
        (
            "H03",
            x(),
            vec![b"{}", br#"{"x":[]}"#],
            "Missing 'inputs' or 'instances' key",
        ),
        (
            "H04",
            x(),
            vec![
                br#"{"instances":[[1,2,3,4]],"inputs":[[1,2,3,4]]}"#,
                br#"{"inputs":[[1,2,3,4]],"instances":[[1,2,3,4]]}"#,
            ],
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            "H05",
            x(),
            vec![br#"{"instances": []}"#, br#"{"instances":[ ]}"#],
            "No values in 'instances' array",
        ),
        (
            "H05",
            x(),
            vec![br#"{"inputs": []}"#],
            "Expecting shape [-1,4] but got: [0]",
        ),
        (
            "H05",
            scalar(DType::Float32),
            vec![br#"{"inputs": []}"#],
            "No values in 'inputs' for input x",
        ),
        (
            "H06",
            x(),
            vec![
                br#"{"instances": {}}"#,
                br#"{"instances": "abc"}"#,
                br#"{"instances": 5}"#,
                br#"{"instances": null}"#,
            ],
            "Expecting 'instances' to be an list/array",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
fn shapes_that_do_not_fit_are_refused() {
    check(vec![
        (
            "H07",
            x(),
            vec![br#"{"instances":[[1,2,3,4],[1,2,3]]}"#],
            "Expecting tensor size: 4 but got: 3",
        ),
        (
            "H07",
            x(),
            vec![br#"{"instances":[[1,2,3,4],[1,2,3]]}"#],
            "(input x, instance 1)",
        ),
        (
            "H07",
            x(),
            vec![br#"{"inputs":[[1,2,3,4],[1,2,3]]}"#],
            "Encountered list at unexpected size: 3 at level: 1 expected size: 4",
        ),
        (
            "H07",
            x(),
            vec![br#"{"instances":[[1,2,3,4],[1,2,3,4,5]]}"#],
            "Expecting tensor size: 4 but got: 5",
        ),
        (
            "H08",
            x(),
            vec![br#"{"instances":[[1,2,3,4],5]}"#],
            "Expecting shape [4] but got: [] (input x, instance 1)",
        ),
        (
            "H08",
            x(),
            vec![br#"{"inputs":[[1,2,3,4],5]}"#],
            "JSON Value: 5 found at incorrect level: 2",
        ),
        (
            "H09",
            x(),
            vec![br#"{"instances":[[1,2,3]]}"#],
            "Expecting shape [4] but got: [3]",
        ),
        (
            "H10",
            x(),
            vec![br#"{"instances":[[[1,2,3,4]]]}"#],
            "Expecting shape [4] but got: [1,4]",
        ),
        (
            "H10",
            x(),
            vec![br#"{"instances":[1,2,3,4]}"#],
            "Expecting shape [4] but got: []",
        ),
        (
            "H10",
            x(),
            vec![br#"{"inputs":[[[1,2,3,4]]]}"#],
            "Expecting shape [-1,4] but got: [1,1,4]",
        ),
        (
            "H10",
            x(),
            vec![br#"{"inputs":[1,2,3,4]}"#],
            "Expecting shape [-1,4] but got: [4]",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
fn keys_that_do_not_fit_are_refused() {
    let long_name = format!("{{\"signature_name\":\"{}\"}}", "n".repeat(1 << 20));
    check_refused(
        long_name,
        &x(),
        "'signature_name' must have 1 to 256 bytes, got 1048576",
    );
    check(vec![
        (
            "H36",
            x(),
            vec![br#"{"instances":[[1,2,3,4]],"instances":[[1,2,3,4]]}"#],
            "duplicate key 'instances'",
        ),
        (
            "H36",
            x(),
            vec![br#"{"signature_name":"a","signature_name":"a"}"#],
            "duplicate key 'signature_name'",
        ),
        (
            "H36",
            two(),
            vec![br#"{"instances":[{"a":1,"b":2},{"a":1,"a":2}]}"#],
            "duplicate key a (instance 1)",
        ),
        (
            "H36",
            two(),
            vec![br#"{"inputs":{"a":[1],"a":[2]}}"#],
            "duplicate key a in 'inputs' object",
        ),
        (
            "H38",
            x(),
            vec![
                br#"{"signature_name":5,"instances":[[1,2,3,4]]}"#,
                br#"{"signature_name":null}"#,
            ],
            "'signature_name' key must be a string value.",
        ),
        (
            "H38",
            x(),
            vec![br#"{"signature_name":"","instances":[[1,2,3,4]]}"#],
            "'signature_name' must have 1 to 256 bytes",
        ),
        (
            "H39",
            two(),
            vec![
                br#"{"instances":[{"a":1,"b":2},{"a":1}]}"#,
                br#"{"instances":[{"b":1,"a":2},{"a":1}]}"#,
            ],
            "Failed to process element: 1 of 'instances' list. Missing named input: b, keys must be equal to: a,b",
        ),
        (
            "H39",
            two(),
            vec![br#"{"instances":[{"a":1,"b":2,"c":3}]}"#],
            "key: c of 'instances' list.",
        ),
        (
            "H39",
            two(),
            vec![br#"{"instances":[{"A":1,"b":2}]}"#],
            "keys must be equal to: a,b",
        ),
        (
            "H39",
            two(),
            vec![br#"{"instances":[{}]}"#],
            "Missing named input: a",
        ),
        (
            "H39",
            two(),
            vec![br#"{"inputs":{"a":[1]}}"#],
            "Missing named input: b in 'inputs' object.",
        ),
        (
            "H39",
            two(),
            vec![br#"{"inputs":{"a":[1],"c":[1]}}"#],
            "unknown named input: c in 'inputs' object",
        ),
        (
            "H39",
            two(),
            vec![br#"{"instances":[1,2]}"#],
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map",
        ),
        (
            "H39",
            two(),
            vec![br#"{"inputs":[1,2]}"#],
            "inputs is a plain value/list, but expecting an object",
        ),
        (
            "H39",
            two(),
            vec![br#"{"instances":[{"a":1,"b":2},[1,2]]}"#],
            "Expecting object but got list at item 1",
        ),
        (
            "H39",
            x(),
            vec![br#"{"instances":[[1,2,3,4],{"x":[1,2,3,4]}]}"#],
            "Expecting value/list but got object at item 1",
        ),
        (
            "H40",
            two(),
            vec![br#"{"inputs":{"a":[1,2],"b":[1,2,3]}}"#],
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
    ]);
}

#[test]
fn deep_nesting_is_refused_at_once() {
    let models = [x(), s(), two(), single(DType::Float32, &[-1, -1, -1, -1])];
    for unit in ["[", "{\"a\":"] {
        for depth in [1_000, 10_000, 100_000, 1_000_000] {
            let nest = unit.repeat(depth);
            for body in [
                nest.clone(),
                format!("{{\"instances\":{nest}"),
                format!("{{\"instances\":[{nest}"),
                format!("{{\"inputs\":{nest}"),
                format!("{{\"other\":{nest}"),
            ] {
                for model in &models {
                    let begin = Instant::now();
                    refuse(&body, model);
                    let spent = begin.elapsed();
                    assert!(
                        spent < Duration::from_millis(100),
                        "{spent:?} for {depth} times {unit}"
                    );
                }
            }
        }
    }
    check_refused("[".repeat(1000), &x(), "nested too deep");
    check_refused(
        format!("{{\"instances\":[{}", "[".repeat(1000)),
        &x(),
        "nested too deep",
    );
    check_refused(
        format!("{{\"other\":{}", "[".repeat(1000)),
        &x(),
        "nested too deep",
    );
}

#[test]
fn counts_beyond_the_limits_are_refused() {
    let lists = format!("{{\"instances\":[{}[]]}}", "[],".repeat(3_000_000));
    let error = refuse(&lists, &single(DType::Float32, &[-1]));
    assert_eq!(error.kind(), JsonErrorKind::TooLarge);
    assert!(
        error.to_string().contains("more than 1048576 instances"),
        "{error}"
    );
    check_refused(&lists, &x(), "Expecting shape [4] but got: [0]");
    let columns = format!("{{\"inputs\":[{}[]]}}", "[],".repeat(3_000_000));
    assert_eq!(
        refuse(columns, &single(DType::Float32, &[-1])).kind(),
        JsonErrorKind::TooLarge
    );

    let mut keys = String::from("{");
    for key in 0..1_000_000 {
        keys += &format!("\"{key}\":1,");
    }
    check_refused(&keys, &x(), "more than 1024 keys");
    check_refused(format!("{{\"other\":{keys}"), &x(), "too many keys");
    check_refused(
        format!("{{\"instances\":[{keys}"),
        &x(),
        "key: 0 of 'instances' list.",
    );

    let limits = JsonLimits {
        max_elements: 1000,
        ..JsonLimits::default()
    };
    for (dtype, element) in [(DType::Int64, "1"), (DType::String, "\"\"")] {
        let body = |count: usize| {
            format!(
                "{{\"instances\":[[{}{element}]]}}",
                format!("{element},").repeat(count - 1)
            )
        };
        let model = single(dtype, &[-1]);
        assert!(parse_predict(body(1000).as_bytes(), &model, &limits).is_ok());
        let error = parse_predict(body(1001).as_bytes(), &model, &limits).unwrap_err();
        assert_eq!(error.kind(), JsonErrorKind::TooLarge, "{error}");
    }
}
