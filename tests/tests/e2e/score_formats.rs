//! `millrace score` takes and gives every format, and says which rows failed and why.

use std::fmt::Write;
use std::fs;

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use e2e::{Infer, Line, digits, project_path};
use serde_json::{Value, json};

use crate::command_line::{integers, path, read_parquet, run, said, succeed};

const ROWS: usize = 40;

#[test]
fn csv_with_a_column_per_pixel_becomes_parquet_with_its_own_columns() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let (input, out) = (path(&line, "pixels.csv"), path(&line, "out.parquet"));
    let mut csv = "id,name".to_owned();
    (0..64).for_each(|pixel| write!(csv, ",image_{pixel}").expect("text"));
    for (row, image) in digits().images[..ROWS].iter().enumerate() {
        write!(csv, "\n{row},\"digit, {row}\"").expect("text");
        image
            .iter()
            .for_each(|pixel| write!(csv, ",{pixel}").expect("text"));
    }
    fs::write(&input, csv).expect("the folder is writable");
    let keep = ["--keep", "id,name"];
    let score = ["score", &input, "--model", "digits", "--out", &out];
    succeed(&line, &[&score[..], &keep].concat());

    let batches = read_parquet(&out);
    let ids: Vec<i64> = (0..ROWS)
        .map(|row| i64::try_from(row).expect("small"))
        .collect();
    assert_eq!(integers(&batches, "id"), ids);
    assert_eq!(
        integers(&batches, "label"),
        digits().reference_labels()[..ROWS]
    );
    let names = batches[0].column_by_name("name").expect("carried along");
    assert_eq!(names.as_string::<i32>().value(7), "digit, 7");
    let scores = batches[0].column_by_name("scores").expect("an output");
    let scores = scores.as_list::<i32>().value(3);
    let expected = &digits().reference_scores()[3];
    for (given, expected) in scores
        .as_primitive::<Float32Type>()
        .values()
        .iter()
        .zip(expected)
    {
        assert!((given - expected).abs() < 1e-6, "{given} {expected}");
    }
}

#[test]
fn lines_of_json_keep_their_text_and_bad_ones_their_place() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let (input, out) = (path(&line, "rows.jsonl"), path(&line, "out.jsonl"));
    let good = |row: usize| format!("{{\"n\": {row}.50, \"image\": {}}}\n", digits().json(row));
    let mut lines: Vec<String> = (0..4).map(good).collect();
    lines.insert(2, "{\"n\": 1, \"image\": [[1, 2]]}\n".to_owned());
    lines.insert(3, "{\"n\": 2, \"image\": [[1; 2]]}\n".to_owned());
    fs::write(&input, lines.concat()).expect("the folder is writable");

    let output = run(
        &line,
        &["score", &input, "--model", "digits", "--out", &out],
    );
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(
        said(&output).contains("2 of 6 rows failed"),
        "{}",
        said(&output)
    );
    let text = fs::read_to_string(&out).expect("the output is there all the same");
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[0].starts_with("{\"n\": 0.50, \"image\": [["),
        "{}",
        rows[0]
    );
    let labels = digits().reference_labels();
    for (row, number) in [(0, 0), (1, 1), (4, 2), (5, 3)] {
        let parsed: Value = serde_json::from_str(rows[row]).expect("JSON");
        assert_eq!(parsed["label"], json!(labels[number]));
        assert_eq!(parsed.get("error"), None);
    }
    let wrong_shape: Value = serde_json::from_str(rows[2]).expect("JSON");
    let sentence = wrong_shape["error"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("line 3: ") && sentence.contains("image"),
        "{sentence}"
    );
    let no_json: Value = serde_json::from_str(rows[3]).expect("JSON");
    let sentence = no_json["error"].as_str().expect("a sentence");
    assert!(sentence.starts_with("line 4, column 22: "), "{sentence}");
}

#[test]
fn a_row_that_breaks_the_model_is_found_in_its_record_and_has_its_sentence() {
    let line = Line::new(&["fails_if"], 1);
    let mut infer = line.infer(Infer {
        models: "tests/models",
        names: &["fails_if"],
        ..Infer::default()
    });
    infer.wait_ready();
    let (input, out) = (path(&line, "rows.csv"), path(&line, "out.csv"));
    let mut csv = "a,b,c,d\n".to_owned();
    for row in 0..100 {
        match row {
            50 => csv.push_str("1,2,x,4\n"),
            _ => writeln!(csv, "{row},{row},{row},{row}").expect("text"),
        }
    }
    fs::write(&input, csv).expect("the folder is writable");
    let score = ["score", &input, "--model", "fails_if", "--out", &out];
    let output = run(&line, &[&score[..], &["--map", "x=a,b,c,d"]].concat());
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let text = fs::read_to_string(&out).expect("the output is there all the same");
    let rows: Vec<&str> = text.lines().collect();
    assert!(
        rows[0].starts_with("a,b,c,d,") && rows[0].ends_with(",error"),
        "{}",
        rows[0]
    );
    assert_eq!(rows.len(), 101);
    for (row, text) in rows[1..].iter().enumerate() {
        match row {
            13 => assert!(text.contains("INVALID_ARGUMENT: "), "{text}"),
            50 => assert!(
                text.contains("line 52: column c (3): expected FP32"),
                "{text}"
            ),
            _ => assert!(text.ends_with(','), "row {row} has no error: {text}"),
        }
    }
}

#[test]
fn a_folder_of_images_is_scored_in_the_order_of_their_names() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let (folder, out) = (line.dir().join("tiles"), path(&line, "out.csv"));
    fs::create_dir(&folder).expect("the folder is writable");
    for (index, image) in digits().images.iter().enumerate() {
        let file = folder.join(format!("tile-{index:04}.png"));
        fs::write(file, png_of(image)).expect("the folder is writable");
    }
    fs::write(folder.join("tile-0100.png"), "no image").expect("the folder is writable");
    fs::write(folder.join("notes.txt"), "not a tile").expect("the folder is writable");
    let tiles = folder.to_str().expect("a path of text");
    let score = ["score", tiles, "--model", "digits", "--out", &out];
    let output = run(&line, &[&score[..], &["--scale", "0.0666666667"]].concat());
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let text = fs::read_to_string(&out).expect("the output is there all the same");
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(
        (rows[0], rows.len()),
        ("path,scores,label,error", digits().images.len() + 1)
    );
    let labels = digits().reference_labels();
    for (index, row) in rows[1..].iter().enumerate() {
        assert!(row.starts_with(&format!("tile-{index:04}.png,")), "{row}");
        match index {
            100 => assert!(row.ends_with("neither PNG nor JPEG"), "{row}"),
            _ => assert!(row.ends_with(&format!("]\",{},", labels[index])), "{row}"),
        }
    }
}

/// Pixels of 0 to 16 as a grey image, 15 times as bright.
fn png_of(image: &[u8; 64]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    let grey = image.map(|pixel| pixel * 15);
    writer.write_image_data(&grey).expect("64 pixels");
    writer.finish().expect("a whole file");
    file
}

#[test]
fn an_input_that_cannot_fit_is_refused_before_anything_is_kept() {
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let out = path(&line, "out.csv");
    for (name, text, part) in [
        ("no_input.csv", "a,b\n1,2\n", "no column for input image"),
        (
            "wrong.csv",
            "image\n\"[1,2]\"\n\"[3]\"\n",
            "none of the first 2 rows fits",
        ),
        ("empty.jsonl", "\n\n", "has no rows"),
        ("twice.csv", "a,a\n1,2\n", "line 1, column 2"),
        (
            "damaged.parquet",
            "PAR1 and no more",
            "no Parquet file, or is damaged",
        ),
        ("damaged.arrows", "ARROW1 and no more", "or is damaged"),
        ("clash.csv", "image,label\n\"[[1]]\",2\n", "--output-prefix"),
    ] {
        let input = path(&line, name);
        fs::write(&input, text).expect("the folder is writable");
        let output = run(
            &line,
            &["score", &input, "--model", "digits", "--out", &out],
        );
        let sentence = said(&output);
        assert!(
            !output.status.success() && sentence.contains(part),
            "{name}: {sentence}"
        );
        assert!(!fs::exists(&out).expect("a folder"), "{name}");
        assert!(
            !fs::exists(format!("{out}.parts")).expect("a folder"),
            "{name}"
        );
    }
    let example = project_path("models/digits/example.json");
    let example = example.to_str().expect("a path of text");
    let output = run(
        &line,
        &["score", example, "--model", "digits", "--out", &out],
    );
    assert!(
        said(&output).contains("only `millrace predict` takes"),
        "{}",
        said(&output)
    );
}
