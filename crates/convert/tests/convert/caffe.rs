//! Caffe's files, good and damaged: each is answered with a model or an error, quickly.

use std::time::{Duration, Instant};

use millrace_convert::{CaffeFiles, ConvertError, Converted, convert_caffe, convert_folder};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// A text, a zero byte, weights; `fuzz/seeds/make_caffe_model.py` makes them.
const SEEDS: [&[u8]; 3] = [
    include_bytes!("../../../../fuzz/seeds/caffe_model/new"),
    include_bytes!("../../../../fuzz/seeds/caffe_model/old"),
    include_bytes!("../../../../fuzz/seeds/caffe_model/detection"),
];
const MUTATIONS: usize = 30_000;

fn parts(seed: &[u8]) -> (&[u8], &[u8]) {
    let end = seed.iter().position(|&byte| byte == 0).unwrap();
    (&seed[..end], &seed[end + 1..])
}

fn convert(text: &[u8], weights: &[u8]) -> Result<Converted, ConvertError> {
    convert_caffe(CaffeFiles {
        net_name: "deploy.prototxt".to_owned(),
        net: String::from_utf8_lossy(text).into_owned(),
        weights_name: "weights.caffemodel".to_owned(),
        weights: weights.to_vec(),
    })
}

#[test]
fn the_seeds_of_the_fuzzer_are_converted() {
    for seed in SEEDS {
        let (text, weights) = parts(seed);
        let converted = convert(text, weights).unwrap();
        assert!(converted.report.layers.len() > 5 && converted.onnx.len() > 1000);
    }
}

#[test]
fn damaged_files_never_panic_and_are_never_slow() {
    let mut random = SmallRng::seed_from_u64(9);
    let mut taken = 0;
    for i in 0..MUTATIONS {
        let (text, weights) = parts(SEEDS[i % SEEDS.len()]);
        let (mut text, mut weights) = (text.to_vec(), weights.to_vec());
        let in_text = i % 2 == 0;
        damage(if in_text { &mut text } else { &mut weights }, &mut random);
        let started = Instant::now();
        taken += usize::from(convert(&text, &weights).is_ok());
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "mutation {i} took {took:?}");
    }
    assert!(
        taken > 100,
        "{taken} mutations were harmless, so the good path was hardly tested"
    );
}

/// One to three edits: a flipped bit, another byte, a large number, a cut, a removal, a part said twice.
fn damage(bytes: &mut Vec<u8>, random: &mut SmallRng) {
    for _ in 0..random.random_range(1..=3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 | 1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at] = random.random(),
            3 => bytes[at] = b'0' + random.random_range(0..10),
            4 => drop(bytes.splice(at..at, *b"16777216")),
            5 => drop(bytes.remove(at)),
            6 if random.random_ratio(1, 4) => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + random.random_range(1..80));
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
}

#[test]
fn small_texts_cannot_ask_for_much_memory() {
    let layer = "layer { type: 'PriorBox' name: 'p' bottom: 'x' bottom: 'x' top: 'p' prior_box_param { min_size: 1 } }";
    for text in [
        format!("input: 'x' input_shape {{ dim: 1 dim: 1 dim: 65536 dim: 65536 }} {layer}"),
        "input: 'x' input_shape { dim: 1 dim: 16777216 dim: 16777216 }".to_owned(),
        "a {".repeat(1 << 20),
        "layer {} ".repeat(30_000),
    ] {
        assert!(convert(text.as_bytes(), b"").is_err(), "{:.60}", text);
    }
}

#[test]
fn the_text_for_inference_is_chosen_among_several() {
    let folder = tempfile::tempdir().unwrap();
    let (text, weights) = parts(SEEDS[0]);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("net.caffemodel", weights);
    write("train_val.prototxt", b"layer {");
    write("solver.prototxt", b"net: 'x'");
    write("net.prototxt", text);
    let converted = convert_folder(folder.path()).unwrap();
    assert_eq!(converted.report.files, ["net.prototxt", "net.caffemodel"]);
    write("other.prototxt", text);
    assert!(
        convert_folder(folder.path())
            .unwrap_err()
            .to_string()
            .contains("more than one")
    );
    write("deploy.prototxt", text);
    assert_eq!(
        convert_folder(folder.path()).unwrap().report.files[0],
        "deploy.prototxt"
    );
    write("second.caffemodel", weights);
    assert!(convert_folder(folder.path()).is_err());
}
