//! Rows H11 to H43 of the corpus of bad inputs: values and bytes that are not what they should be.

use super::corpus::*;
use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
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
#[expect(clippy::too_many_lines, reason = "a table of inputs")]
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
