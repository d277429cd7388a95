//! What is written for results, and that floats come back bit for bit.

use std::sync::Arc;

use arrow::buffer::Buffer;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::{
    ColumnParts, Limits, Record, Tensor, TensorSlice, VariableData, encode, encode_tensors,
};

use super::*;

fn record(tensors: &[Tensor]) -> Record {
    Record::decode(encode_tensors(tensors).unwrap(), &Limits::default()).unwrap()
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::fixed(
        name,
        DType::Float32,
        shape.to_vec(),
        Buffer::from_slice_ref(values),
    )
    .unwrap()
}

fn texts(name: &str, dtype: DType, values: &[&str]) -> Tensor {
    let data: VariableData = values.iter().collect();
    Tensor::variable(name, dtype, vec![values.len()], data).unwrap()
}

fn written(format: Format, record: &Record) -> String {
    let mut out = Vec::new();
    write_predictions(format, record, &JsonRules::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// An answer without the white space between its tokens.
fn compact(format: Format, record: &Record) -> String {
    let mut text = String::new();
    let mut within = false;
    let mut escaped = false;
    for character in written(format, record).chars() {
        if within || !matches!(character, ' ' | '\n') {
            text.push(character);
        }
        within ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    text
}

#[track_caller]
fn check(tensors: &[Tensor], rows: &str, columns: &str) {
    let record = record(tensors);
    assert_eq!(compact(Format::Row, &record), rows);
    assert_eq!(compact(Format::Column, &record), columns);
}

/// Expected text comes from RapidJSON's `PrettyWriter` as TensorFlow Serving calls it.
#[test]
fn answers_are_laid_out_as_tensorflow_serving_does() {
    let one = record(&[floats("y", &[3], &[2.5, 3.0, 4.5])]);
    assert_eq!(
        written(Format::Row, &one),
        "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}"
    );
    assert_eq!(
        written(Format::Column, &one),
        "{\n    \"outputs\": [\n        2.5,\n        3.0,\n        4.5\n    ]\n}"
    );
    let nested = record(&[floats("y", &[2, 2, 1], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(
        written(Format::Row, &nested),
        "{\n    \"predictions\": [[[1.0], [2.0]], [[3.0], [4.0]]\n    ]\n}"
    );
    assert_eq!(
        written(Format::Column, &nested),
        "{
    \"outputs\": [
        [
            [
                1.0
            ],
            [
                2.0
            ]
        ],
        [
            [
                3.0
            ],
            [
                4.0
            ]
        ]
    ]
}"
    );
}

#[test]
fn several_outputs_and_base64_are_laid_out_as_tensorflow_serving_does() {
    let several = record(&[
        floats("y", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        texts("i_bytes", DType::String, &["a", "b"]),
    ]);
    assert_eq!(
        written(Format::Row, &several),
        "{
    \"predictions\": [
        {
            \"y\": [1.0, 2.0],
            \"i_bytes\": {
                \"b64\": \"YQ==\"
            }
        },
        {
            \"y\": [3.0, 4.0],
            \"i_bytes\": {
                \"b64\": \"Yg==\"
            }
        }
    ]
}"
    );
    assert_eq!(
        written(Format::Column, &several),
        "{
    \"outputs\": {
        \"y\": [
            [
                1.0,
                2.0
            ],
            [
                3.0,
                4.0
            ]
        ],
        \"i_bytes\": [
            {
                \"b64\": \"YQ==\"
            },
            {
                \"b64\": \"Yg==\"
            }
        ]
    }
}"
    );
    let lone = record(&[texts("i_bytes", DType::String, &["a", "b"])]);
    assert_eq!(
        written(Format::Row, &lone),
        "{
    \"predictions\": [{
            \"b64\": \"YQ==\"
        }, {
            \"b64\": \"Yg==\"
        }
    ]
}"
    );
}

#[test]
fn strict_answers_have_null_where_there_is_no_number() {
    let rules = JsonRules {
        strictness: Strictness::Strict,
        ..JsonRules::default()
    };
    let mut out = Vec::new();
    let record = record(&[floats("y", &[3], &[f32::NAN, 1.0, f32::INFINITY])]);
    write_predictions(Format::Row, &record, &rules, &mut out).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(read["predictions"], serde_json::json!([null, 1.0, null]));
}

#[test]
fn one_output_is_a_plain_list() {
    check(
        &[floats("y", &[3], &[2.5, 3.0, 4.5])],
        r#"{"predictions":[2.5,3.0,4.5]}"#,
        r#"{"outputs":[2.5,3.0,4.5]}"#,
    );
    check(
        &[floats("y", &[2, 2], &[2.5, 3.0, 3.5, 4.5])],
        r#"{"predictions":[[2.5,3.0],[3.5,4.5]]}"#,
        r#"{"outputs":[[2.5,3.0],[3.5,4.5]]}"#,
    );
    check(
        &[floats("y", &[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0])],
        r#"{"predictions":[[[[1.0,2.0]],[[3.0,4.0]]]]}"#,
        r#"{"outputs":[[[[1.0,2.0]],[[3.0,4.0]]]]}"#,
    );
}

#[test]
fn the_golden_numbers_of_tensorflow_serving_are_written() {
    check(
        &[floats(
            "y",
            &[1, 6],
            &[9_000_000.0, 999_999.0, 0.5, 0.0003, 0.000_03, 555_557.5],
        )],
        r#"{"predictions":[[9e+06,999999.0,0.5,0.0003,3e-05,555557.5]]}"#,
        r#"{"outputs":[[9e+06,999999.0,0.5,0.0003,3e-05,555557.5]]}"#,
    );
}

#[test]
fn several_outputs_are_objects_in_the_records_order() {
    let bytes = Tensor::variable(
        "raw",
        DType::Bytes,
        vec![2],
        [&b"\xff"[..], b""].into_iter().collect(),
    );
    check(
        &[
            floats("b\"q", &[2, 1], &[f32::NAN, f32::NEG_INFINITY]),
            texts("text", DType::String, &["a\"\n\u{1}ü", ""]),
            texts("image_bytes", DType::String, &["hello", "a"]),
            bytes.unwrap(),
        ],
        concat!(
            r#"{"predictions":[{"b\"q":[NaN],"text":"a\"\n\u0001ü","image_bytes":{"b64":"aGVsbG8="},"raw":{"b64":"/w=="}},"#,
            r#"{"b\"q":[-Infinity],"text":"","image_bytes":{"b64":"YQ=="},"raw":{"b64":""}}]}"#
        ),
        concat!(
            r#"{"outputs":{"b\"q":[[NaN],[-Infinity]],"text":["a\"\n\u0001ü",""],"#,
            r#""image_bytes":[{"b64":"aGVsbG8="},{"b64":"YQ=="}],"raw":[{"b64":"/w=="},{"b64":""}]}}"#
        ),
    );
}

#[test]
fn every_type_is_written() {
    let fixed =
        |dtype, bytes: &[u8]| Tensor::fixed("y", dtype, vec![1], Buffer::from(bytes)).unwrap();
    for (dtype, bytes, expected) in [
        (DType::Bool, &[1][..], "true"),
        (DType::Int8, &[0x80], "-128"),
        (DType::Int16, &[0, 0x80], "-32768"),
        (DType::Int32, &[0xff; 4], "-1"),
        (
            DType::Int64,
            &[0, 0, 0, 0, 0, 0, 0, 0x80],
            "-9223372036854775808",
        ),
        (DType::Uint8, &[0xff], "255"),
        (DType::Uint16, &[0xff; 2], "65535"),
        (DType::Uint32, &[0xff; 4], "4294967295"),
        (DType::Uint64, &[0xff; 8], "18446744073709551615"),
        (DType::Float16, &[0x00, 0x3e], "1.5"),
        (DType::Bfloat16, &[0xc0, 0x3f], "1.5"),
        (DType::Float64, &0.1f64.to_le_bytes(), "0.1"),
    ] {
        let expected = format!("{{\"predictions\":[{expected}]}}");
        assert_eq!(
            compact(Format::Row, &record(&[fixed(dtype, bytes)])),
            expected
        );
    }
}

#[test]
fn rows_of_different_shapes_and_empty_rows_are_written() {
    let (long, short) = (
        floats("y", &[1, 2], &[1.0, 2.0]),
        floats("y", &[2, 1], &[3.0, 4.0]),
    );
    let none = floats("y", &[1, 0], &[]);
    let slice = |tensor| TensorSlice { tensor, rows: 0..1 };
    let parts = vec![
        slice(&long),
        slice(&none),
        TensorSlice {
            tensor: &short,
            rows: 0..2,
        },
    ];
    let payload = encode(&[ColumnParts { name: "y", parts }]).unwrap();
    let record = Record::decode(payload, &Limits::default()).unwrap();
    assert_eq!(
        compact(Format::Row, &record),
        r#"{"predictions":[[1.0,2.0],[],[3.0],[4.0]]}"#
    );
    assert_eq!(
        compact(Format::Column, &record),
        r#"{"outputs":[[1.0,2.0],[],[3.0],[4.0]]}"#
    );
    check(
        &[floats("y", &[2, 2, 0, 3], &[])],
        r#"{"predictions":[[[],[]],[[],[]]]}"#,
        r#"{"outputs":[[[],[]],[[],[]]]}"#,
    );
}

#[test]
fn written_floats_read_back_bit_for_bit() {
    let mut random = StdRng::seed_from_u64(3);
    let finite_f32 = |bits: u32| {
        f32::from_bits(if f32::from_bits(bits).is_finite() {
            bits
        } else {
            0
        })
    };
    let finite_f64 = |bits: u64| {
        f64::from_bits(if f64::from_bits(bits).is_finite() {
            bits
        } else {
            0
        })
    };
    for _ in 0..200 {
        let narrow: Vec<f32> = (0..500).map(|_| finite_f32(random.next_u32())).collect();
        let wide: Vec<f64> = (0..500).map(|_| finite_f64(random.next_u64())).collect();
        let unit: Vec<f32> = (0..500).map(|_| random.random()).collect();
        check_round_trip(DType::Float32, Buffer::from_slice_ref(&narrow));
        check_round_trip(DType::Float32, Buffer::from_slice_ref(&unit));
        check_round_trip(DType::Float64, Buffer::from_slice_ref(&wide));
    }
    let halves: Vec<u16> = (0..=u16::MAX)
        .filter(|bits| bits & 0x7c00 != 0x7c00)
        .collect();
    check_round_trip(DType::Float16, Buffer::from_slice_ref(&halves));
    let halves: Vec<u16> = (0..=u16::MAX)
        .filter(|bits| bits & 0x7f80 != 0x7f80)
        .collect();
    check_round_trip(DType::Bfloat16, Buffer::from_slice_ref(&halves));
}

fn check_round_trip(dtype: DType, data: Buffer) {
    let count = data.len() / dtype.element_size_bytes().unwrap();
    let name: Arc<str> = Arc::from("x");
    let tensor = Tensor::fixed(name, dtype, vec![1, count], data.clone()).unwrap();
    let body = written(Format::Row, &record(&[tensor])).replace("predictions", "instances");
    let count = i64::try_from(count).unwrap();
    let request = accept(body, &single(dtype, &[count]));
    let same = request.tensors[0].fixed_bytes() == Some(data.as_slice());
    assert!(same, "{dtype} elements changed on the way");
}
