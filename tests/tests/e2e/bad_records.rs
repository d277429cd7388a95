//! A bad record hurts nobody but its sender: it is answered with an error and dead-lettered, its neighbours are served.

use arrow::buffer::Buffer;
use e2e::{Feed, Infer, Line, Tap, header};
use millrace_wire::avro::DeadLetter;
use millrace_wire::{DType, Tensor, encode_tensors};

use crate::digit_records::{image_record, images_record};

/// A bad value, and the code that its sender is answered with.
type Case = (&'static str, Option<Vec<u8>>, &'static str);

#[test]
fn bad_records_are_dead_lettered_and_their_neighbours_answered() {
    bad_among_good("delivery = \"at_least_once\"");
}

#[test]
fn bad_records_are_dead_lettered_in_the_transaction_that_answers_their_neighbours() {
    bad_among_good("delivery = \"exactly_once\"");
}

fn bad_among_good(settings: &str) {
    let line = Line::new(&["digits"], 1);
    let results = Tap::open(&line, "results.digits");
    let dead = Tap::open(&line, "dead-letters");
    let cases = cases();
    send_among_good(&line, &cases);
    let mut infer = line.infer(Infer {
        settings,
        ..Infer::default()
    });
    infer.wait_ready();
    let answers = results.wait_for(2 * cases.len() + 1);
    let mut letters: Vec<_> = dead.wait_for(cases.len()).iter().map(dead_letter).collect();
    letters.sort_by_key(|letter| letter.offset);
    for answer in answers
        .iter()
        .filter(|answer| header(answer, "mr-id") == Some("good"))
    {
        assert_eq!(header(answer, "mr-status"), Some("OK"));
    }
    for ((name, value, code), letter) in cases.iter().zip(&letters) {
        let answer = answers
            .iter()
            .find(|answer| header(answer, "mr-id") == Some(name))
            .expect(name);
        assert_eq!(
            header(answer, "mr-status"),
            Some(*code),
            "{name}: {:?}",
            header(answer, "mr-error")
        );
        assert!(
            header(answer, "mr-error").is_some_and(|sentence| sentence.len() > 10),
            "{name}"
        );
        assert!(answer.value.as_ref().is_none_or(Vec::is_empty), "{name}");

        assert_eq!(&letter.value, value, "{name}: the original bytes");
        let names: Vec<_> = letter
            .headers
            .iter()
            .map(|header| header.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["mr-id", "x-tenant"],
            "{name}: the original headers in order"
        );
        assert_eq!(letter.topic, line.topic("requests.digits"));
        assert_eq!(letter.code, *code, "{name}");
        assert_eq!(letter.model, "digits", "{name}");
    }
    assert!(infer.is_running());
    assert_eq!(infer.metric("millrace_infer_engine_panics_total"), 0.0);
}

fn send_among_good(line: &Line, cases: &[Case]) {
    let feed = Feed::new(line, "requests.digits");
    for (name, value, _) in cases {
        feed.send(None, Some(image_record(1)), &[("mr-id", "good")]);
        feed.send(
            None,
            value.clone(),
            &[("mr-id", name), ("x-tenant", "blue")],
        );
    }
    feed.send(None, Some(image_record(1)), &[("mr-id", "good")]);
    feed.flush();
}

#[test]
fn a_row_that_breaks_the_model_is_found_among_its_batch() {
    let line = Line::new(&["fails_if"], 1);
    let results = Tap::open(&line, "results.fails_if");
    let dead = Tap::open(&line, "dead-letters");
    let feed = Feed::new(&line, "requests.fails_if");
    for number in 0..64_u8 {
        feed.send(
            None,
            Some(row_of(number.into())),
            &[("mr-id", &number.to_string())],
        );
    }
    feed.flush();
    let mut infer = line.infer(Infer {
        models: "tests/models",
        names: &["fails_if"],
        ..Infer::default()
    });
    infer.wait_ready();
    for answer in results.wait_for(64) {
        let expected = if header(&answer, "mr-id") == Some("13") {
            // What ONNX Runtime itself calls an index out of bounds.
            "INVALID_ARGUMENT"
        } else {
            "OK"
        };
        assert_eq!(
            header(&answer, "mr-status"),
            Some(expected),
            "{:?}",
            header(&answer, "mr-id")
        );
    }
    let letter = dead_letter(&dead.wait_for(1)[0]);
    assert_eq!((letter.stage.as_str(), letter.offset), ("infer", 13));
}

#[test]
fn a_record_past_its_deadline_is_answered_without_inference() {
    let line = Line::new(&["digits"], 1);
    let results = Tap::open(&line, "results.digits");
    let feed = Feed::new(&line, "requests.digits");
    feed.send(None, Some(image_record(0)), &[("mr-deadline", "1")]);
    feed.send(None, Some(image_record(0)), &[]);
    let mut infer = line.infer(Infer::default());
    infer.wait_ready();
    let answers = results.wait_for(2);
    assert_eq!(header(&answers[0], "mr-status"), Some("DEADLINE_EXCEEDED"));
    assert_eq!(header(&answers[1], "mr-status"), Some("OK"));
    assert_eq!(
        infer.metric("millrace_infer_rows_total"),
        1.0,
        "one row ran"
    );
    assert_eq!(infer.metric("millrace_infer_dead_letters_total"), 0.0);
}

fn cases() -> Vec<Case> {
    let good = image_record(0);
    let tensor = |name, shape: Vec<usize>| {
        let values = vec![0.0_f32; shape.iter().product()];
        let tensor =
            Tensor::fixed(name, DType::Float32, shape, Buffer::from_vec(values)).expect("a tensor");
        Some(encode_tensors(&[tensor]).expect("a tensor encodes"))
    };
    let invalid = "INVALID_ARGUMENT";
    vec![
        ("random bytes", Some(noise(999)), invalid),
        ("empty value", Some(Vec::new()), invalid),
        ("null value", None, invalid),
        ("JSON", Some(br#"{"instances": [1]}"#.to_vec()), invalid),
        ("truncated", Some(good[..good.len() / 2].to_vec()), invalid),
        ("wrong column", tensor("picture", vec![1, 8, 8]), invalid),
        ("wrong rank", tensor("image", vec![1, 64]), invalid),
        ("wrong size", tensor("image", vec![1, 8, 9]), invalid),
        ("zero rows", Some(rows_set_to_zero()), invalid),
        ("two batches", Some(two_batches()), invalid),
        ("5 MB of noise", Some(noise(5_000_000)), invalid),
    ]
}

fn dead_letter(record: &millrace_kafka::Record) -> DeadLetter {
    let value = record.value.as_ref().expect("a dead letter has a value");
    DeadLetter::decode(value).expect("dead letters decode")
}

fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

/// What arrow-rs itself writes for a batch without rows.
fn rows_set_to_zero() -> Vec<u8> {
    stream(0, 1)
}

fn two_batches() -> Vec<u8> {
    stream(1, 2)
}

fn stream(rows: usize, batches: usize) -> Vec<u8> {
    use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
    use arrow::datatypes::{DataType, Field};
    use std::sync::Arc;

    let leaf = |ty| Arc::new(Field::new("item", ty, false));
    let pixels = Arc::new(Float32Array::from(vec![0.0; rows * 64]));
    let columns: ArrayRef = Arc::new(FixedSizeListArray::new(
        leaf(DataType::Float32),
        8,
        pixels,
        None,
    ));
    let inner = DataType::FixedSizeList(leaf(DataType::Float32), 8);
    let image: ArrayRef = Arc::new(FixedSizeListArray::new(leaf(inner), 8, columns, None));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("image", image, false)]).expect("a batch");
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    for _ in 0..batches {
        writer.write(&batch).expect("a batch is written");
    }
    writer.into_inner().expect("the stream ends")
}

pub(crate) fn row_of(value: f32) -> Vec<u8> {
    let tensor = Tensor::fixed(
        "x",
        DType::Float32,
        vec![1, 4],
        Buffer::from_vec(vec![value; 4]),
    );
    encode_tensors(&[tensor.expect("a row of four")]).expect("a tensor encodes")
}

#[test]
fn a_record_larger_than_a_batch_is_split_and_put_together_again() {
    let line = Line::new(&["digits"], 1);
    let results = Tap::open(&line, "results.digits");
    let feed = Feed::new(&line, "requests.digits");
    feed.send(None, Some(images_record(0, 100)), &[]);
    let mut infer = line.infer(Infer {
        max_rows: 8,
        ..Infer::default()
    });
    infer.wait_ready();
    let answer = &results.wait_for(1)[0];
    assert_eq!(
        header(answer, "mr-status"),
        Some("OK"),
        "{:?}",
        header(answer, "mr-error")
    );
    let value = answer.value.clone().expect("a result");
    let result = millrace_wire::Record::decode(value, &millrace_wire::Limits::default())
        .expect("results decode");
    let labels = result
        .tensor(result.column_index("label").expect("a label"))
        .expect("a tensor");
    assert_eq!(
        labels.typed::<i64>().expect("INT64"),
        &e2e::digits().reference_labels()[..100]
    );
}
