//! Records of encoded images, decoded, cut into pieces and put into batches.

use std::fs;
use std::path::Path;
use std::time::Duration;

use millrace_wire::{Limits, VariableData, encode_tensors};

use super::*;
use crate::batch::{BatchLimits, Rows, Splitter, assemble};

const LIMITS: BatchLimits = BatchLimits {
    max_rows: 8,
    max_bytes: 1 << 20,
    max_delay: Duration::ZERO,
};

/// A committed image of 40 × 27 pixels, or of 29 × 19.
fn file(number: usize) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/images/fixtures");
    fs::read(folder.join(format!("{number:03}.png"))).expect("an image")
}

fn large() -> Vec<u8> {
    file(22)
}

fn small() -> Vec<u8> {
    file(7)
}

fn spec(dtype: DType, row: &[Option<usize>]) -> TensorSpec {
    TensorSpec {
        name: "image".to_owned(),
        dtype,
        shape: [&[None], row].concat(),
    }
}

fn open() -> TensorSpec {
    spec(DType::Uint8, &[None, None, Some(3)])
}

fn plan(options: &str, input: &TensorSpec) -> ImagePlan {
    let section: BTreeMap<String, ImageOptions> = toml::from_str(options).unwrap();
    let plan = ImagePlan::new(&section, std::slice::from_ref(input));
    plan.unwrap().expect("an image input")
}

fn record(files: &[&[u8]]) -> Record {
    let mut data = VariableData::new();
    for file in files {
        data.push(file);
    }
    let tensor = Tensor::variable("image", DType::Bytes, vec![files.len()], data).unwrap();
    Record::decode(encode_tensors(&[tensor]).unwrap(), &Limits::default()).unwrap()
}

fn decode(
    plan: &ImagePlan,
    record: &Record,
    limits: &ImageSettings,
) -> Result<Decoded, DecodeFailure> {
    plan.decode((record, &[open()]), limits, &|_| {})
}

#[test]
fn callers_send_bytes_and_the_engine_gets_what_the_options_make() {
    let input = spec(DType::Float32, &[Some(3), None, None]);
    let plan = plan("[image]\nresize = 20\ncrop = [16, 15]", &input);
    let mut signature = Signature {
        inputs: vec![input],
        outputs: Vec::new(),
    };
    let callers = plan.for_callers(&signature);
    assert_eq!(callers.inputs[0].dtype, DType::Bytes);
    assert_eq!(callers.inputs[0].shape, [None]);
    plan.refine(&mut signature);
    assert_eq!(
        signature.inputs[0].shape,
        [None, Some(3), Some(16), Some(15)]
    );
    assert_eq!(signature.inputs[0].dtype, DType::Float32);
}

#[test]
fn options_for_an_input_that_is_not_there_are_refused() {
    let section = toml::from_str("[picture]\n").unwrap();
    let error = ImagePlan::new(&section, &[open()]).unwrap_err().to_string();
    assert!(
        error.contains("images.picture") && error.contains("it has image"),
        "{error}"
    );
    assert!(
        ImagePlan::new(&BTreeMap::new(), &[open()])
            .unwrap()
            .is_none()
    );
}

#[test]
fn images_of_different_sizes_run_in_different_pieces_each_with_its_own_pixels() {
    let plan = plan("[image]", &open());
    let (large, small) = (large(), small());
    let record = record(&[&large, &large, &small, &large]);
    let decoded = decode(&plan, &record, &ImageSettings::default()).unwrap();
    assert_eq!(decoded.size_bytes(), (3 * 40 * 27 + 29 * 19) * 3);
    let splits = Splitter::new(LIMITS, &[open()]).split(&record, Some(&decoded));
    let rows: Vec<_> = splits.iter().map(|split| split.rows.clone()).collect();
    assert_eq!(rows, [0..2, 2..3, 3..4]);
    assert_eq!(splits[0].shape, splits[2].shape);
    assert_ne!(splits[0].shape, splits[1].shape);
    let parts = [0..2, 3..4].map(|rows| Rows {
        record: &record,
        images: Some(&decoded),
        rows,
    });
    let batch = assemble(&[open()], parts.into_iter()).unwrap();
    assert_eq!(batch[0].shape(), [3, 27, 40, 3]);
    let alone = Steps::for_input(&ImageOptions::default(), &open()).unwrap();
    let Elements::Uint8(pixels) = alone.run(&large, 10_000).unwrap().elements else {
        panic!("pixels of bytes")
    };
    assert_eq!(batch[0].fixed_bytes().unwrap(), pixels.repeat(3));
}

#[test]
fn images_of_one_size_run_together_up_to_the_limits_of_a_batch() {
    let plan = plan("[image]\nresize = [4, 4]", &open());
    let (large, small) = (large(), small());
    let record = record(&[&large, &small, &large]);
    let decoded = decode(&plan, &record, &ImageSettings::default()).unwrap();
    let fixed = spec(DType::Uint8, &[Some(4), Some(4), Some(3)]);
    let splits = Splitter::new(LIMITS, &[fixed]).split(&record, Some(&decoded));
    assert_eq!(splits.len(), 1);
    assert!(splits[0].shape.is_empty());
}

#[test]
fn a_bad_image_is_named_by_its_input_and_row() {
    let plan = plan("[image]", &open());
    let (large, small) = (large(), small());
    let cut = &large[..large.len() / 2];
    let say = |files: &[&[u8]], limits: &ImageSettings| {
        decode(&plan, &record(files), limits)
            .unwrap_err()
            .to_string()
    };
    let usual = ImageSettings::default();
    let said = say(&[&small, cut, &small], &usual);
    assert!(
        said.starts_with("input \"image\" of row 1: the PNG file"),
        "{said}"
    );
    let said = say(&[b"no image"], &usual);
    assert!(
        said.starts_with("input \"image\": 8 bytes are neither"),
        "{said}"
    );
    let few = ImageSettings {
        max_pixels: 600,
        ..usual.clone()
    };
    let said = say(&[&small, &large], &few);
    assert!(
        said.contains("row 1: the image of 40 × 27 pixels"),
        "{said}"
    );
    let little = ImageSettings {
        max_decoded_bytes: 4_000,
        ..usual
    };
    let said = say(&[&large, &large], &little);
    assert!(said.contains("send fewer"), "{said}");
}
