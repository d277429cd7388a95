//! Requests whose tensors lie behind the JSON, and those without JSON.

use super::*;

#[test]
fn every_type_is_read_raw() {
    for dtype in DType::ALL {
        let Some(size) = dtype.element_size_bytes() else {
            continue;
        };
        let tail: Vec<u8> = (0..3 * size)
            .map(|i| u8::try_from(i % 2).unwrap())
            .collect();
        let json = x_binary(dtype.name(), "[3]", &tail.len().to_string());
        let mut model = single(dtype, &[]);
        model.outputs.clear();
        let request = accept_binary(&json, &tail, &model);
        assert_eq!(request.tensors[0].dtype(), dtype);
        assert_eq!(request.tensors[0].fixed_bytes().unwrap(), tail);
    }
}

#[test]
fn elements_of_bytes_have_their_length_before_them() {
    let tail = [&[2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0, 1, 0, 0, 0, b'c'][..]].concat();
    let json = x_binary("BYTES", "[3]", "15");
    for dtype in [DType::String, DType::Bytes] {
        let request = accept_binary(&json, &tail, &single(dtype, &[]));
        let elements: Vec<&[u8]> = request.tensors[0].elements().unwrap().iter().collect();
        assert_eq!(elements, [&b"ab"[..], b"", b"c"]);
    }
    let (body, length) = with_tail(&x_binary("BYTES", "[1]", "5"), &[1, 0, 0, 0, 0xff]);
    let binary = single(DType::Bytes, &[]);
    assert!(parse(&body, Some(&length), &binary).is_ok());
    refuse(
        &body,
        Some(&length),
        &single(DType::String, &[]),
        "tensor x of type STRING holds a value that is not STRING",
    );
}

#[test]
fn raw_and_json_tensors_may_mix() {
    let json = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}},
        {"name":"id","datatype":"BYTES","shape":[1],"data":["a"]}]}"#;
    let request = accept_binary(json, &[0, 0, 128, 63, 0, 0, 0, 64], &two());
    assert_eq!(request.tensors[0].typed::<f32>().unwrap(), [1.0, 2.0]);
    let json = r#"{"inputs":[{"name":"id","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}},
        {"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}"#;
    let tail = [&[1, 0, 0, 0, b'a'][..], &[0, 0, 128, 63, 0, 0, 0, 64]].concat();
    let request = accept_binary(json, &tail, &two());
    assert_eq!(request.tensors[0].typed::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(request.tensors[1].elements().unwrap().get(0), b"a");
}

#[test]
fn a_body_of_json_alone_may_have_the_header() {
    let json = x("FP32", "[1]", "[1]");
    accept_binary(&json, b"", &single(DType::Float32, &[]));
}

#[test]
fn lengths_that_lie_are_refused() {
    let model = single(DType::Float32, &[2]);
    let tail = [0; 8];
    let (body, length) = with_tail(&x_binary("FP32", "[1,2]", "8"), &tail);
    for (given, fragment) in [
        ("9999", "but the body has"),
        ("-1", "must be a number of bytes, got \"-1\""),
        ("+1", "must be a number"),
        ("abc", "must be a number"),
        ("", "must be a number"),
        ("99999999999999999999999", "must be a number"),
        ("10", "JSON Parse error"),
    ] {
        refuse(&body, Some(given), &model, fragment);
    }
    refuse(&body, None, &model, "JSON Parse error");
    let not_utf8 = with_tail(&x_binary("FP32", "[1,2]", "8"), &[0xff; 8]).0;
    refuse(
        not_utf8,
        None,
        &model,
        "needs the header Inference-Header-Content-Length",
    );
    refuse(
        &body[..body.len() - 1],
        Some(&length),
        &model,
        "but only 7 bytes are left in the body",
    );
    let longer = [&body[..], &[0]].concat();
    refuse(
        longer,
        Some(&length),
        &model,
        "1 bytes follow the last binary tensor",
    );
    refuse(
        x_binary("FP32", "[1,2]", "8"),
        None,
        &model,
        "the header Inference-Header-Content-Length is missing",
    );
}

#[test]
fn sizes_that_do_not_fit_the_shape_are_refused() {
    let model = single(DType::Float32, &[2]);
    for size in ["4", "0"] {
        let (body, length) = with_tail(
            &x_binary("FP32", "[1,2]", size),
            &[0; 4][..size.parse().unwrap()],
        );
        refuse(&body, Some(&length), &model, "has 2 elements of 4 bytes");
    }
    for size in ["-8", "8.0", "true", "\"eight\"", "null"] {
        let json = x_binary("FP32", "[1,2]", size);
        let (body, length) = with_tail(&json, &[0; 8]);
        refuse(
            &body,
            Some(&length),
            &model,
            "binary_data_size must be an integer from 0 on",
        );
    }
    let bytes = single(DType::Bytes, &[]);
    for (shape, tail, fragment) in [
        (
            "[2]",
            &[1, 0, 0, 0, 1, 0, 0, 0][..],
            "element 1 of input x goes beyond",
        ),
        ("[1]", &[9, 0, 0, 0, 1], "element 0 of input x goes beyond"),
        (
            "[1]",
            &[255, 255, 255, 255, 1],
            "element 0 of input x goes beyond",
        ),
        ("[1]", &[0, 0, 0, 0, 1], "1 bytes follow the last element"),
        ("[3]", &[0, 0, 0, 0], "has 3 elements, too many for 4 bytes"),
        ("[67108864]", &[0, 0, 0, 0], "rows, more than the limit"),
    ] {
        let (body, length) = with_tail(&x_binary("BYTES", shape, &tail.len().to_string()), tail);
        let error = parse(&body, Some(&length), &bytes).unwrap_err().to_string();
        assert!(error.contains(fragment), "{error}");
    }
    let (body, length) = with_tail(&x_binary("BOOL", "[1]", "1"), &[2]);
    refuse(
        &body,
        Some(&length),
        &single(DType::Bool, &[]),
        "holds a value that is not BOOL",
    );
}

#[test]
fn a_raw_request_is_one_row_of_the_only_input() {
    let tail = [0, 0, 128, 63, 0, 0, 0, 64];
    for row_shape in [&[2][..], &[-1], &[1, -1], &[-1, 2]] {
        let request = parse(&tail, Some("0"), &single(DType::Float32, row_shape)).unwrap();
        assert_eq!(request.tensors[0].rows(), 1);
        assert_eq!(request.tensors[0].typed::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(request.outputs, Outputs::all_binary());
    }
    for row_shape in [&[][..], &[-1], &[1]] {
        let request = parse(b"\xffab", Some("0"), &single(DType::Bytes, row_shape)).unwrap();
        assert_eq!(request.tensors[0].elements().unwrap().get(0), b"\xffab");
    }
}

#[test]
fn raw_requests_that_cannot_be_understood_are_refused() {
    let floats = |row_shape| single(DType::Float32, row_shape);
    refuse(b"", Some("0"), &floats(&[2]), "the raw request is empty");
    refuse(
        [0; 8],
        Some("0"),
        &two(),
        "is for models of one input, this one has 2",
    );
    refuse(
        [0; 8],
        Some("0"),
        &floats(&[-1, -1]),
        "has 2 open dimensions",
    );
    for (length, row_shape) in [(7, &[-1][..]), (12, &[2]), (4, &[2]), (12, &[-1, 2])] {
        refuse(
            vec![0; length],
            Some("0"),
            &floats(row_shape),
            "no single row of input x",
        );
    }
    refuse(
        "ab",
        Some("0"),
        &single(DType::String, &[2]),
        "holds one element",
    );
    let huge = single(DType::Float32, &[i64::MAX, 1 << 40]);
    refuse([0; 8], Some("0"), &huge, "no single row");
}
