//! `millrace predict` answers what the model answers, and says clearly why it cannot.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::{Infer, Line, binary_path, digits, project_path};
use serde_json::{Value, json};

use crate::command_line::{millrace, path, run, said, succeed, write_images};

#[test]
fn every_kind_of_file_gets_the_models_own_answer() {
    let line = Line::new(&["digits"], 2);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let labels = digits().reference_labels();
    let images: Vec<Value> = (0..3).map(|index| digits().json(index)).collect();

    let body = path(&line, "body.json");
    fs::write(&body, json!({"instances": images}).to_string()).expect("a folder");
    let bare = path(&line, "bare.json");
    fs::write(&bare, json!(images).to_string()).expect("a folder");
    let csv = path(&line, "rows.csv");
    let cells: Vec<String> = images
        .iter()
        .map(|image| format!("\"{image}\"\n"))
        .collect();
    fs::write(&csv, format!("image\n{}", cells.concat())).expect("a folder");
    let parquet = path(&line, "rows.parquet");
    write_images(&parquet, 3);
    let npy = path(&line, "rows.npy");
    fs::write(&npy, npy_of(3)).expect("a folder");
    for file in [&body, &bare, &csv, &parquet, &npy] {
        let answer = succeed(
            &line,
            &["predict", "digits", file, "--json", "--timeout", "100"],
        );
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        for (index, label) in labels[..3].iter().enumerate() {
            assert_eq!(
                answer["predictions"][index]["label"],
                json!(label),
                "{file}"
            );
        }
    }

    let table = succeed(&line, &["predict", "digits@1", &body, "--timeout", "100"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ROW  scores"), "{table}");
    assert!(lines[3].ends_with(&format!("  {}", labels[2])), "{table}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{table}"
    );

    let mut child = millrace(
        &line,
        &["predict", "digits", "-", "--json", "--timeout", "100"],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .expect("the tool starts");
    let single = json!({"image": images[1]}).to_string();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(single.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["predictions"][0]["label"], json!(labels[1]));
}

#[test]
fn what_stands_in_the_way_is_said_and_what_to_do() {
    let line = Line::new(&["digits"], 1);
    let example = project_path("models/digits/example.json");
    let example = example.to_str().expect("a path of text");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = run(&line, arguments);
        let sentence = said(&output);
        assert!(!output.status.success(), "{arguments:?}");
        for part in parts {
            assert!(sentence.contains(part), "{arguments:?}: {sentence}");
        }
    };
    let nobody = ["nobody serves model digits", "start millrace-infer"];
    refused(&["predict", "digits", example], &nobody);
    refused(
        &["predict", "digits", "no_such.json"],
        &["cannot read no_such.json"],
    );

    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    refused(
        &["predict", "digit", example],
        &["nobody serves model digit", "served are digits"],
    );
    refused(
        &["predict", "digits@7", example],
        &["nobody serves digits@7", "versions 1"],
    );
    refused(
        &["predict", "digits:new", example],
        &["has no label \"new\""],
    );
    for (name, text, parts) in [
        ("syntax.json", "[[[1,2\n 3]]]", &["line 2, column 2"][..]),
        ("shape.json", "[[1,2]]", &["image"]),
        ("type.json", "[[[\"a\"]]]", &["\"a\"", "image"]),
        (
            "cell.csv",
            "image\nx\n",
            &["line 2", "column image (1)", "expected a list"],
        ),
        ("row.jsonl", "{\"image\": [[1]}\n", &["line 1, column 15"]),
        ("noise.npy", "no array", &["no .npy file"]),
        ("noise.png", "no image", &["neither PNG nor JPEG"]),
    ] {
        let file = path(&line, name);
        fs::write(&file, text).expect("a folder");
        refused(&["predict", "digits", &file], parts);
    }
}

#[test]
fn a_time_out_means_that_time() {
    let begun = Instant::now();
    let output = std::process::Command::new(binary_path("millrace"))
        .args([
            "predict",
            "digits",
            "--brokers",
            "127.0.0.1:1",
            "--timeout",
            "1.5",
        ])
        .args([project_path("models/digits/example.json")])
        .output()
        .expect("the tool runs");
    let waited = begun.elapsed();
    assert!(
        said(&output).contains("no Kafka broker answers at 127.0.0.1:1"),
        "{}",
        said(&output)
    );
    assert!(
        waited >= Duration::from_millis(1_400) && waited < Duration::from_secs(30),
        "{waited:?}"
    );

    // Somebody has said that the model is served, and is not there any more.
    let line = Line::new(&["digits"], 1);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    infer.kill_9();
    let file = path(&line, "image.json");
    fs::write(&file, json!([digits().json(0)]).to_string()).expect("a folder");
    let begun = Instant::now();
    let output = run(&line, &["predict", "digits", &file, "--timeout", "4"]);
    let (waited, sentence) = (begun.elapsed(), said(&output));
    assert!(!output.status.success());
    let late = sentence.contains("no answer within 4s") && waited >= Duration::from_millis(3_900);
    // On a busy machine its lease may be over by now.
    let gone = sentence.contains("nobody serves model digits");
    assert!(late || gone, "{waited:?}: {sentence}");
    assert!(waited < Duration::from_secs(40), "{waited:?}");
}

/// The first digit images as NumPy writes them, one byte a pixel.
fn npy_of(rows: usize) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 8, 8), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(header.len()).expect("a short header");
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    digits().images[..rows]
        .iter()
        .for_each(|image| file.extend(image));
    file
}
