//! Numbers, text and base64: what is taken, what is refused. Numbers in the
//! comments are rows of the project's list of bad inputs.

use super::client::post;
use super::json_bodies::{M, check, check_refused, x};
use super::scene::shared;

#[test]
fn a_wrong_type_is_refused() {
    // H11, H12, H43
    for element in ["\"2\"", "true", "null", "{}", "{\"b64\": \"AAAA\"}"] {
        check(M, x(&format!("[1,{element},3,4]")), 400, "x");
    }
    // H13, H14, H17
    for element in [
        "1.5",
        "2147483648",
        "-2147483649",
        "1e2",
        "100.0",
        "NaN",
        "\"1\"",
    ] {
        check(
            "/v1/models/i:predict",
            x(&format!("[1,{element}]")),
            400,
            "i",
        );
    }
    for element in ["256", "-1"] {
        check(
            "/v1/models/u8:predict",
            x(&format!("[1,{element}]")),
            400,
            "u8",
        );
    }
    // H15
    check(
        "/v1/models/i64:predict",
        x("9223372036854775808"),
        400,
        "i64",
    );
}

#[test]
fn numbers_outside_of_json_are_refused() {
    // H19, H22, H24, H25
    for number in [
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "+Infinity",
        "\"NaN\"",
        "01",
        "+1",
        ".5",
        "1.",
        "0x10",
        "1_000",
        "1e",
        "--1",
    ] {
        check_refused(M, x(&format!("[1,{number},3,4]")));
    }
    check_refused(M, x(&format!("[1,{},3,4]", "1".repeat(200_000))));
    check_refused(M, x(&format!("[1,0.{}1,3,4]", "0".repeat(100_000))));
}

#[test]
fn numbers_that_tensorflow_serving_takes_are_taken() {
    let scene = shared();
    // H16
    let answer = post(
        scene.address,
        "/v1/models/i64:predict",
        x("9007199254740993"),
    );
    assert_eq!(answer.json()["predictions"][0], 9_007_199_254_740_993_i64);
    // H18, H20, H21, H23
    let answer = post(scene.address, M, x("[NaN, Infinity, -Infinity, 1e39]"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text: String = answer.text().split_whitespace().collect();
    assert!(text.contains("NaN,Infinity,-Infinity,Infinity"), "{text}");
    let answer = post(scene.address, M, x("[-0.0, 1e-400, 1, 2]"));
    assert!(answer.text().contains("-0.0"), "{}", answer.text());
}

#[test]
fn text_that_is_not_json_is_refused() {
    let scene = shared();
    let good = x("[1,2,3,4]");
    // H27
    check_refused(M, format!("{good}x"));
    check_refused(M, format!("{good}{good}"));
    // H28
    for end in 0..good.len() {
        post(scene.address, M, &good[..end]).check_refusal(400, "");
    }
    // H29, H30
    for body in [
        r#"{"instances": [[1,2,3,4]]} // no"#,
        r"{'instances': [[1,2,3,4]]}",
        r#"{"instances": [[1,2,3,4]],}"#,
        r#"{"instances": [[1,2,3,4,]]}"#,
        r"{instances: [[1,2,3,4]]}",
        "\u{feff}{\"instances\": [[1,2,3,4]]}",
    ] {
        check_refused(M, body);
    }
    // H32
    check_refused(M, format!("\0{good}"));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let scene = shared();
    // H31
    let utf16: Vec<u8> = x("[1,2,3,4]")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check_refused(M, utf16);
    for bytes in [&b"\xe9"[..], b"\xc0\x80", b"\xe2\x82"] {
        let body = [b"{\"instances\": [\"", bytes, b"\"]}"].concat();
        check_refused("/v1/models/s:predict", body);
    }
    // H33
    for escape in [r"\ud800", r"\udc00\ud800", r"\u00zz"] {
        check_refused("/v1/models/s:predict", x(&format!("\"{escape}\"")));
    }
    // H34
    let answer = post(scene.address, "/v1/models/s:predict", x(r#""a\u0000b""#));
    assert_eq!(
        answer.json()["predictions"][0],
        "a\u{0}b",
        "{}",
        answer.text()
    );
}

#[test]
fn base64_is_checked() {
    let scene = shared();
    // H41
    for value in [
        "{\"b64\": \"***\"}",
        "{\"b64\": 5}",
        "{\"b64\": \"YQ==\", \"x\": 1}",
    ] {
        check_refused("/v1/models/s:predict", x(value));
    }
    let answer = post(
        scene.address,
        "/v1/models/s:predict",
        x("{\"b64\": \"YQ==\"}"),
    );
    assert_eq!(answer.json()["predictions"][0], "a", "{}", answer.text());
}
