//! The held-out digit images and what ONNX Runtime itself says of them, in this process.

use std::sync::OnceLock;

use ort::session::Session;
use ort::value::TensorRef;
use serde_json::Value;

use crate::line::project_path;

/// Images that the digits model never saw in training.
pub struct Digits {
    /// Pixels 0 to 16, row by row, 64 an image.
    pub images: Vec<[u8; 64]>,
    /// The true digits.
    pub labels: Vec<i64>,
}

/// All held-out images.
pub fn digits() -> &'static Digits {
    static DIGITS: OnceLock<Digits> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let path = project_path("models/digits/held_out.json");
        let text = std::fs::read_to_string(path).expect("the held-out images are in the project");
        let json: Value = serde_json::from_str(&text).expect("the held-out images are JSON");
        let list = |key: &str| json[key].as_array().expect("a list").clone();
        Digits {
            images: list("images").iter().map(pixels).collect(),
            labels: list("labels")
                .iter()
                .map(|label| label.as_i64().expect("a digit"))
                .collect(),
        }
    })
}

impl Digits {
    /// An image as JSON, as a caller writes it.
    pub fn json(&self, index: usize) -> Value {
        self.images[index]
            .chunks(8)
            .map(|row| row.iter().copied().collect::<Value>())
            .collect()
    }

    /// The model's own answer to each image, right or wrong.
    pub fn reference_labels(&self) -> Vec<i64> {
        let best = |scores: &Vec<f32>| {
            let largest = scores
                .iter()
                .enumerate()
                .max_by(|(_, a), (_, b)| a.total_cmp(b));
            i64::try_from(largest.expect("ten scores").0).expect("a digit")
        };
        self.reference_scores().iter().map(best).collect()
    }

    /// The ten scores of each image by ONNX Runtime in this process, all in one batch.
    pub fn reference_scores(&self) -> &'static [Vec<f32>] {
        static SCORES: OnceLock<Vec<Vec<f32>>> = OnceLock::new();
        SCORES.get_or_init(|| self.run_model())
    }

    fn run_model(&self) -> Vec<Vec<f32>> {
        let library = project_path(".native/onnxruntime/libonnxruntime.so");
        let environment = ort::init_from(library)
            .expect("`make setup` has fetched ONNX Runtime")
            .build()
            .expect("ONNX Runtime starts");
        let mut session = Session::builder(&environment)
            .and_then(|mut builder| {
                builder.commit_from_file(project_path("models/digits/1/model.onnx"))
            })
            .expect("the digits model loads");
        let pixels: Vec<f32> = self
            .images
            .iter()
            .flatten()
            .copied()
            .map(f32::from)
            .collect();
        let input = TensorRef::from_array_view(([self.images.len(), 8, 8], pixels.as_slice()))
            .expect("the shape fits the pixels");
        let outputs = session
            .run(ort::inputs!["image" => input])
            .expect("the digits model runs");
        let (_, scores) = outputs["scores"]
            .try_extract_tensor::<f32>()
            .expect("scores are FP32");
        scores.chunks(10).map(<[f32]>::to_vec).collect()
    }
}

fn pixels(image: &Value) -> [u8; 64] {
    let rows = image.as_array().expect("rows").iter();
    let pixels = rows.flat_map(|row| row.as_array().expect("pixels"));
    let number = |pixel: &Value| pixel.as_u64().and_then(|pixel| u8::try_from(pixel).ok());
    let flat: Vec<u8> = pixels
        .map(|pixel| number(pixel).expect("0 to 16"))
        .collect();
    flat.try_into().expect("an image has 64 pixels")
}
