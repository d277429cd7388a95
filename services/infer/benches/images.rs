//! How long one thread takes to make a row of a network for ImageNet out of each image in a folder.
//!
//! `load/image_speed.py` writes the folder, runs this, and does the same in Pillow and NumPy.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program that measures and prints"
)]

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use millrace_infer::{ImageOptions, Steps};
use millrace_wire::{DType, TensorSpec};

const SECONDS: f64 = 2.0;
const MAX_PIXELS: usize = 25_000_000;

fn main() {
    // Cargo itself adds `--bench`.
    let Some(folder) = std::env::args().skip(1).find(|it| !it.starts_with("--")) else {
        println!("images: no folder given, nothing to measure");
        return;
    };
    let options: ImageOptions = toml::from_str(
        "resize = 256\ncrop = [224, 224]\nscale = 0.00392156862745098\n\
         mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]",
    )
    .unwrap();
    let input = TensorSpec {
        name: "image".to_owned(),
        dtype: DType::Float32,
        shape: vec![None, Some(3), Some(224), Some(224)],
    };
    let steps = Steps::for_input(&options, &input).unwrap();
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|it| it.path())
        .collect();
    files.sort();
    for path in files {
        let file = fs::read(&path).unwrap();
        let begun = Instant::now();
        let before = processor_ns();
        let mut images = 0u32;
        while begun.elapsed().as_secs_f64() < SECONDS {
            black_box(steps.run(black_box(&file), MAX_PIXELS).unwrap());
            images += 1;
        }
        let ms = (processor_ns() - before) as f64 / 1e6 / f64::from(images);
        println!("{}\t{ms:.2}", path.file_name().unwrap().display());
    }
}

/// Processor time of this thread, as Linux counts it.
fn processor_ns() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}
