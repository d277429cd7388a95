//! Images become what Pillow and NumPy make of them: on committed files, and on random ones of every kind and size.
//!
//! Lossless files: equal, but for one unit in the last place of a float, and one step of 255 where `antialias` is off
//! (whose reference rounds in floating point). Lossy files: decoders round differently, so samples may differ by
//! [`LOSSY_MOST`] and on average by [`LOSSY_MEAN`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_wire::{DType, TensorSpec};
use serde_json::Value;

use super::{Elements, Steps};
use crate::repository::ImageOptions;

const MAX_PIXELS: usize = 1 << 20;
/// Of 255.
const LOSSY_MOST: f64 = 8.0;
/// Of 255.
const LOSSY_MEAN: f64 = 1.0;

fn project_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

#[test]
fn committed_images_become_what_pillow_makes_of_them() {
    assert_eq!(check_folder(&project_path("tests/images/fixtures")), 48);
}

#[test]
fn random_images_become_what_pillow_makes_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    // A seed that fails can be given again by hand.
    let seed = std::process::id().to_string();
    let output = Command::new(project_path(".venv/bin/python"))
        .arg(project_path("tests/images/reference.py"))
        .arg("random")
        .arg(folder.path())
        .args(["--count", "80", "--seed", &seed])
        .output()
        .expect("`make setup` has made .venv");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("seed {seed}");
    assert_eq!(check_folder(folder.path()), 80);
}

/// Answers how many cases there are.
fn check_folder(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("cases.json")).expect("cases.json");
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    let cases = cases.as_array().expect("a list");
    for case in cases {
        check_case(folder, case);
    }
    cases.len()
}

fn check_case(folder: &Path, case: &Value) {
    let options: ImageOptions = serde_json::from_value(case["options"].clone()).expect("options");
    let file = fs::read(folder.join(text(case, "file"))).expect("an image");
    let steps =
        Steps::for_input(&options, &input(case)).unwrap_or_else(|error| panic!("{error}: {case}"));
    let row = steps
        .run(&file, MAX_PIXELS)
        .unwrap_or_else(|error| panic!("{error}: {case}"));
    let (shape, expected) = read_npy(&folder.join(text(case, "expected")));
    assert_eq!(row.shape, shape, "{case}");
    let given = as_f64(&row.elements);
    let spread = options.scale
        / options
            .std
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min)
            .min(1.0);
    let is_lossless = case["is_lossless"].as_bool().expect("a boolean");
    let unit = match row.elements {
        Elements::Uint8(_) => 0.0,
        Elements::Float16(_) => f64::from(half::f16::EPSILON),
        Elements::Float32(_) => f64::from(f32::EPSILON),
    };
    let (most, mean) = match (is_lossless, options.antialias) {
        (true, true) => (0.0, 0.0),
        (true, false) => (1.0, 0.05),
        (false, _) => (LOSSY_MOST, LOSSY_MEAN),
    };
    let mut sum = 0.0;
    for (place, (given, expected)) in given.iter().zip(&expected).enumerate() {
        let difference = (given - expected).abs();
        let allowed = most * spread + unit * expected.abs();
        assert!(
            difference <= allowed,
            "{given} is not {expected} at {place}: {case}"
        );
        sum += difference;
    }
    let count = f64::from(u32::try_from(expected.len()).expect("small"));
    let unit_sum: f64 = expected.iter().map(|it| it.abs() * unit).sum();
    assert!(
        sum <= mean * spread * count + unit_sum,
        "differs by {} on average: {case}",
        sum / count
    );
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().expect("a text")
}

fn input(case: &Value) -> TensorSpec {
    let size = |size: &Value| {
        size.as_u64()
            .map(|size| usize::try_from(size).expect("small"))
    };
    let row = case["shape"].as_array().expect("a shape");
    TensorSpec {
        name: "image".to_owned(),
        dtype: match text(case, "dtype") {
            "uint8" => DType::Uint8,
            "float16" => DType::Float16,
            _ => DType::Float32,
        },
        shape: std::iter::once(None).chain(row.iter().map(size)).collect(),
    }
}

fn as_f64(elements: &Elements) -> Vec<f64> {
    match elements {
        Elements::Uint8(elements) => elements.iter().copied().map(f64::from).collect(),
        Elements::Float16(elements) => elements.iter().copied().map(f64::from).collect(),
        Elements::Float32(elements) => elements.iter().copied().map(f64::from).collect(),
    }
}

/// Shape and elements of a file that `numpy.save` wrote.
fn read_npy(file: &Path) -> (Vec<usize>, Vec<f64>) {
    let bytes = fs::read(file).expect("an array");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).expect("a header");
    let data = &bytes[10 + length..];
    let shape = header.split_once("'shape': (").expect("a shape").1;
    let shape = shape.split_once(')').expect("a shape").0;
    let shape = shape
        .split(',')
        .filter_map(|side| side.trim().parse().ok())
        .collect();
    let elements = if header.contains("|u1") {
        data.iter().copied().map(f64::from).collect()
    } else if header.contains("<f2") {
        let half = |it: &[u8]| f64::from(half::f16::from_le_bytes([it[0], it[1]]));
        data.chunks_exact(2).map(half).collect()
    } else {
        let single = |it: &[u8]| f64::from(f32::from_le_bytes([it[0], it[1], it[2], it[3]]));
        data.chunks_exact(4).map(single).collect()
    };
    (shape, elements)
}
