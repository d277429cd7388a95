//! Every format in every place holds what was sent, as readers see it that nobody here wrote.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_wire::{DType, Tensor};
use serde_json::{Value, json};

use crate::python::{S3Server, python, script};
use crate::rig::{Rig, wait_until};

const FORMATS: [&str; 4] = ["parquet", "arrow", "jsonl", "csv"];

/// Rows of the results below, with the failure.
const ROWS: usize = 6;

#[test]
fn every_format_in_every_place_keeps_every_type() {
    let rig = Rig::new();
    let server = S3Server::start();
    let expected = send_everything(&rig);
    let mut pipelines = String::new();
    for format in FORMATS {
        let url = rig.folder.path().join(format);
        pipelines += &pipeline(format, "local", url.to_str().unwrap(), "");
        let url = format!("s3://results/deep/{format}");
        let keys = r#"partition_by = ["date", "hour", "model", "version"]"#;
        let more = format!("{keys}\n{}", server.options());
        pipelines += &pipeline(format, "s3", &url, &more);
    }
    let sink = rig.start_with("", &pipelines);
    for format in FORMATS {
        for place in ["local", "s3"] {
            let metric = format!("millrace_sink_rows_total{{pipeline=\"{format}-{place}\"}}");
            wait_until("all rows are written", || {
                sink.metric(&metric) >= ROWS as u64
            });
        }
    }
    assert!(sink.stop().success());
    read_back(&rig, &server, &expected);
}

fn pipeline(format: &str, place: &str, url: &str, more: &str) -> String {
    format!(
        r#"
        [[pipelines]]
        name = "{format}-{place}"
        models = ["digits"]
        roll = {{ age = "200ms" }}
        [pipelines.destination]
        type = "files"
        url = "{url}"
        format = "{format}"
        {more}
        "#
    )
}

fn read_back(rig: &Rig, server: &S3Server, expected: &[Value]) {
    let path = rig.folder.path().join("expected.json");
    std::fs::write(&path, serde_json::to_string(expected).unwrap()).unwrap();
    let output = python()
        .arg(script("read_back.py"))
        .args([rig.folder.path(), &path])
        .args([&server.endpoint, "results/deep"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// Sends three results of one shape and one of another, and a failure between them; answers
/// the outputs of each row as JSON.
fn send_everything(rig: &Rig) -> Vec<Value> {
    let results = [
        outputs(0, 2, 3),
        outputs(1, 1, 0),
        outputs(2, 1, 20_000),
        outputs(3, 1, 1),
    ];
    let mut rows = Vec::new();
    for (offset, tensors) in results.iter().enumerate() {
        if offset == 2 {
            rig.send_failure();
            rows.push(Value::Null);
        }
        rig.send_outputs(tensors);
        for row in 0..tensors[0].rows() {
            let values = tensors
                .iter()
                .map(|tensor| (tensor.name().to_owned(), value(tensor, row)));
            rows.push(Value::Object(values.collect()));
        }
    }
    rig.wait_acknowledged();
    rows
}

/// A scalar and a list of `length` of every type.
fn outputs(seed: usize, rows: usize, length: usize) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for dtype in DType::ALL {
        let name = dtype.name().to_lowercase();
        tensors.push(tensor(&format!("one_{name}"), dtype, &[rows], seed));
        tensors.push(tensor(
            &format!("list_{name}"),
            dtype,
            &[rows, length],
            seed,
        ));
    }
    tensors
}

fn tensor(name: &str, dtype: DType, shape: &[usize], seed: usize) -> Tensor {
    let elements: usize = shape.iter().product();
    let Some(size_bytes) = dtype.element_size_bytes() else {
        let texts = [
            "",
            "a\"b\\,\n\r\té\u{2028}",
            "; DROP TABLE results; --",
            "\u{1F600}",
            "NULL",
        ];
        let data = (0..elements).map(|index| texts[(index + seed) % texts.len()]);
        return Tensor::variable(name, dtype, shape.to_vec(), data.collect()).unwrap();
    };
    let mut bytes = Vec::with_capacity(elements * size_bytes);
    for index in 0..elements {
        bytes.extend_from_slice(&element(dtype, index + seed)[..size_bytes]);
    }
    Tensor::fixed(name, dtype, shape.to_vec(), bytes.into()).unwrap()
}

/// The bytes of an element, by turns an ordinary one and an extreme one.
fn element(dtype: DType, turn: usize) -> [u8; 8] {
    let turn = turn % 6;
    let float = [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.25, 0.0][turn];
    let bits = match dtype {
        DType::Bool => u64::from(turn.is_multiple_of(2)),
        DType::Float16 => [0x3E00, 0x7E00, 0x7C00, 0xFC00, 0xB400, 0][turn],
        DType::Bfloat16 => [0x3FC0, 0x7FC0, 0x7F80, 0xFF80, 0xBE80, 0][turn],
        #[expect(clippy::cast_possible_truncation, reason = "all six are single floats")]
        DType::Float32 => u64::from((float as f32).to_bits()),
        DType::Float64 => float.to_bits(),
        _ => [
            7,
            0,
            u64::MAX,
            1 << 63,
            0x8080_8080_8080_8080,
            0x7FFF_FFFF_FFFF_FFFF,
        ][turn],
    };
    bits.to_le_bytes()
}

/// One row of a tensor, as the reader is to see it.
fn value(tensor: &Tensor, row: usize) -> Value {
    let length = tensor.elements_per_row();
    let elements = row * length..(row + 1) * length;
    match tensor.row_shape() {
        [] => json_element(tensor, row),
        _ => Value::Array(elements.map(|index| json_element(tensor, index)).collect()),
    }
}

fn json_element(tensor: &Tensor, index: usize) -> Value {
    if let Some(elements) = tensor.elements() {
        let bytes = elements.get(index);
        return match tensor.dtype() {
            DType::Bytes => json!({ "b64": STANDARD.encode(bytes) }),
            _ => json!(std::str::from_utf8(bytes).unwrap()),
        };
    }
    let size = tensor.dtype().element_size_bytes().unwrap();
    let bytes = &tensor.fixed_bytes().unwrap()[index * size..(index + 1) * size];
    let mut wide = [0; 8];
    wide[..size].copy_from_slice(bytes);
    let (unsigned, shift) = (u64::from_le_bytes(wide), 64 - 8 * size);
    let signed = i64::from_le_bytes((unsigned << shift).to_le_bytes()) >> shift;
    match tensor.dtype() {
        DType::Bool => json!(unsigned != 0),
        DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Float64 => {
            float(tensor.dtype(), bytes)
        }
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => json!(signed),
        _ => json!(unsigned),
    }
}

/// By the six values that [`element`] gives.
fn float(dtype: DType, bytes: &[u8]) -> Value {
    let values = [
        json!(1.5),
        json!("NaN"),
        json!("Infinity"),
        json!("-Infinity"),
        json!(-0.25),
        json!(0.0),
    ];
    let is_it = |turn: &usize| element(dtype, *turn)[..bytes.len()] == *bytes;
    values[(0..6).find(is_it).unwrap()].clone()
}
