//! Rows H01 to H46 of the project's corpus of bad inputs, as far as they concern the body.

use std::time::{Duration, Instant};

use super::*;

/// The corpus's models by their input.
fn x() -> Signature {
    single(DType::Float32, &[4])
}

fn i() -> Signature {
    signature(vec![input("i", DType::Int32, &[2])])
}

fn s() -> Signature {
    signature(vec![input("s", DType::String, &[])])
}

fn scalar(dtype: DType) -> Signature {
    single(dtype, &[])
}

fn two() -> Signature {
    signature(vec![
        input("a", DType::Float32, &[]),
        input("b", DType::Float32, &[]),
    ])
}

/// A signature and the bodies that it must refuse with a sentence holding the fragment.
type Row = (&'static str, Signature, Vec<&'static [u8]>, &'static str);

#[track_caller]
fn check(rows: Vec<Row>) {
    for (id, signature, bodies, fragment) in rows {
        for body in bodies {
            let sentence = refuse(body, &signature).to_string();
            let shown = String::from_utf8_lossy(body);
            assert!(
                sentence.contains(fragment),
                "{id} {shown}: {sentence:?} lacks {fragment:?}"
            );
        }
    }
}

#[test]
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
fn values_of_another_type_are_refused() {
    check(vec![
        (
            "H11",
            x(),
            vec![br#"{"instances":[[1,"2",3,4]]}"#],
            "JSON Value: \"2\" Type: String is not of expected type: float (input x, instance 0)",
        ),
        (
            "H12",
            x(),
            vec![br#"{"instances":[[1,true,3,4]]}"#],
            "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            "H12",
            x(),
            vec![
                br#"{"instances":[[1,null,3,4]]}"#,
                br#"{"instances":[null]}"#,
            ],
            "JSON Value: null Type: Null is not of expected type: float",
        ),
        (
            "H13",
            i(),
            vec![br#"{"instances":[[1.5,2]]}"#],
            "JSON Value: 1.5 Type: Number is not of expected type: int32",
        ),
        (
            "H14",
            i(),
            vec![
                br#"{"instances":[[2147483648,2]]}"#,
                br#"{"instances":[[1,-2147483649]]}"#,
            ],
            "an integer from -2147483648 to 2147483647 (input i, instance 0)",
        ),
        (
            "H14",
            scalar(DType::Uint8),
            vec![br#"{"instances":[256]}"#, br#"{"instances":[-1]}"#],
            "an integer from 0 to 255",
        ),
        (
            "H15",
            scalar(DType::Int64),
            vec![br#"{"instances":[9223372036854775808]}"#],
            "is not of expected type: int64",
        ),
        (
            "H15",
            scalar(DType::Uint64),
            vec![br#"{"instances":[18446744073709551616]}"#],
            "is not of expected type: uint64",
        ),
        (
            "H17",
            i(),
            vec![
                br#"{"instances":[[1e2,2]]}"#,
                br#"{"instances":[[100.0,2]]}"#,
            ],
            "is not of expected type: int32",
        ),
        (
            "H21",
            i(),
            vec![
                br#"{"instances":[[NaN,2]]}"#,
                br#"{"instances":[[Infinity,2]]}"#,
                br#"{"instances":[[-Infinity,2]]}"#,
            ],
            "is not of expected type: int32",
        ),
        (
            "H22",
            x(),
            vec![br#"{"instances":[["NaN",1,2,3]]}"#],
            "Type: String",
        ),
        (
            "H43",
            x(),
            vec![
                br#"{"instances":[[{"b64":"AAAA"},1,2,3]]}"#,
                br#"{"instances":[{"b64":"AAAA"}]}"#,
            ],
            "Type: Object is not of expected type: float",
        ),
    ]);
}

#[test]
fn numbers_that_are_none_are_refused() {
    check(vec![
        (
            "H19",
            x(),
            vec![
                br#"{"instances":[[1e400,2,3,4]]}"#,
                br#"{"instances":[[1,-1e400,3,4]]}"#,
            ],
            "Number too big to be stored in double.",
        ),
        (
            "H22",
            x(),
            vec![
                br#"{"instances":[[nan,2,3,4]]}"#,
                br#"{"instances":[[inf,2,3,4]]}"#,
                br#"{"instances":[[+Infinity,2,3,4]]}"#,
            ],
            "JSON Parse error: Invalid value. at offset: 15",
        ),
        (
            "H24",
            x(),
            vec![
                br#"{"instances":[[01,2,3,4]]}"#,
                br#"{"instances":[[+1,2,3,4]]}"#,
                br#"{"instances":[[.5,2,3,4]]}"#,
                br#"{"instances":[[1.,2,3,4]]}"#,
                br#"{"instances":[[0x10,2,3,4]]}"#,
                br#"{"instances":[[1_000,2,3,4]]}"#,
                br#"{"instances":[[1e,2,3,4]]}"#,
                br#"{"instances":[[--1,2,3,4]]}"#,
            ],
            "JSON Parse error: ",
        ),
    ]);
    for number in ["9".repeat(200_000), format!("0.{}1", "0".repeat(100_000))] {
        for dtype in [DType::Float32, DType::Float64, DType::Int64] {
            let body = format!("{{\"instances\":[{number}]}}");
            check_refused(&body, &scalar(dtype), "number of more than 512 characters");
        }
        check_refused(
            format!("{{\"other\":{number}}}"),
            &x(),
            "number of more than 512 characters",
        );
    }
}

#[test]
fn bytes_that_are_no_json_are_refused() {
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        r#"{"instances":[[1,2,3,4]]}"#.encode_utf16().flat_map(order).collect()
    };
    check_refused(utf16(u16::to_le_bytes), &x(), "UTF-16");
    check_refused(utf16(u16::to_be_bytes), &x(), "UTF-16");
    check_refused(
        [&[0xff, 0xfe], utf16(u16::to_le_bytes).as_slice()].concat(),
        &x(),
        "UTF-16",
    );
    check(vec![
        (
            "H27",
            x(),
            vec![
                br#"{"instances":[[1,2,3,4]]}x"#,
                br#"{"instances":[[1,2,3,4]]}{"instances":[[1,2,3,4]]}"#,
            ],
            "The document root must not be followed by other values. at offset: 25",
        ),
        (
            "H29",
            x(),
            vec![
                br#"{"instances":[[1,2,3,4]] /* x */}"#,
                br#"{'instances':[[1,2,3,4]]}"#,
                br#"{"instances":[[1,2,3,4],]}"#,
                br#"{"instances":[[1,2,3,4,]]}"#,
                br#"{"instances":[[1,2,3,4]],}"#,
                br#"{instances:[[1,2,3,4]]}"#,
            ],
            "",
        ),
        (
            "H30",
            x(),
            vec![b"\xef\xbb\xbf{\"instances\":[[1,2,3,4]]}"],
            "byte order mark",
        ),
        (
            "H31",
            s(),
            vec![
                b"{\"instances\":[\"caf\xe9\"]}",
                b"{\"instances\":[\"\xc0\x80\"]}",
                b"{\"instances\":[\"\xe2\x82\"]}",
                b"{\"instances\":[\"\xed\xa0\x80\"]}",
            ],
            "body is not UTF-8: invalid byte at offset: 1",
        ),
        (
            "H32",
            s(),
            vec![
                b"{\"instances\": \0[\"a\"]}",
                b"{\"instances\":[\"a\0b\"]}",
                b"{\"instances\":[\"a\nb\"]}",
            ],
            "",
        ),
        (
            "H33",
            s(),
            vec![
                br#"{"instances":["\ud800"]}"#,
                br#"{"instances":["\udc00\ud800"]}"#,
            ],
            "The surrogate pair in string is invalid.",
        ),
        (
            "H33",
            s(),
            vec![br#"{"instances":["\u00zz"]}"#],
            "Incorrect hex digit after \\u escape in string.",
        ),
    ]);
}

#[test]
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
fn base64_that_is_none_is_refused() {
    check(vec![
        (
            "H41",
            s(),
            vec![
                br#"{"instances":[{"b64":"***"}]}"#,
                br#"{"instances":[{"b64":"YQ="}]}"#,
                br#"{"instances":[{"b64":"YQ==="}]}"#,
                br#"{"instances":[{"b64":"Y"}]}"#,
                br#"{"instances":[{"b64":"-_-_"}]}"#,
            ],
            "Unable to base64 decode (input s, instance 0)",
        ),
        (
            "H41",
            s(),
            vec![
                br#"{"instances":[{"b64":5}]}"#,
                br#"{"instances":[{"b64":"YQ==","x":1}]}"#,
            ],
            "not formatted correctly for base64 data",
        ),
        (
            "H42",
            s(),
            vec![br#"{"instances":[{"b64":"/w=="}]}"#],
            "not UTF-8",
        ),
        (
            "H42",
            scalar(DType::Uint8),
            vec![br#"{"instances":[{"b64":"AAAA"}]}"#],
            "Type: Object is not of expected type: uint8",
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
