//! Encoded images are inputs: decoded beside the engine, equal to Pillow, and a bad one hurts nobody but its sender.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Feed, Infer, Line, PATIENCE, Tap, header, project_path, wait_for};
use millrace_wire::avro::DeadLetter;
use millrace_wire::{DType, Limits, Record, Tensor, VariableData, encode_tensors};
use serde_json::{Value, json};

const FORMATS: [&str; 4] = ["jpeg", "png", "webp", "bmp"];
/// Of a channel's mean, in standard deviations: a step of 255 is 0.018 of them, and JPEG and WebP are decoded to within
/// one step on average.
const TOLERANCE: f64 = 0.02;
const LABELS: [&str; 4] = ["red", "green", "blue", "none"];

/// Serves tests/models/colours, which takes one image and answers two of four labels.
const COLOURS: Infer<'_> = Infer {
    models: "tests/models",
    names: &["colours"],
    max_rows: 8,
    engines: 1,
    brokers: None,
    settings: "",
};

#[test]
fn images_by_arrow_tensorflow_json_and_cluster_serving_are_answered_as_pillow_would_have_them() {
    let line = Line::new(&["colours"], 2);
    let results = Tap::open(&line, "results.colours");
    let mut infer = line.infer(COLOURS);
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();
    let files: Vec<Vec<u8>> = FORMATS.map(picture).to_vec();

    let feed = Feed::new(&line, "requests.colours");
    for (format, file) in FORMATS.iter().zip(&files) {
        feed.send(None, Some(image_record(&[file])), &[("mr-id", format)]);
    }
    feed.send(None, Some(image_record(&files)), &[("mr-id", "all")]);
    feed.flush();
    for result in results.wait_for(5) {
        let id = header(&result, "mr-id").expect("an id").to_owned();
        assert_eq!(
            header(&result, "mr-status"),
            Some("OK"),
            "{:?}",
            header(&result, "mr-error")
        );
        let answers = answers(result.value.expect("a value"));
        let formats: Vec<&str> = if id == "all" {
            FORMATS.to_vec()
        } else {
            vec![&id]
        };
        assert_eq!(answers.len(), formats.len());
        for (answer, format) in answers.iter().zip(formats) {
            check(answer, format);
        }
    }

    let encoded: Vec<String> = files.iter().map(|file| STANDARD.encode(file)).collect();
    let tensorflow: Vec<Value> = encoded
        .iter()
        .map(|text| json!({"image": {"b64": text}}))
        .collect();
    let cluster_serving: Vec<Value> = encoded.iter().map(|text| json!({"image": text})).collect();
    for (path, instances) in [
        ("/v1/models/colours:predict", tensorflow),
        ("/predict", cluster_serving),
    ] {
        let answer = post(&ingest.url(path), &json!({"instances": instances}));
        let predictions = answer["predictions"].as_array().expect(path);
        assert_eq!(predictions.len(), FORMATS.len());
        for (prediction, format) in predictions.iter().zip(FORMATS) {
            check(prediction, format);
        }
    }
    let metadata = get(&ingest.url("/v2/models/colours"));
    assert_eq!(
        metadata["inputs"],
        json!([{"name": "image", "datatype": "BYTES", "shape": [-1]}])
    );
}

#[test]
fn a_bad_image_is_refused_with_its_record_and_its_neighbours_are_answered_in_order() {
    let line = Line::new(&["colours"], 1);
    let results = Tap::open(&line, "results.colours");
    let dead = Tap::open(&line, "dead-letters");
    let good = picture("jpeg");
    let cases = bad_images(&good);
    let feed = Feed::new(&line, "requests.colours");
    let mut sent = Vec::new();
    for (id, value, _) in &cases {
        feed.send(None, Some(image_record(&[&good])), &[("mr-id", "good")]);
        feed.send(None, Some(value.clone()), &[("mr-id", id)]);
        sent.extend(["good", id]);
    }
    feed.flush();
    let mut infer = line.infer(COLOURS);
    infer.wait_ready();
    let answers = results.wait_for(sent.len());
    let ids: Vec<_> = answers
        .iter()
        .filter_map(|it| header(it, "mr-id"))
        .collect();
    assert_eq!(ids, sent, "results keep the order of their partition");
    for answer in &answers {
        check_refusal(answer, &cases);
    }
    let letters = dead.wait_for(4);
    for letter in &letters {
        let letter =
            DeadLetter::decode(letter.value.as_deref().expect("a value")).expect("a dead letter");
        assert_eq!(
            (letter.stage.as_str(), letter.code.as_str()),
            ("decode", "INVALID_ARGUMENT")
        );
        assert!(
            letter.value.is_some_and(|value| !value.is_empty()),
            "the original bytes"
        );
    }
    assert!(infer.is_running());
    assert_eq!(infer.metric("millrace_infer_engine_rebuilds_total"), 0.0);
}

/// An id, the record, and what its sender hears of it.
type Case = (&'static str, Vec<u8>, &'static str);

/// Records that are refused, and one that only looks as if it should be.
fn bad_images(good: &[u8]) -> [Case; 5] {
    let cut = &good[..good.len() / 2];
    [
        (
            "cut",
            image_record(&[cut]),
            "input \"image\": the JPEG file ends",
        ),
        (
            "second",
            image_record(&[good, cut]),
            "input \"image\" of row 1: the JPEG file ends",
        ),
        (
            "text",
            image_record(&[&b"hello"[..]]),
            "neither a JPEG, PNG, WebP nor BMP",
        ),
        ("bomb", image_record(&[bomb()]), "images.max_pixels"),
        ("narrow", image_record(&[&strip()]), "OK"),
    ]
}

fn check_refusal(answer: &millrace_kafka::Record, cases: &[Case]) {
    let id = header(answer, "mr-id").expect("an id");
    let expected = cases
        .iter()
        .find(|(case, ..)| *case == id)
        .map_or("OK", |it| it.2);
    if expected == "OK" {
        assert_eq!(
            header(answer, "mr-status"),
            Some("OK"),
            "{id}: {:?}",
            header(answer, "mr-error")
        );
    } else {
        assert_eq!(
            header(answer, "mr-status"),
            Some("INVALID_ARGUMENT"),
            "{id}"
        );
        let sentence = header(answer, "mr-error").expect("a sentence");
        assert!(sentence.contains(expected), "{id}: {sentence}");
    }
}

#[test]
fn the_highest_scores_are_lines_of_json_in_a_file() {
    let line = Line::new(&["colours"], 1);
    let mut infer = line.infer(COLOURS);
    let folder = line.dir().join("files");
    let sink = format!(
        "[[pipelines]]\nname = \"files\"\nmodels = [\"colours\"]\nroll = {{ rows = 4 }}\n\
         destination = {{ type = \"files\", url = {folder:?}, format = \"jsonl\" }}\n"
    );
    let mut sink = line.sink(&sink);
    infer.wait_ready();
    sink.wait_ready();
    let feed = Feed::new(&line, "requests.colours");
    let files: Vec<Vec<u8>> = FORMATS.map(picture).to_vec();
    feed.send(None, Some(image_record(&files)), &[("mr-id", "all")]);
    feed.flush();
    let text = wait_for(PATIENCE, "a file of four lines", || lines_below(&folder));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("every line is JSON"))
        .collect();
    assert_eq!(lines.len(), 4);
    for (line, format) in lines.iter().zip(FORMATS) {
        check(line, format);
    }
}

#[test]
fn images_keep_their_own_size_where_neither_model_nor_options_have_one() {
    let line = Line::new(&["colours"], 1);
    let models = line.dir().join("models");
    let version = models.join("colours/1");
    fs::create_dir_all(&version).expect("a folder");
    let original = project_path("tests/models/colours/1/model.onnx");
    fs::copy(original, version.join("model.onnx")).expect("the model");
    fs::write(models.join("colours/model.toml"), "[images.image]\n").expect("a file");
    let results = Tap::open(&line, "results.colours");
    let mut infer = line.infer(Infer {
        models: models.to_str().expect("a path of text"),
        ..COLOURS
    });
    infer.wait_ready();
    // PNG files of 29 x 19 and 11 x 7 pixels: the sizes differ, so they run apart, and one record has them both.
    let names = ["png-RGB", "png-orientation2"];
    let files = names.map(|name| fs::read(fixture(&case(name)["file"])).expect("an image"));
    let feed = Feed::new(&line, "requests.colours");
    feed.send(None, Some(image_record(&files)), &[("mr-id", "both")]);
    feed.flush();
    let result = results.wait_for(1).remove(0);
    assert_eq!(
        header(&result, "mr-status"),
        Some("OK"),
        "{:?}",
        header(&result, "mr-error")
    );
    let record = Record::decode(result.value.expect("a value"), &Limits::default()).expect("Arrow");
    let index = record.column_index("mean").expect("an output");
    let means = record.tensor(index).expect("a tensor");
    let means = means.typed::<f32>().expect("FP32").chunks(3);
    for (given, name) in means.zip(names) {
        let pixels = elements(&fixture(&case(name)["expected"]));
        for (channel, given) in given.iter().enumerate() {
            let of_channel = pixels.iter().skip(channel).step_by(3);
            let expected = of_channel.sum::<f64>() / (pixels.len() / 3) as f64;
            assert!((f64::from(*given) - expected).abs() < 1e-3, "{name}");
        }
    }
}

#[test]
fn the_python_client_sends_images_by_path() {
    let line = Line::new(&["colours"], 1);
    let mut infer = line.infer(COLOURS);
    let mut ingest = line.ingest("");
    infer.wait_ready();
    ingest.wait_ready();
    let prefix = line.topic("");
    let output = Command::new(project_path(".venv/bin/python"))
        .arg(project_path("tests/python/images_by_path.py"))
        .args([
            line.brokers(),
            prefix.trim_end_matches('.'),
            &ingest.url(""),
        ])
        .args(FORMATS.map(|format| fixture(&case(&format!("{format}-colours"))["file"])))
        .env("PYTHONPATH", project_path("clients/python/src"))
        .output()
        .expect("`make setup` has made .venv");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2 * FORMATS.len(), "over Kafka, then over HTTP");
    for (answer, format) in lines.iter().zip(FORMATS.iter().cycle()) {
        check(answer, format);
    }
}

/// Checks one row's answer, as JSON.
fn check(answer: &Value, format: &str) {
    let (mean, best) = expected(format);
    for (given, expected) in answer["mean"].as_array().expect("mean").iter().zip(mean) {
        let given = given.as_f64().expect("a number");
        assert!(
            (given - expected).abs() < TOLERANCE,
            "{format}: {given} is not {expected}"
        );
    }
    for (place, (index, score)) in best.iter().enumerate() {
        assert_eq!(
            answer["scores_indices"][place],
            json!(index),
            "{format}: {answer}"
        );
        assert_eq!(
            answer["scores_labels"][place],
            json!(LABELS[*index]),
            "{format}: {answer}"
        );
        let given = answer["scores_scores"][place].as_f64().expect("a score");
        assert!(
            (given - score).abs() < TOLERANCE,
            "{format}: {given} is not {score}"
        );
    }
    assert_eq!(answer["scores_indices"].as_array().map(Vec::len), Some(2));
    assert!(
        answer.get("scores").is_none(),
        "only the highest are answered"
    );
}

/// The mean of each channel by Pillow, and what the model makes of it: index and probability of the two highest.
fn expected(format: &str) -> ([f64; 3], [(usize, f64); 2]) {
    let pixels = elements(&fixture(&case(&format!("{format}-colours"))["expected"]));
    let plane = pixels.len() / 3;
    let mean = [0, 1, 2].map(|channel| {
        let plane = &pixels[channel * plane..(channel + 1) * plane];
        plane.iter().sum::<f64>() / plane.len() as f64
    });
    let sum: f64 = mean.iter().sum();
    let mut scores: Vec<f64> = mean.iter().map(|it| 3.0 * it - sum).collect();
    scores.push(0.25);
    let whole: f64 = scores.iter().map(|it| it.exp()).sum();
    let mut ranked: Vec<(usize, f64)> = scores
        .iter()
        .map(|it| it.exp() / whole)
        .enumerate()
        .collect();
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
    (mean, [ranked[0], ranked[1]])
}

/// The rows of an Arrow result, as JSON.
fn answers(value: Vec<u8>) -> Vec<Value> {
    let record = Record::decode(value, &Limits::default()).expect("an Arrow record");
    let tensor = |name: &str| {
        let index = record
            .column_index(name)
            .unwrap_or_else(|| panic!("no output {name}"));
        record.tensor(index).expect("a tensor")
    };
    let (mean, scores) = (tensor("mean"), tensor("scores_scores"));
    let (indices, labels) = (tensor("scores_indices"), tensor("scores_labels"));
    assert_eq!(
        (indices.dtype(), scores.dtype()),
        (DType::Int64, DType::Float32)
    );
    assert_eq!(
        (labels.dtype(), labels.shape()),
        (DType::String, indices.shape())
    );
    let (mean, scores) = (
        mean.typed::<f32>().expect("FP32"),
        scores.typed::<f32>().expect("FP32"),
    );
    let indices = indices.typed::<i64>().expect("INT64");
    let labels: Vec<_> = labels
        .elements()
        .expect("texts")
        .iter()
        .map(String::from_utf8_lossy)
        .collect();
    let row = |row: usize| {
        json!({
            "mean": mean[row * 3..row * 3 + 3],
            "scores_indices": indices[row * 2..row * 2 + 2],
            "scores_scores": scores[row * 2..row * 2 + 2],
            "scores_labels": labels[row * 2..row * 2 + 2],
        })
    };
    (0..record.rows()).map(row).collect()
}

fn image_record(files: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut data = VariableData::new();
    for file in files {
        data.push(file.as_ref());
    }
    let tensor = Tensor::variable("image", DType::Bytes, vec![files.len()], data);
    encode_tensors(&[tensor.expect("a file per row")]).expect("a tensor encodes")
}

/// A PNG header that announces 65,535 pixels each way.
fn bomb() -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = png::Encoder::new(&mut file, 65_535, 65_535);
    encoder.write_header().expect("a header");
    file
}

/// 1 x 3,000 pixels: the shorter side becomes 20, and the longer one 60,000, of which 15 are kept.
fn strip() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 3_000, 1);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[100; 3_000]).expect("pixels");
    writer.finish().expect("an end");
    file
}

fn picture(format: &str) -> Vec<u8> {
    fs::read(fixture(&case(&format!("{format}-colours"))["file"])).expect("an image")
}

fn case(name: &str) -> Value {
    let text = fs::read_to_string(project_path("tests/images/fixtures/cases.json")).expect("cases");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let found = cases.into_iter().find(|case| case["name"] == name);
    found.unwrap_or_else(|| panic!("no case {name}"))
}

fn fixture(name: &Value) -> PathBuf {
    project_path("tests/images/fixtures").join(name.as_str().expect("a name"))
}

/// The elements of a file that `numpy.save` wrote, of FP32 or UINT8.
fn elements(file: &Path) -> Vec<f64> {
    let bytes = fs::read(file).expect("an array");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    if String::from_utf8_lossy(&bytes[..start]).contains("|u1") {
        return bytes[start..].iter().copied().map(f64::from).collect();
    }
    let single = |it: &[u8]| f64::from(f32::from_le_bytes([it[0], it[1], it[2], it[3]]));
    bytes[start..].chunks_exact(4).map(single).collect()
}

/// The first file below a folder that ends in `.jsonl`.
fn lines_below(folder: &Path) -> Option<String> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(text) = lines_below(&path) {
                return Some(text);
            }
        } else if path.extension().is_some_and(|end| end == "jsonl") {
            return fs::read_to_string(path).ok();
        }
    }
    None
}

fn post(url: &str, body: &Value) -> Value {
    let client = reqwest::blocking::Client::new();
    read(client.post(url).body(body.to_string()).send())
}

fn get(url: &str) -> Value {
    read(reqwest::blocking::get(url))
}

fn read(answer: reqwest::Result<reqwest::blocking::Response>) -> Value {
    let answer = answer.expect("ingest answers");
    let status = answer.status();
    let text = answer.text().expect("the answer is text");
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).expect("the answer is JSON")
}
